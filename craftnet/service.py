"""The composition root: builds the parts, wires them, starts and stops them. No other module knows them all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from twisted.application.internet import TimerService
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from craftnet import __version__
from craftnet.access.admission import Admission
from craftnet.access.enforcement import PATIENCE, Enforcement
from craftnet.access.forwarding import Forwarding, public_url
from craftnet.access.gate import Gate
from craftnet.access.limits import Limits
from craftnet.access.networks import NOWHERE, Networks
from craftnet.access.options import access_from_option
from craftnet.access.origins import Origins
from craftnet.access.revocation import RevocableAuthority, Revocations
from craftnet.addresses import check_shareable, http_endpoint, parse_public, udp_address
from craftnet.announcer import Announcer, hint
from craftnet.banner import Served
from craftnet.checks import own_checks, probes
from craftnet.clocks import moment
from craftnet.collector import Collector
from craftnet.division import Division, divided
from craftnet.errors import ConfigurationError
from craftnet.http.door import DoorFactory
from craftnet.http.listener import Listener
from craftnet.http.lobby import Lobby
from craftnet.http.sharedport import SharingReactor, TryingReactor
from craftnet.http.site import IDLE, site
from craftnet.http.tls import CHECK_INTERVAL
from craftnet.hub import Hub
from craftnet.ingest import Ingest
from craftnet.interfaces import ICluster, IShowcase, ITaker
from craftnet.messages import Service
from craftnet.model import Tolerance
from craftnet.observe.census import Census
from craftnet.observe.figures import check_folder
from craftnet.observe.healthfeed import HealthFeed
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.openfiles import raise_limit
from craftnet.protocols.udp.agreement import PATH_SIZE
from craftnet.protocols.udp.gateway import UdpGateway
from craftnet.protocols.udp.port import check_free
from craftnet.protocols.udp.rotation import PERIOD
from craftnet.protocols.udp.tickets import RENEWAL
from craftnet.protocols.websocket.factory import MISSED_PONGS, PING_INTERVAL, FeedFactory
from craftnet.protocols.websocket.subprotocols import SUPPORTED
from craftnet.registry import Registry
from craftnet.shards.links import check_path
from craftnet.shards.placement import Shards
from craftnet.sources import Sources
from craftnet.subscriptions import Subscriptions
from craftnet.targets import BasePaths


class Settings(Struct, frozen=True, kw_only=True):
    """The operator's options, as `craftnet.tap` reads them; None where one is not given.

    Attributes:
        worker: which of several processes this is, from 0; None when it is the only one.
        workers: how many there are.
        links: the folder of the sockets by which they reach each other; None where there is none.
    """

    backend: str = "memory"
    sessions: str | None = None
    queues: str | None = None
    materials: str | None = None
    http: str | None = None
    hsts: int = 0
    port: str | None = None
    udp: str | None = None
    public_udp: str | None = None
    public_url: str | None = None
    auth: str | None = None
    limits: Limits = Limits()
    prefixes: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    trusted_proxies: Networks = NOWHERE
    idle_timeout: float = IDLE
    ping_interval: int = PING_INTERVAL
    missed_pongs: int = MISSED_PONGS
    drain_time: float = 5.0
    refresh: float = 5.0
    udp_heartbeat: int = 5000
    udp_full_sync: float = 10.0
    udp_key_rotation: float = PERIOD
    udp_token_renewal: float = RENEWAL
    udp_path_size: int = PATH_SIZE
    tolerance_percent: float = 0.5
    tolerance_ms: int = 250
    crafting_service: str | None = None
    real_time_combat: str | None = None
    health_interval: float = 10.0
    worker: int | None = None
    workers: int = 1
    links: str | None = None

    @property
    def shards(self) -> Shards | None:
        """Which players this process keeps the state of, where processes that do not share a back end divide them."""
        return None if self.worker is None or self.links is None else Shards(self.worker, self.workers)

    @property
    def backends(self) -> set[str]:
        """The texts of all back ends."""
        return {self.sessions or self.backend, self.materials or self.backend, self.queues or self.backend}


class Craftnet(MultiService):
    """The whole service.

    It stops in this order: the listener, so that nobody new comes; the watchers, who are told, over `drain_time`
    seconds, to come back later, and hear what happens until then; everything else.
    """

    _log = Logger()

    def __init__(
        self,
        listener: Listener,
        gateway: UdpGateway | None,
        feeds: FeedFactory,
        monitor: Monitor,
        drain_time: float,
        connections: int,
    ) -> None:
        super().__init__()
        self._connections = connections
        self.listener = listener
        self.gateway = gateway
        self._feeds = feeds
        self._monitor = monitor
        self._drain_time = drain_time

    @property
    def _ports(self) -> Iterable[IService]:
        return (self.listener,) if self.gateway is None else (self.listener, self.gateway)

    def privilegedStartService(self) -> None:
        """Open the ports, while there may still be the rights for low ones.

        Raises:
            SystemExit: a port cannot be opened.
        """
        super().privilegedStartService()
        fitting = raise_limit(self._connections)
        if fitting is not None:
            self._log.warn(
                "The system lets this process have some {fitting} of --max-connections {connections} connections:"
                " raise the hard limit of open files (ulimit -Hn)",
                fitting=fitting,
                connections=self._connections,
            )
        try:
            for port in self._ports:
                port.privilegedStartService()
        except CannotListenError as error:
            raise SystemExit(f"craftnet: {error}") from None

    def startService(self) -> None:
        """Start everything."""
        super().startService()
        for port in self._ports:
            port.startService()

    def stopService(self) -> Deferred[None]:
        """Stop everything; answers when the last watcher is gone."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._monitor.draining = True
        await maybeDeferred(self.listener.stopService)
        watchers = len(self._feeds.open)
        if watchers:
            self._log.info(
                "Stopping: nobody new is let in, and {watchers} watchers are sent away within {seconds:g} seconds",
                watchers=watchers,
                seconds=self._drain_time,
            )
        await self._feeds.drain(self._drain_time)
        if self.gateway is not None:
            await maybeDeferred(self.gateway.stopService)
        await super().stopService()
        self._log.info("Stopped: every watcher was told")

    def hurry(self) -> None:
        """Stop without more ado, if it is stopping."""
        self._feeds.hurry()

    def reload(self) -> None:
        """Read the certificate again, if TLS is spoken."""
        self.listener.reload()


def build(settings: Settings, reactor: Any, environ: Mapping[str, str]) -> Craftnet:
    """The service that `settings` describe; nothing listens yet.

    Arguments:
        reactor: IReactorTime, IReactorUDP, and whatever the HTTP endpoint and the back ends need.

    Raises:
        ConfigurationError: the settings make no sense.
    """
    access = access_from_option(settings.auth, environ, reactor)
    http = http_endpoint(settings.http, settings.port, loopback_only=access.loopback_only, reason=access.reason)
    udp = udp_address(settings.udp, loopback_only=access.loopback_only, reason=access.reason)
    public_udp = None if settings.public_udp is None else parse_public(settings.public_udp)
    if settings.worker is not None and udp is not None:
        udp += settings.worker
        public_udp = None if public_udp is None else public_udp + settings.worker
    bases = BasePaths(settings.prefixes)
    public = None if settings.public_url is None else public_url(settings.public_url)
    forwarding = Forwarding(settings.trusted_proxies, public)
    registry = Registry(reactor, settings.shards)
    shards = None if registry.is_shared(settings.backend) else settings.shards
    metrics = Metrics(divided=shards is not None)
    backend = registry.backend(settings.backend)
    sources = Sources(
        sessions=registry.backend(settings.sessions or settings.backend).sessions,
        materials=registry.backend(settings.materials or settings.backend).materials,
        queues=registry.backend(settings.queues or settings.backend).queues,
    )
    division = Division(sources)
    if shards is not None:
        division = divided(reactor, settings.links or "", shards, sources, bases)
    tolerance = Tolerance(percent=settings.tolerance_percent, seconds=settings.tolerance_ms / 1000)
    hub = Hub(sources, reactor, metrics, tolerance=tolerance, refresh=settings.refresh)
    cluster = backend if ICluster.providedBy(backend) else division.cluster
    others = {
        Service.CRAFTING_SERVICE: settings.crafting_service,
        Service.REAL_TIME_COMBAT: settings.real_time_combat,
    }
    monitor = Monitor(
        own_checks(sources, registry.built, cluster, metrics),
        probes(others, reactor),
        reactor,
        version=__version__,
        interval=settings.health_interval,
    )
    health = HealthFeed(monitor, reactor, metrics, interval=settings.health_interval)
    revocations = Revocations()
    authority = RevocableAuthority(
        access.authority, revocations, None if cluster is None else cluster.revocations.loaded
    )
    admission = Admission(authority, sources.sessions, sources.queues, division.owner)
    gateway = None
    if udp is not None:
        gateway = UdpGateway(
            udp,
            public_udp,
            hub,
            metrics,
            reactor,
            heartbeat_ms=settings.udp_heartbeat,
            full_sync=settings.udp_full_sync,
            key_rotation=settings.udp_key_rotation,
            token_renewal=settings.udp_token_renewal,
            path_size=settings.udp_path_size,
            tolerance=tolerance.percent,
        )
    feeds = FeedFactory(
        Subscriptions(admission, hub, health),
        metrics,
        reactor,
        Gate(
            settings.limits,
            Origins(settings.origins),
            forwarding,
            None if cluster is None else cluster.places,
        ),
        bases=bases,
        ping_interval=settings.ping_interval,
        missed_pongs=settings.missed_pongs,
    )
    enforcement = Enforcement(
        revocations,
        [feeds.enforce] if gateway is None else [feeds.enforce, gateway.enforce],
        partial(moment, reactor),
        None if cluster is None else cluster.revocations,
        patience=max(PATIENCE, settings.limits.patience),
    )
    ingest = Ingest(division.events, metrics)
    for made in registry.built:
        if ITaker.providedBy(made):
            made.count_with(ingest.count)
    routes = site(
        admission=admission,
        sources=sources,
        ingest=ingest,
        enforcement=enforcement,
        gateway=gateway,
        monitor=monitor,
        metrics=metrics,
        clock=reactor,
        bases=bases,
        forwarding=forwarding,
        limits=settings.limits,
        idle=settings.idle_timeout,
        protocols=SUPPORTED,
        tolerance=tolerance,
        showcase=backend if IShowcase.providedBy(backend) else None,
        hsts=settings.hsts,
        elsewhere=None if division.calls is None else division.calls.answer,
    )
    division.serve(routes)
    lobby = Lobby(metrics, settings.limits, settings.trusted_proxies)
    door = DoorFactory(routes, feeds, reactor, lobby, patience=settings.limits.patience, elsewhere=division.connections)
    listener = Listener(reactor if settings.worker is None else SharingReactor(reactor), http, door, metrics.refused)
    if settings.hsts and not listener.secure:
        raise ConfigurationError(
            f"--hsts needs an ssl endpoint, got --http {http}: let the proxy that ends TLS send the header instead"
        )

    service = Craftnet(listener, gateway, feeds, monitor, settings.drain_time, settings.limits.connections)
    turns = [
        TimerService(interval, turn)
        for interval, turn in (
            (hub.turn_interval, hub.turn),
            (1.0, feeds.turn),
            (1.0, enforcement.turn),
            (1.0, metrics.write),
            (CHECK_INTERVAL, listener.check_files),
        )
    ]
    for each in turns:
        each.clock = reactor
    announcer = Announcer(
        lambda: (
            Served(
                listener.url,
                "off" if gateway is None else gateway.address,
                settings.backend,
                access.description,
                access.reason,
            ).lines
        ),
        lambda: hint(backend, access, listener.url, reactor.wall()),
        reactor,
    )
    own = [made.service for made in registry.built] + [division.links]
    census, collector = Census(sources.sessions, metrics, reactor), Collector(reactor)
    for part in (*filter(None, own), monitor, health, *turns, census, announcer, collector):
        part.setServiceParent(service)
    return service


def check_workers(settings: Settings, reactor: Any, environ: Mapping[str, str]) -> bool:
    """Whether the service that `settings` describe can be run as several processes.

    Returns:
        Whether each of them keeps the state of some of the players, which is lost with it.

    Raises:
        ConfigurationError: it cannot; the text says why.
    """
    access = access_from_option(settings.auth, environ, reactor)
    if access.loopback_only:
        raise ConfigurationError(
            "--workers needs --auth or CRAFTNET_JWT_SECRET: every worker must take the same tokens"
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
        Listener(TryingReactor(reactor), http, Factory()).privilegedStartService()
        for port in () if udp is None else [udp + number for number in range(settings.workers)]:
            check_free(port, reactor)
    except CannotListenError as error:
        raise ConfigurationError(str(error)) from None
    folder = check_folder()
    if alone:
        check_path(folder)
    return bool(alone)
