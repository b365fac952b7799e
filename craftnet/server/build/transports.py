"""Builds the transports to players: addresses, WebSocket, event streams, UDP, and notifications."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from msgspec import Struct
from treq.client import HTTPClient
from twisted.application.service import IService
from twisted.web.client import Agent

from craftnet.access.auth_option import AuthSetup
from craftnet.crafting.progress import Tolerance
from craftnet.errors import ConfigurationError
from craftnet.feeds.forecast_feed import Forecaster
from craftnet.feeds.hub import Hub
from craftnet.feeds.relay_feed import RelayFeeds
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.interfaces import IPlayerSessions
from craftnet.limits.client_address import Forwarding, public_url
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.origins import Origins
from craftnet.nodes.regions import Regions
from craftnet.notify.notifier import Notifier
from craftnet.notify.webhook import ANSWER_TIMEOUT, Webhook, webhook_settings
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.key_exchange import is_supported
from craftnet.protocols.udp.server.key_log import KeyLog
from craftnet.protocols.udp.server.service import UdpService
from craftnet.protocols.websocket.core.dictionaries import Dictionaries, UnknownDictionary, read_folder
from craftnet.runtime.addresses import HostPort, http_endpoint, parse_public, parse_region, udp_address
from craftnet.server.build.base import Base
from craftnet.server.settings import Settings


class Addresses(Struct, frozen=True):
    """The addresses on which the service listens, and those that clients receive.

    Attributes:
        http: the endpoint of HTTP and WebSocket.
        udp: None when UDP is off.
        public_udp: the address that clients receive; None: the host by which they reach HTTP, and the port of `udp`.
        region: where this node is; None: not said.
        forwarding: interprets what proxies report, and knows the URL by which clients reach this server.
    """

    http: str
    udp: HostPort | None
    public_udp: HostPort | None
    region: str | None
    forwarding: Forwarding


def build_addresses(settings: Settings, access: AuthSetup) -> Addresses:
    """Determines the addresses. Worker number i has the UDP port of --udp plus i."""
    http = http_endpoint(settings.http, settings.port, loopback_only=access.loopback_only, reason=access.reason)
    udp = udp_address(settings.udp, loopback_only=access.loopback_only, reason=access.reason)
    public_udp = None if settings.public_udp is None else parse_public(settings.public_udp)
    if settings.worker is not None and udp is not None:
        udp += settings.worker
        public_udp = None if public_udp is None else public_udp + settings.worker
    public = None if settings.public_url is None else public_url(settings.public_url)
    region = None if settings.region is None else parse_region(settings.region)
    return Addresses(http, udp, public_udp, region, Forwarding(settings.trusted_proxies, public))


RELAY_SHARE = 0.1
"""The share of watchers' tolerance that an edge's copy may take."""


class Transports(Struct, frozen=True):
    """The transports to players.

    Attributes:
        udp_service: None when UDP is off.
        dictionaries: those of the compressed subprotocol.
        regions: None where this node knows no other regions.
    """

    feeds: FeedConnections
    udp_service: UdpService | None
    dictionaries: Dictionaries
    regions: Regions | None = None


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


def build_relay(base: Base, hub: Hub, forecaster: Forecaster | None) -> RelayFeeds | None:
    """The feed of edges; None where each worker has the state of its own players only."""
    if base.state.division.links is not None:
        return None
    watchers = base.tolerance
    tolerance = Tolerance(
        watchers.percent * RELAY_SHARE, watchers.seconds * RELAY_SHARE, watchers.fraction * RELAY_SHARE
    )
    return RelayFeeds(hub, base.state.sources, base.reactor, tolerance, forecaster)


def build_dictionaries(settings: Settings) -> Dictionaries:
    """The dictionaries of the compressed subprotocol.

    Raises:
        ConfigurationError: the folder cannot be read, or the preferred one is missing.
    """
    found = Dictionaries() if settings.dictionaries is None else read_folder(Path(settings.dictionaries))
    try:
        return found.preferring(settings.dictionary)
    except UnknownDictionary as error:
        raise ConfigurationError(f"--dictionary {settings.dictionary}: {error} --dictionaries names more") from None


def exchanges_keys(option: str, is_supported: Callable[[], bool] = is_supported) -> bool:
    """The value of --udp-key-exchange.

    Raises:
        ConfigurationError: the installed cryptography package has no ML-KEM-768.
    """
    if option == "off":
        return False
    if not is_supported():
        raise ConfigurationError(
            f"--udp-key-exchange {option} needs ML-KEM-768, which the installed cryptography package does not have: "
            "install one that is built with OpenSSL 3.5 or newer, such as the wheels of PyPI"
        )
    return True


def build_udp_service(base: Base, addresses: Addresses, hub: Hub, key_log: KeyLog | None) -> UdpService | None:
    """The UDP server; None when it is off."""
    settings = base.settings
    if addresses.udp is None:
        return None
    sessions: Any = base.state.sources.sessions
    return UdpService(
        addresses.udp,
        addresses.public_udp,
        hub,
        base.metrics,
        base.reactor,
        heartbeat_ms=settings.udp_heartbeat,
        full_sync=settings.udp_full_sync,
        key_rotation=settings.udp_key_rotation,
        congestion=Congestion(settings.udp_congestion),
        token_renewal=settings.udp_token_renewal,
        path_size=settings.udp_path_size,
        tolerance=base.tolerance.percent,
        region=addresses.region,
        exchanges_keys=exchanges_keys(settings.udp_key_exchange),
        key_log=key_log,
        audit=base.security,
        forecasts=hub.forecasts,
        sessions=sessions if settings.devices and IPlayerSessions.providedBy(sessions) else None,
    )


def build_notifications(base: Base, transports: Transports, environ: Mapping[str, str]) -> tuple[IService, ...]:
    """The services of --notify; an empty tuple without it.

    Raises:
        ConfigurationError: the option or its secret is invalid.
    """
    if base.settings.notify is None:
        return ()
    settings = webhook_settings(base.settings.notify, environ)
    client = HTTPClient(Agent(base.reactor, connectTimeout=ANSWER_TIMEOUT))
    webhook = Webhook(settings, client, base.reactor, base.metrics.store)
    slots, udp, cluster = transports.feeds.gate.occupancy, transports.udp_service, base.state.cluster

    def is_connected(player_id: UUID, session_id: UUID | None) -> bool:
        if slots.of_player(player_id):
            return True
        if udp is None or session_id is None:
            return False
        return udp.endpoint.sent_state_of(session_id, player_id) is not None

    shared = None if cluster is None else cluster.connection_slots
    return webhook, Notifier(base.state.sources, is_connected, shared, webhook.add)
