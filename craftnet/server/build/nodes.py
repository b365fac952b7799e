"""Builds what nodes do with each other: questions, and connections in other regions."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from twisted.application.service import IService

from craftnet.access.auth_option import AuthSetup
from craftnet.access.principal import Principal
from craftnet.access.revocation.revocations import Revocations
from craftnet.devices.registry import DeviceRegistry, Devices
from craftnet.devices.store import ISharedDeviceStore, MemoryDevices
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.feeds.hub import Hub
from craftnet.feeds.relay_feed import RelayFeeds
from craftnet.nodes.cluster_key import cluster_key
from craftnet.nodes.node_group import NodeGroup, Question
from craftnet.nodes.regions import Regions
from craftnet.observe.health.monitor import Monitor
from craftnet.protocols.udp.server.service import UdpService
from craftnet.providers.inspection import INodeBus, INodeRegistry
from craftnet.server.build.administration import administration_mode
from craftnet.server.build.base import Base
from craftnet.server.build.transports import Addresses


def build_node_group(base: Base, access: AuthSetup) -> NodeGroup:
    """Asks other nodes, or workers, where there are any, and administrators, regions or devices need them.

    Raises:
        ConfigurationError: as `administration_mode`.
    """
    needed = (
        base.settings.region is not None
        or base.settings.devices
        or administration_mode(base.settings, access) is not None
    )
    bus = _node_bus(base) if needed else None
    return NodeGroup(f"{socket.gethostname()}:{os.getpid()}" if bus is None else bus.name, bus, base.reactor)


def _node_bus(base: Base) -> INodeBus | None:
    """What carries messages between nodes, or workers; None when this process is alone."""
    for carrier in (base.state.backend, base.state.division):
        bus = getattr(carrier, "node_bus", None)
        if bus is not None:
            found: INodeBus = bus
            return found
    return None


def build_devices(base: Base, hub: Hub, group: NodeGroup, relay: RelayFeeds | None) -> Devices | None:
    """The devices of players, also for edges; None where they are off.

    Raises:
        ConfigurationError: no process could know them all.
    """
    if not base.settings.devices:
        return None
    if base.state.relayed:
        backend: Any = base.state.backend
        of_core: Devices = backend.share_devices(base.metrics)
        return of_core
    shared: ISharedDeviceStore | None = getattr(base.state.backend, "devices", None)
    if shared is not None:
        changed: Question[UUID, None] = Question("devices", UUID, None)
        shared.notify = lambda name, player_id: group.push(name, changed, player_id)
        IService(shared).setServiceParent(base.state.backend.service)
        group.handle(changed, lambda node, player_id: shared.changed(player_id))
    elif base.state.shared:
        raise ConfigurationError(
            "--devices needs a back end that keeps the devices of all nodes, such as redis; "
            f"{base.settings.backend.partition(':')[0]} is shared and keeps none"
        )
    devices = DeviceRegistry(shared or MemoryDevices(), lambda: hub.epoch, base.metrics, base.reactor)
    if relay is not None:
        relay.devices = devices
    return devices


def build_regions(
    base: Base,
    addresses: Addresses,
    group: NodeGroup,
    udp: UdpService | None,
    monitor: Monitor,
    revocations: Revocations,
    environ: Mapping[str, str],
) -> Regions | None:
    """The nodes of other regions; None where this node has no region, or shares no registry with others.

    Raises:
        ConfigurationError: --public-udp or the cluster's key is missing.
    """
    registry: INodeRegistry | None = getattr(base.state.backend, "node_registry", None)
    if addresses.region is None or registry is None:
        return None
    if udp is not None and addresses.public_udp is None:
        raise ConfigurationError(
            "--region with a back end that nodes share needs --public-udp, the address that clients of other regions "
            "send datagrams to"
        )

    def admit(bearer: Principal) -> None:
        base.state.sources.check_hearing()
        if revocations.covers(bearer):
            raise Unavailable("the token is revoked")

    return Regions(
        addresses.region,
        None if udp is None else str(addresses.public_udp),
        group,
        registry,
        cluster_key(environ),
        udp,
        base.reactor,
        admit=admit,
        is_ready=lambda: monitor.unready is None,
        count=base.metrics.region_request,
        instance=os.urandom(16),
    )
