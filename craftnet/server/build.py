"""The composition root: builds the parts of the service and connects them. No other module knows all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct
from twisted.application.internet import TimerService
from twisted.application.service import IService
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory

from craftnet import __version__
from craftnet.access.auth_option import AuthSetup, access_from_option
from craftnet.access.authorization import Authorization
from craftnet.access.revocation.enforcement import HANDSHAKE_GRACE, Enforcement
from craftnet.access.revocation.revocations import RevocationCheckingVerifier, Revocations
from craftnet.clocks import moment
from craftnet.contract.messages import Service
from craftnet.contract.routes import BasePaths
from craftnet.crafting.progress import Tolerance
from craftnet.errors import ConfigurationError
from craftnet.feeds.hub import Hub
from craftnet.feeds.ingest import Ingest
from craftnet.feeds.player_feed import PlayerFeeds
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.connection.channel import HttpSite
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.sniffer import SnifferFactory
from craftnet.http.connection.tls import CHECK_INTERVAL
from craftnet.http.cross_origin import CrossOrigin
from craftnet.http.routes.site import site
from craftnet.interfaces import IBackend, ICluster, IDemonstration, IEventConsumer
from craftnet.limits.client_address import Forwarding, public_url
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.origins import Origins
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.process_files import check_folder
from craftnet.observe.metrics.registry import Metrics, SessionCounter
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.sse.server.factory import EventStreamFactory
from craftnet.protocols.udp.server.datagram_port import check_free
from craftnet.protocols.udp.server.key_log import KEYLOG_VARIABLE, KeyLog
from craftnet.protocols.udp.server.service import UdpService
from craftnet.protocols.websocket.core.subprotocols import SUPPORTED
from craftnet.protocols.websocket.server.factory import FeedFactory
from craftnet.providers.registry import Registry
from craftnet.providers.sources import Sources
from craftnet.runtime.addresses import HostPort, check_shareable, http_endpoint, is_loopback, parse_public, udp_address
from craftnet.server.gc_tuning import GcTuner
from craftnet.server.health_checks import own_checks, probes
from craftnet.server.listener import Listener, ProbingReactor, SharingReactor
from craftnet.server.service import Craftnet
from craftnet.server.settings import Settings
from craftnet.server.startup_message import Announcer, ServedSummary, hint
from craftnet.server.worker_parts import WorkerParts, build_worker_parts
from craftnet.sharding.links import check_path


class _Addresses(Struct, frozen=True):
    """Where the service listens, and the addresses that clients receive.

    Attributes:
        http: the endpoint of HTTP and WebSocket.
        udp: None when UDP is off.
        public_udp: the address that clients receive; None: the host by which they reach HTTP, and the port of `udp`.
        forwarding: interprets what proxies report, and knows the URL by which clients reach this server.
    """

    http: str
    udp: HostPort | None
    public_udp: HostPort | None
    forwarding: Forwarding


class _State(Struct, frozen=True):
    """Where sessions, queues and materials are kept, and which other processes share them.

    Attributes:
        backend: the back end of --backend.
        built: every back end in use.
        cluster: what nodes or workers share about their clients; None when this process is alone.
    """

    backend: IBackend
    built: tuple[IBackend, ...]
    sources: Sources
    division: WorkerParts
    cluster: ICluster | None


class _Base(Struct, frozen=True):
    """What every part is built on.

    Attributes:
        reactor: IReactorTime, IReactorUDP, and whatever the HTTP endpoint and the back ends need.
        bases: the base paths that may precede every route.
    """

    settings: Settings
    reactor: Any
    bases: BasePaths
    state: _State
    metrics: Metrics
    tolerance: Tolerance


class _Transports(Struct, frozen=True):
    """The transports to players; the gateway is None when UDP is off."""

    feeds: FeedConnections
    udp_service: UdpService | None


def build(settings: Settings, reactor: Any, environ: Mapping[str, str]) -> Craftnet:
    """Builds the service that `settings` describe; nothing listens yet.

    Arguments:
        reactor: IReactorTime, IReactorUDP, and whatever the HTTP endpoint and the back ends need.

    Raises:
        ConfigurationError: the settings are invalid.
    """
    access = access_from_option(settings.auth, environ, reactor)
    addresses = _addresses(settings, access)
    base = _base(settings, reactor)
    hub = Hub(base.state.sources, reactor, base.metrics, tolerance=base.tolerance, refresh=settings.refresh)
    monitor = _monitor(base)
    health = HealthFeed(monitor, reactor, base.metrics, interval=settings.health_interval)
    revocations = Revocations()
    admission = _admission(base.state, access, revocations)
    subscriptions = Subscriptions(admission, hub, health, PlayerFeeds(hub, base.state.sources.sessions))
    feeds, key_log = _feeds(base, subscriptions, addresses.forwarding), _key_log(access, addresses, environ)
    transports = _Transports(feeds, _gateway(base, addresses, hub, key_log))
    enforcement = _enforcement(base, revocations, transports)
    routes = _routes(base, admission, enforcement, transports, monitor, addresses.forwarding)
    listener = _listener(base, addresses.http, routes, transports.feeds)
    service = Craftnet(
        listener,
        transports.udp_service,
        transports.feeds,
        monitor,
        settings.drain_time,
        settings.limits.connections,
    )
    announcer = _announcer(base, access, listener, transports.udp_service)
    turns = _turns(base, hub, transports.feeds, enforcement, listener)
    own = [made.service for made in base.state.built] + [base.state.division.links]
    session_counter, collector = SessionCounter(base.state.sources.sessions, base.metrics, reactor), GcTuner(reactor)
    for part in (*filter(None, own), monitor, health, *turns, session_counter, announcer, collector):
        part.setServiceParent(service)
    return service


def check_workers(settings: Settings, reactor: Any, environ: Mapping[str, str]) -> bool:
    """Checks that the service that `settings` describe can run as several processes.

    Returns:
        Whether each of them keeps the state of some of the players, which is lost with it.

    Raises:
        ConfigurationError: it cannot; the text says why.
    """
    access = access_from_option(settings.auth, environ, reactor)
    if access.loopback_only:
        raise ConfigurationError(
            "--workers needs --auth or CRAFTNET_JWT_SECRET: every worker must accept the same tokens"
        )
    http = http_endpoint(settings.http, settings.port, loopback_only=False, reason="")
    check_shareable(http)
    registry = Registry(reactor)
    alone = [text for text in settings.backends if not registry.is_shared(text)]
    if alone and not (len(settings.backends) == 1 and registry.is_divisible(alone[0])):
        raise ConfigurationError(
            f"--workers needs a back end that several processes share, or one alone among which they can divide the"
            f" players; {alone[0]} keeps its state to itself"
        )
    udp = udp_address(settings.udp, loopback_only=False, reason="")
    try:
        Listener(ProbingReactor(reactor), http, Factory()).privilegedStartService()
        for port in () if udp is None else [udp + number for number in range(settings.workers)]:
            check_free(port, reactor)
    except CannotListenError as error:
        raise ConfigurationError(str(error)) from None
    folder = check_folder()
    if alone:
        check_path(folder)
    return bool(alone)


def _addresses(settings: Settings, access: AuthSetup) -> _Addresses:
    """Where to listen. Each worker has a UDP port of its own, counted from that of --udp."""
    http = http_endpoint(settings.http, settings.port, loopback_only=access.loopback_only, reason=access.reason)
    udp = udp_address(settings.udp, loopback_only=access.loopback_only, reason=access.reason)
    public_udp = None if settings.public_udp is None else parse_public(settings.public_udp)
    if settings.worker is not None and udp is not None:
        udp += settings.worker
        public_udp = None if public_udp is None else public_udp + settings.worker
    public = None if settings.public_url is None else public_url(settings.public_url)
    return _Addresses(http, udp, public_udp, Forwarding(settings.trusted_proxies, public))


def _base(settings: Settings, reactor: Any) -> _Base:
    bases = BasePaths(settings.prefixes)
    registry = Registry(reactor, settings.shards)
    shards = None if registry.is_shared(settings.backend) else settings.shards
    metrics = Metrics(divided=shards is not None)
    backend = registry.backend(settings.backend)
    sources = Sources(
        sessions=registry.backend(settings.sessions or settings.backend).sessions,
        materials=registry.backend(settings.materials or settings.backend).materials,
        queues=registry.backend(settings.queues or settings.backend).queues,
    )
    division = (
        WorkerParts(sources)
        if shards is None
        else build_worker_parts(reactor, settings.links or "", shards, sources, bases)
    )
    cluster = backend if ICluster.providedBy(backend) else division.cluster
    state = _State(backend, tuple(registry.built), sources, division, cluster)
    tolerance = Tolerance(percent=settings.tolerance_percent, seconds=settings.tolerance_ms / 1000)
    return _Base(settings, reactor, bases, state, metrics, tolerance)


def _monitor(base: _Base) -> Monitor:
    settings, state = base.settings, base.state
    others = {
        Service.CRAFTING_SERVICE: settings.crafting_service,
        Service.REAL_TIME_COMBAT: settings.real_time_combat,
    }
    return Monitor(
        own_checks(state.sources, state.built, state.cluster, base.metrics),
        probes(others, base.reactor),
        base.reactor,
        version=__version__,
        interval=settings.health_interval,
    )


def _admission(state: _State, access: AuthSetup, revocations: Revocations) -> Authorization:
    loaded = None if state.cluster is None else state.cluster.revocations.loaded
    authority = RevocationCheckingVerifier(access.authority, revocations, loaded)
    return Authorization(authority, state.sources.sessions, state.sources.queues, state.division.owner)


def _key_log(access: AuthSetup, addresses: _Addresses, environ: Mapping[str, str]) -> KeyLog | None:
    """Where the keys of UDP connections are written: for development, and on loopback, alone."""
    path = environ.get(KEYLOG_VARIABLE)
    if not path:
        return None
    if access.secret is None:
        raise ConfigurationError(f"{KEYLOG_VARIABLE} needs development tokens: unset it, or leave --auth out")
    if addresses.udp is None or not is_loopback(addresses.udp.host):
        raise ConfigurationError(
            f"{KEYLOG_VARIABLE} needs UDP on a loopback address: unset it, or --udp 127.0.0.1:8082"
        )
    return KeyLog(Path(path))


def _gateway(base: _Base, addresses: _Addresses, hub: Hub, key_log: KeyLog | None) -> UdpService | None:
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
    )


def _feeds(base: _Base, subscriptions: Subscriptions, forwarding: Forwarding) -> FeedConnections:
    settings, cluster = base.settings, base.state.cluster
    places = None if cluster is None else cluster.connection_slots
    return FeedConnections(
        subscriptions,
        base.metrics,
        base.reactor,
        HandshakeGuard(settings.limits, Origins(settings.origins), forwarding, places),
        bases=base.bases,
        ping_interval=settings.ping_interval,
    )


def _enforcement(base: _Base, revocations: Revocations, transports: _Transports) -> Enforcement:
    udp_service, cluster = transports.udp_service, base.state.cluster
    return Enforcement(
        revocations,
        [transports.feeds.enforce] if udp_service is None else [transports.feeds.enforce, udp_service.enforce],
        partial(moment, base.reactor),
        None if cluster is None else cluster.revocations,
        handshake_grace=max(HANDSHAKE_GRACE, base.settings.limits.handshake_timeout),
    )


def _routes(
    base: _Base,
    admission: Authorization,
    enforcement: Enforcement,
    transports: _Transports,
    monitor: Monitor,
    forwarding: Forwarding,
) -> HttpSite:
    """The HTTP interface, which other workers may use as well."""
    settings, state = base.settings, base.state
    ingest = Ingest(state.division.events, base.metrics)
    for made in state.built:
        if IEventConsumer.providedBy(made):
            made.report_outcomes_to(ingest.count)
    routes = site(
        admission=admission,
        subscriptions=transports.feeds.subscriptions,
        guard=transports.feeds.gate,
        sources=state.sources,
        ingest=ingest,
        enforcement=enforcement,
        gateway=transports.udp_service,
        monitor=monitor,
        metrics=base.metrics,
        clock=base.reactor,
        bases=base.bases,
        forwarding=forwarding,
        limits=settings.limits,
        idle=settings.idle_timeout,
        protocols=SUPPORTED,
        tolerance=base.tolerance,
        showcase=state.backend if IDemonstration.providedBy(state.backend) else None,
        hsts=settings.hsts,
        forward_call=None if state.division.calls is None else state.division.calls.answer,
    )
    state.division.serve(routes)
    return routes


def _listener(base: _Base, endpoint: str, routes: HttpSite, feeds: FeedConnections) -> Listener:
    """Opens the port of HTTP and WebSocket.

    Raises:
        ConfigurationError: the endpoint is invalid, or --hsts is given without TLS.
    """
    settings, reactor = base.settings, base.reactor
    sniffer = SnifferFactory(
        routes,
        FeedFactory(feeds, missed_pongs=settings.missed_pongs),
        reactor,
        HalfOpenConnections(base.metrics, settings.limits, settings.trusted_proxies),
        streams=EventStreamFactory(
            feeds, CrossOrigin(feeds.gate.is_page), policy=routes.policy, missed_heartbeats=settings.missed_pongs
        ),
        timeout=settings.limits.handshake_timeout,
        worker_forwarding=base.state.division.connections,
    )
    sharing = reactor if settings.worker is None else SharingReactor(reactor)
    listener = Listener(sharing, endpoint, sniffer, base.metrics.refused)
    if settings.hsts and not listener.secure:
        raise ConfigurationError(
            f"--hsts needs an ssl endpoint, got --http {endpoint}: let the proxy that ends TLS send the header instead"
        )
    return listener


def _turns(
    base: _Base, hub: Hub, feeds: FeedConnections, enforcement: Enforcement, listener: Listener
) -> Iterator[IService]:
    """Everything that is done at regular intervals."""
    for interval, turn in (
        (hub.turn_interval, hub.turn),
        (1.0, feeds.turn),
        (1.0, enforcement.turn),
        (1.0, base.metrics.write),
        (CHECK_INTERVAL, listener.check_files),
    ):
        timer = TimerService(interval, turn)
        timer.clock = base.reactor
        yield timer


def _announcer(base: _Base, access: AuthSetup, listener: Listener, udp_service: UdpService | None) -> Announcer:
    """Tells the operator, once everything listens, what is served where."""

    def served() -> list[str]:
        udp = "off" if udp_service is None else udp_service.address
        return ServedSummary(listener.url, udp, base.settings.backend, access.description, access.reason).lines

    return Announcer(served, lambda: hint(base.state.backend, access, listener.url, base.reactor.wall()), base.reactor)
