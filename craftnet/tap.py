"""`twistd craftnet`: its options, and the service they describe."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from twisted.application.service import IService
from twisted.python.usage import Options as UsageOptions

from craftnet import __version__
from craftnet.access.limits import BURST, Limits
from craftnet.access.networks import Networks
from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.liveness import LIVENESS, Heartbeat
from craftnet.orphan import SUPERVISOR, OrphanWatch
from craftnet.registry import help_text
from craftnet.service import Craftnet, Settings, build, check_workers
from craftnet.shards.links import LINKS
from craftnet.signals import obey, obey_supervisor

if TYPE_CHECKING:  # for annotations only; see `_service`.
    from craftnet.supervisor import Supervisor

KILL_AFTER = 30.0
"""Seconds that a worker may take to stop, beyond the time it drains."""

WORKER_TIMEOUT = 30.0
"""Seconds of silence after which a worker is taken for one that hangs."""

RATE = f"{BURST:g} seconds' worth may come at once, and further ones are refused with 429"
"""What the options for rates have in common."""

WORKER = "CRAFTNET_WORKER"
"""The environment variable that tells a worker which one it is, from 0."""
DEFAULTS = Settings()


def _number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """A coercion to a number between two bounds; its docstring is what --help shows for a bad one."""

    def coerce(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise ValueError(f"must be from {least:.15g} to {most:.15g}")
        return value

    return coerce


class Options(UsageOptions):
    """What `twistd craftnet --help` shows."""

    synopsis = "[options]"
    longdesc = (
        "The crafting network service: tells players, over WebSocket and UDP, how their crafts progress, "
        "where they stand in station queues and which materials are short."
    )

    optParameters: ClassVar[list[list[Any]]] = [
        ["http", None, None, "Endpoint for HTTP and WebSocket, such as tcp:8080 or ssl:443:privateKey=…:certKey=… "
         "[default: tcp:$PORT, or tcp:8080]"],
        ["hsts", None, DEFAULTS.hsts, "Seconds for which a browser that came over TLS must use nothing else "
         "(Strict-Transport-Security); 0: the header is not sent", _number(int, 0, 2**31)],
        ["udp", None, None, "UDP port (on every address, IPv4 and IPv6), host:port, [IPv6]:port, or off "
         "[default: 8082]"],
        ["public-udp", None, None, "host:port that clients are told to send UDP to "
         "[default: the host by which they reach this server over HTTP, and the port of --udp]"],
        ["public-url", None, None, "URL by which clients reach this server, https://craft.example, perhaps with a base "
         "path; for the addresses in answers and for the Origin check [default: what X-Forwarded-Proto and "
         "X-Forwarded-Host of a --trusted-proxy say, or else Host]"],
        ["backend", None, DEFAULTS.backend, "Where sessions, queues and materials come from, NAME:key=value:…; "
         "see --help-backends"],
        ["sessions", None, None, "Another back end for sessions"],
        ["queues", None, None, "Another back end for queues"],
        ["materials", None, None, "Another back end for materials"],
        ["auth", None, None, "How tokens are checked: jwt:jwks=FILE-or-URL or jwt:key=PEM-FILE, with :aud=…, :iss=… "
         "and :kid=optional if wanted. Without it: development tokens, signed with $CRAFTNET_JWT_SECRET; without that, "
         "too, with a secret made at start-up, and then only loopback is served"],
        ["max-connections", None, DEFAULTS.limits.connections, "WebSockets at most; further ones are refused with 429; "
         "0: no limit, here and for the other limits on numbers and rates", _number(int, 0, 1_000_000)],
        ["max-per-player", None, DEFAULTS.limits.per_player, "WebSockets of one player, on all nodes that share Redis",
         _number(int, 0, 1_000_000)],
        ["max-per-session", None, DEFAULTS.limits.per_session, "WebSockets to one crafting session",
         _number(int, 0, 1_000_000)],
        ["max-per-address", None, DEFAULTS.limits.per_address, "WebSockets from one address (IPv6: from one /64)",
         _number(int, 0, 1_000_000)],
        ["handshake-rate", None, DEFAULTS.limits.handshakes, "WebSocket handshakes a second from one address; "
         f"{RATE}", _number(float, 0, 1e6)],
        ["health-rate", None, DEFAULTS.limits.health, "Requests a second from one address to GET /health and GET "
         f"/health/ws; {RATE}", _number(float, 0, 1e6)],
        ["health-batch-rate", None, DEFAULTS.limits.health_batches, "Requests a second from one address to POST "
         f"/health/batch; {RATE}", _number(float, 0, 1e6)],
        ["connect-rate", None, DEFAULTS.limits.connects, "Requests a second from one address to …/connect; "
         f"{RATE}", _number(float, 0, 1e6)],
        ["connect-rate-per-player", None, DEFAULTS.limits.connects_per_player, "Requests a second to …/connect for the "
         f"sessions of one player, from all addresses; {RATE}", _number(float, 0, 1e6)],
        ["handshake-timeout", None, DEFAULTS.limits.patience, "Seconds for a request's head to arrive, and a WebSocket "
         "handshake's answer to be found", _number(float, 0.1, 600)],
        ["message-rate", None, DEFAULTS.limits.messages, "Messages and pings a second from one WebSocket client; "
         "excess ones are ignored, and a client that keeps exceeding the rate is closed with 4029",
         _number(float, 0, 1e6)],
        ["max-message", None, DEFAULTS.limits.message_size, "Bytes of a WebSocket client's message; a longer one is "
         "closed with 1009", _number(int, 1024, 2**24)],
        ["max-half-open", None, DEFAULTS.limits.half_open, "Connections that have not sent a whole request yet; the "
         "oldest has to go for a further one", _number(int, 0, 1_000_000)],
        ["max-half-open-per-address", None, DEFAULTS.limits.half_open_per_address, "As --max-half-open, "
         "from one address",
         _number(int, 0, 1_000_000)],
        ["max-refused-pages", None, DEFAULTS.limits.refused_pages, "Maximum number of web pages whose handshake was "
         "refused and that are being closed with a code that says why; further ones get the HTTP status, which pages "
         "cannot see",
         _number(int, 0, 1_000_000)],
        ["unlimited-from", None, "127.0.0.0/8,::1", "Networks that no limit per address holds for, such as those of "
         "monitoring and of load tests"],
        ["trusted-proxy", None, None, "Networks of proxies whose X-Forwarded-For, -Proto and -Host are believed, such "
         "as 10.0.0.0/8; unix for those on a UNIX socket. Without it all clients of a proxy count as one address"],
        ["idle-timeout", None, DEFAULTS.idle_timeout, "Seconds that a kept-alive HTTP connection may wait for its next "
         "request. More than the proxy in front keeps its own: the default suits AWS's ALB (60) and nginx (60 to "
         "servers); Google's load balancers (600) need 620", _number(float, 1, 86_400)],
        ["ping-interval", None, DEFAULTS.ping_interval, "Seconds between WebSocket pings", _number(int, 1, 3600)],
        ["missed-pongs", None, DEFAULTS.missed_pongs, "Pings in a row without an answer, after which a peer is "
         "dropped", _number(int, 1, 100)],
        ["drain-time", None, DEFAULTS.drain_time, "Seconds over which watchers are sent away when the server "
         "stops; 0: all at once", _number(float, 0, 3600)],
        ["refresh", None, DEFAULTS.refresh, "Seconds after which a running craft is told again even if nothing changed",
         _number(float, 0.5, 3600)],
        ["udp-heartbeat", None, DEFAULTS.udp_heartbeat, "Milliseconds between UDP heartbeats",
         _number(int, 1000, 30_000)],
        ["udp-full-sync", None, DEFAULTS.udp_full_sync, "Seconds after which a UDP client is told everything again, "
         "on average",
         _number(float, 1, 3600)],
        ["udp-key-rotation", None, DEFAULTS.udp_key_rotation, "Seconds after which the server's keys of a UDP "
         "connection are replaced; less than the default only to try a client", _number(float, 1, 600)],
        ["udp-token-renewal", None, DEFAULTS.udp_token_renewal, "Seconds after which a UDP client is sent a fresh "
         "session_token; less than the default only to try a client", _number(float, 1, 1800)],
        ["udp-path-size", None, DEFAULTS.udp_path_size, "Bytes of the longest UDP datagram sent to a client. More than "
         "the default only where the whole network is known to carry it", _number(int, 64, 65_507)],
        ["tolerance-percent", None, 0.5, "Points of progress by which a watcher's copy may be wrong before it is told "
         "again",
         _number(float, 0.01, 100)],
        ["tolerance-ms", None, 250, "Milliseconds by which a watcher's remaining time may be wrong, or 1 % of it if "
         "that is more", _number(int, 1, 60_000)],
        ["crafting-service", None, None, "URL that answers 2xx when crafting-service is well"],
        ["real-time-combat", None, None, "URL that answers 2xx when real-time-combat is well"],
        ["health-interval", None, DEFAULTS.health_interval, "Seconds between health checks, and between health updates",
         _number(float, 0.5, 3600)],
        ["workers", None, 1, "Processes to run, all on the same HTTP port, each with a UDP port of its own from "
         "--udp on. They share the back end, or divide the players of memory or workshop among them",
         _number(int, 1, 256)],
        ["worker-timeout", None, WORKER_TIMEOUT, "Seconds without a sign of life after which a worker is killed and "
         "started again", _number(float, 3, 3600)],
    ]  # fmt: skip

    given: Sequence[str] = ()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Keep them as given, for workers."""
        self.given = options or ()
        super().parseOptions(options)

    def __init__(self) -> None:
        super().__init__()
        self["origins"] = ()
        self["prefixes"] = ()

    def opt_prefix(self, prefix: str) -> None:
        """Base path of every route, /crafting, besides the root and the two of the game, which stay; repeatable"""
        self["prefixes"] = (*self["prefixes"], prefix)

    def opt_origin(self, origin: str) -> None:
        """Site whose pages may connect: https://game.example, https://*.game.example, null, file:// or *; repeatable"""
        self["origins"] = (*self["origins"], *(each for each in origin.split(",") if each))

    def opt_help_backends(self) -> NoReturn:
        """List the back ends that are installed, with their arguments, and exit."""
        print(help_text())
        raise SystemExit(0)

    def opt_version(self) -> NoReturn:
        """Print craftnet's version and exit."""
        print(f"craftnet {__version__}")
        raise SystemExit(0)

    def parseArgs(self) -> None:
        """There are only options."""

    @property
    def settings(self) -> Settings:
        """The options as the service takes them.

        Raises:
            ConfigurationError: one of them makes no sense.
        """
        return Settings(
            http=self["http"],
            port=os.environ.get("PORT"),
            hsts=int(self["hsts"]),
            udp=self["udp"],
            public_udp=self["public-udp"],
            public_url=self["public-url"],
            backend=self["backend"],
            sessions=self["sessions"],
            queues=self["queues"],
            materials=self["materials"],
            auth=self["auth"],
            limits=self._limits,
            prefixes=self["prefixes"],
            origins=self["origins"],
            trusted_proxies=Networks.parse(self["trusted-proxy"] or "", "--trusted-proxy"),
            idle_timeout=float(self["idle-timeout"]),
            ping_interval=int(self["ping-interval"]),
            missed_pongs=int(self["missed-pongs"]),
            drain_time=float(self["drain-time"]),
            refresh=float(self["refresh"]),
            udp_heartbeat=int(self["udp-heartbeat"]),
            udp_full_sync=float(self["udp-full-sync"]),
            udp_key_rotation=float(self["udp-key-rotation"]),
            udp_token_renewal=float(self["udp-token-renewal"]),
            udp_path_size=int(self["udp-path-size"]),
            tolerance_percent=float(self["tolerance-percent"]),
            tolerance_ms=int(self["tolerance-ms"]),
            crafting_service=self["crafting-service"],
            real_time_combat=self["real-time-combat"],
            health_interval=float(self["health-interval"]),
            worker=int(os.environ[WORKER]) if WORKER in os.environ else None,
            workers=int(self["workers"]),
            links=os.environ.get(LINKS),
        )

    @property
    def _limits(self) -> Limits:
        return Limits(
            connections=int(self["max-connections"]),
            per_player=int(self["max-per-player"]),
            per_session=int(self["max-per-session"]),
            per_address=int(self["max-per-address"]),
            handshakes=float(self["handshake-rate"]),
            health=float(self["health-rate"]),
            health_batches=float(self["health-batch-rate"]),
            connects=float(self["connect-rate"]),
            connects_per_player=float(self["connect-rate-per-player"]),
            messages=float(self["message-rate"]),
            message_size=int(self["max-message"]),
            half_open=int(self["max-half-open"]),
            half_open_per_address=int(self["max-half-open-per-address"]),
            refused_pages=int(self["max-refused-pages"]),
            patience=float(self["handshake-timeout"]),
            unlimited=Networks.parse(self["unlimited-from"], "--unlimited-from"),
        )


def makeService(options: Options) -> IService:  # the name twistd looks for.
    """The service that `options` describe.

    Raises:
        SystemExit: they make no sense. (twistd shows a UsageError only while it parses options.)
    """
    from twisted.internet import reactor  # here and not above: twistd installs the one that --reactor names.

    try:
        return _service(options, options.settings, steady(reactor))
    except ConfigurationError as error:
        raise SystemExit(f"craftnet: {error}") from None


def _service(options: Options, settings: Settings, reactor: Any) -> Craftnet | Supervisor:
    workers = int(options["workers"])
    if settings.worker is not None:
        worker = build(settings, reactor, os.environ)
        supervisor = int(os.environ.get(SUPERVISOR, os.getppid()))
        OrphanWatch(reactor, supervisor).setServiceParent(worker)
        if LIVENESS in os.environ:
            Heartbeat(reactor, os.environ[LIVENESS]).setServiceParent(worker)
        obey_supervisor(reactor, worker)
        return worker
    if workers == 1:
        service: Craftnet | Supervisor = build(settings, reactor, os.environ)
    else:
        divided = check_workers(settings, reactor, os.environ)
        from craftnet.supervisor import Supervisor, command  # not above: Twisted's process monitor imports the reactor.

        line = command(options.given, options.parent or {})
        patience, timeout = settings.drain_time + KILL_AFTER, float(options["worker-timeout"])
        service = Supervisor(
            reactor, workers, line, WORKER, os.environ, patience=patience, timeout=timeout, divided=divided
        )
    obey(reactor, service)
    return service
