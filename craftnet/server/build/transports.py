"""Builds the transports to players: WebSocket, event streams and UDP."""

from __future__ import annotations

from msgspec import Struct

from craftnet.feeds.hub import Hub
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.limits.client_address import Forwarding
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.origins import Origins
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.udp.server.key_log import KeyLog
from craftnet.protocols.udp.server.service import UdpService
from craftnet.server.build.addresses import Addresses
from craftnet.server.build.base import Base


class Transports(Struct, frozen=True):
    """The transports to players; `udp_service` is None when UDP is off."""

    feeds: FeedConnections
    udp_service: UdpService | None


def build_feed_connections(base: Base, subscriptions: Subscriptions, forwarding: Forwarding) -> FeedConnections:
    """Everything that WebSockets and event streams have in common."""
    settings, cluster = base.settings, base.state.cluster
    places = None if cluster is None else cluster.connection_slots
    return FeedConnections(
        subscriptions,
        base.metrics,
        base.reactor,
        HandshakeGuard(settings.limits, Origins(settings.origins), forwarding, places),
        bases=base.bases,
        ping_interval=settings.ping_interval,
        audit=base.security,
    )


def build_udp_service(base: Base, addresses: Addresses, hub: Hub, key_log: KeyLog | None) -> UdpService | None:
    """The UDP server; None when it is off."""
    settings = base.settings
    if addresses.udp is None:
        return None
    return UdpService(
        addresses.udp,
        addresses.public_udp,
        hub,
        base.metrics,
        base.reactor,
        heartbeat_ms=settings.udp_heartbeat,
        full_sync=settings.udp_full_sync,
        key_rotation=settings.udp_key_rotation,
        token_renewal=settings.udp_token_renewal,
        path_size=settings.udp_path_size,
        tolerance=base.tolerance.percent,
        key_log=key_log,
        audit=base.security,
    )
