"""`twistd craftnet`: its options, and the service that they describe."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from twisted.application.service import IService
from twisted.python.usage import Options as UsageOptions

from craftnet import __version__
from craftnet.clocks import steady
from craftnet.errors import ConfigurationError
from craftnet.limits.client_address import Networks
from craftnet.limits.connection_limits import BURST_SECONDS, Limits
from craftnet.providers.registry import help_text
from craftnet.server.build import build, check_workers
from craftnet.server.service import Craftnet
from craftnet.server.settings import Settings
from craftnet.server.signals import obey, obey_supervisor
from craftnet.server.workers import LIVENESS_VARIABLE, SUPERVISOR_VARIABLE, LivenessSignal, OrphanWatch
from craftnet.sharding.links import LINKS_VARIABLE

if TYPE_CHECKING:  # for annotations only; see `_service`.
    from craftnet.server.workers import Supervisor

KILL_AFTER = 30.0
"""Seconds that a worker may take to stop, beyond its drain time."""

WORKER_TIMEOUT = 30.0
"""Seconds of silence after which a worker counts as hanging."""

WORKER = "CRAFTNET_WORKER"
"""The environment variable with a worker's number, from 0."""
DEFAULTS = Settings()


class Number:
    """A coercion to a number between two bounds, which --help and the error text name.

    Arguments:
        kind: int or float.
        least, most: the bounds, inclusive.
    """

    def __init__(self, kind: Callable[[str], float], least: float, most: float) -> None:
        self._kind, self.least, self.most = kind, least, most
        self.coerceDoc = f"It must be from {least:.15g} to {most:.15g}."

    def __call__(self, text: str) -> float:
        value = self._kind(text)
        if not self.least <= value <= self.most:
            raise ValueError(f"must be from {self.least:.15g} to {self.most:.15g}")
        return value


NUMBER_OF = Number(int, 0, 1_000_000)
RATE = Number(float, 0, 1e6)
BURST_TEXT = (
    f"Up to {BURST_SECONDS:g} seconds' worth may come at once; further ones are refused with 429 (0 = unlimited)"
)

GROUPS: dict[str, list[list[Any] | str]] = {
    # Each option as Twisted's optParameters have it, or the name of one that a method of `Options` handles.
    "Addresses": [
        ["http", None, None, "Endpoint for HTTP and WebSocket, such as tcp:8080 or ssl:443:privateKey=…:certKey=… "
         "[default: tcp:$PORT, or tcp:8080]"],
        ["udp", None, None, "UDP port (on every address, IPv4 and IPv6), host:port, [IPv6]:port, or off "
         "[default: 8082]"],
        ["public-udp", None, None, "host:port that clients send UDP to "
         "[default: the host by which they reach this server over HTTP, and the port of --udp]"],
        ["public-url", None, None, "URL by which clients reach this server, such as https://craft.example, optionally "
         "with a base path; used for URLs in answers and for the Origin check [default: what X-Forwarded-Proto and "
         "X-Forwarded-Host of a --trusted-proxy say, else Host]"],
        "prefix",
        ["trusted-proxy", None, None, "Networks of the proxies whose X-Forwarded-For, -Proto and -Host are believed, "
         "such as 10.0.0.0/8; unix stands for proxies on a UNIX socket. Without it, all clients of a proxy share the "
         "limits of one address"],
        ["hsts", None, DEFAULTS.hsts, "Seconds for Strict-Transport-Security in answers over TLS (0 = not sent)",
         Number(int, 0, 2**31)],
    ],
    "State": [
        ["backend", None, DEFAULTS.backend, "Where sessions, queues and materials are kept, NAME:key=value:…; "
         "see --help-backends"],
        ["sessions", None, None, "Another back end for sessions [default: that of --backend]"],
        ["queues", None, None, "Another back end for queues [default: that of --backend]"],
        ["materials", None, None, "Another back end for materials [default: that of --backend]"],
        "help-backends",
    ],
    "Access": [
        ["auth", None, None, "How tokens are checked: jwt:jwks=FILE-or-URL or jwt:key=PEM-FILE, optionally with "
         ":aud=…, :iss=… and :kid=optional [default: development tokens, signed with $CRAFTNET_JWT_SECRET; without "
         "that variable, with a secret made at start-up, and then the server listens on loopback only]"],
        "origin",
    ],
    "Limits": [
        ["max-connections", None, DEFAULTS.limits.connections, "Maximum number of feeds (WebSockets, event "
         "streams); further handshakes are refused with 429 (0 = unlimited)", NUMBER_OF],
        ["max-per-player", None, DEFAULTS.limits.per_player, "Maximum number of feeds of one player, "
         "on all nodes that share a back end (0 = unlimited)", NUMBER_OF],
        ["max-per-session", None, DEFAULTS.limits.per_session, "Maximum number of feeds of one "
         "crafting session (0 = unlimited)", NUMBER_OF],
        ["max-per-address", None, DEFAULTS.limits.per_address, "Maximum number of feeds from one "
         "address; an IPv6 address counts as its /64 (0 = unlimited)", NUMBER_OF],
        ["max-half-open", None, DEFAULTS.limits.half_open, "Maximum number of connections that have not sent a whole "
         "request yet; the oldest is dropped for a further one (0 = unlimited)", NUMBER_OF],
        ["max-half-open-per-address", None, DEFAULTS.limits.half_open_per_address, "As --max-half-open, for one "
         "address (0 = unlimited)", NUMBER_OF],
        ["max-refused-pages", None, DEFAULTS.limits.refused_pages, "Maximum number of web pages whose handshake was "
         "refused and that are being closed with a code that says why; further ones get the HTTP status, which pages "
         "cannot see (0 = unlimited)", NUMBER_OF],
        ["max-message", None, DEFAULTS.limits.message_size, "Maximum size of a WebSocket client's message, in bytes; "
         "a client that exceeds it is closed with 1009", Number(int, 1024, 2**24)],
        ["handshake-rate", None, DEFAULTS.limits.handshakes, "WebSocket handshakes and event streams per second "
         "from one address. "
         f"{BURST_TEXT}", RATE],
        ["health-rate", None, DEFAULTS.limits.health, "Requests per second from one address to GET /health and GET "
         f"/health/ws together. {BURST_TEXT}", RATE],
        ["health-batch-rate", None, DEFAULTS.limits.health_batches, "Requests per second from one address to POST "
         f"/health/batch. {BURST_TEXT}", RATE],
        ["connect-rate", None, DEFAULTS.limits.connects, "Requests per second from one address to POST …/connect. "
         f"{BURST_TEXT}", RATE],
        ["connect-rate-per-player", None, DEFAULTS.limits.connects_per_player, "Requests per second to POST "
         f"…/connect for the sessions of one player, from all addresses. {BURST_TEXT}", RATE],
        ["message-rate", None, DEFAULTS.limits.messages, "Messages and pings per second from one WebSocket client; "
         "excess ones are ignored, and a client that keeps exceeding the rate is closed with 4029 (0 = unlimited)",
         RATE],
        ["unlimited-from", None, "127.0.0.0/8,::1", "Networks that are exempt from every limit per address, such as "
         "those of monitoring and of load tests"],
        ["handshake-timeout", None, DEFAULTS.limits.handshake_timeout, "Seconds for the head of a request to "
        "arrive, and again "
         "for the answer to a WebSocket handshake", Number(float, 0.1, 600)],
        ["idle-timeout", None, DEFAULTS.idle_timeout, "Seconds that a kept-alive HTTP connection may wait for its next "
         "request. It must be longer than the proxy in front keeps its own connections: the default suits AWS's ALB "
         "(60) and nginx (60 to servers); Google's load balancers (600) need 620", Number(float, 1, 86_400)],
    ],
    "WebSocket": [
        ["ping-interval", None, DEFAULTS.ping_interval, "Seconds between WebSocket pings", Number(int, 1, 3600)],
        ["missed-pongs", None, DEFAULTS.missed_pongs, "Number of unanswered pings in a row after which a connection "
         "is dropped", Number(int, 1, 100)],
        ["drain-time", None, DEFAULTS.drain_time, "Seconds over which connections are closed when the server stops "
         "(0 = all at once)", Number(float, 0, 3600)],
    ],
    "UDP": [
        ["udp-heartbeat", None, DEFAULTS.udp_heartbeat, "Milliseconds between heartbeats; a connection is lost after "
         "three intervals of silence", Number(int, 1000, 30_000)],
        ["udp-full-sync", None, DEFAULTS.udp_full_sync, "Seconds, on average, after which a client gets the full state "
         "again", Number(float, 1, 3600)],
        ["udp-key-rotation", None, DEFAULTS.udp_key_rotation, "Seconds after which the server updates its keys of a "
         "connection; less than the default only to test a client", Number(float, 1, 600)],
        ["udp-token-renewal", None, DEFAULTS.udp_token_renewal, "Seconds after which the server sends a client a fresh "
         "session_token; less than the default only to test a client", Number(float, 1, 1800)],
        ["udp-path-size", None, DEFAULTS.udp_path_size, "Maximum size of a UDP datagram to a client, in bytes; more "
         "than the default only where the whole network carries it", Number(int, 64, 65_507)],
    ],
    "Updates": [
        ["tolerance-percent", None, DEFAULTS.tolerance_percent, "Points of progress by which a client's copy may be "
         "wrong before it gets an update", Number(float, 0.01, 100)],
        ["tolerance-ms", None, DEFAULTS.tolerance_ms, "Milliseconds by which a client's remaining time may be wrong "
         "before it gets an update; 1 % of the remaining time if that is more", Number(int, 1, 60_000)],
        ["refresh", None, DEFAULTS.refresh, "Seconds after which a running craft is sent again although nothing "
         "changed", Number(float, 0.5, 3600)],
    ],
    "Health": [
        ["crafting-service", None, None, "URL that answers 2xx when crafting-service is well [default: not checked]"],
        ["real-time-combat", None, None, "URL that answers 2xx when real-time-combat is well [default: not checked]"],
        ["health-interval", None, DEFAULTS.health_interval, "Seconds between health checks, and between health updates",
         Number(float, 0.5, 3600)],
    ],
    "Processes": [
        ["workers", None, DEFAULTS.workers, "Number of processes, all on the same HTTP port, each with a UDP port "
         "of its own from --udp on. They share the back end, or divide the players of memory or workshop",
         Number(int, 1, 256)],
        ["worker-timeout", None, WORKER_TIMEOUT, "Seconds without a sign of life after which a worker is killed and "
         "started again", Number(float, 3, 3600)],
    ],
    "Information": ["help", "version"],
}  # fmt: skip
"""Every option, under the heading that --help and the documentation give it."""

COERCIONS: dict[str, Any] = {
    option[0]: option[4]
    for group in GROUPS.values()
    for option in group
    if isinstance(option, list) and len(option) > 4
}
"""What makes a value of the text after an option; those that are not here take the text."""


class Options(UsageOptions):
    """The options of `twistd craftnet`."""

    synopsis = "[options]"
    longdesc = (
        "The crafting network service: shows players, over WebSocket and UDP, how their crafts progress, "
        "their places in station queues and which materials are short."
    )

    optParameters: ClassVar[list[list[Any]]] = [
        option for group in GROUPS.values() for option in group if isinstance(option, list)
    ]

    given: Sequence[str] = ()

    def getUsage(self, width: int | None = None) -> str:
        """The text of --help: options under their headings, in the order of `GROUPS`."""
        width = width or int(os.environ.get("COLUMNS", "80"))
        lines = ["", *textwrap.wrap(self.longdesc, width)]
        for heading, options in GROUPS.items():
            lines += ["", f"{heading}:"]
            for option in options:
                name = option if isinstance(option, str) else option[0]
                takes_value = f"{name}=" in self.longOpt
                lines.append(f"  --{name}{'=' * takes_value}")
                lines += textwrap.wrap(self.describe(name), width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return "\n".join(lines) + "\n"

    def describe(self, name: str) -> str:
        """What an option means: its text, its default and its range."""
        text = " ".join(str(self.docs[name]).split()).rstrip(".")
        default, coercion = self.defaults.get(name), COERCIONS.get(name)
        if default is not None:
            text += f" [default: {default}]"
        limits = getattr(coercion, "coerceDoc", "")
        return f"{text}. {limits}" if limits else text + "."

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Keep them as given, for workers."""
        self.given = options or ()
        super().parseOptions(options)

    def __init__(self) -> None:
        super().__init__()
        self["origins"] = ()
        self["prefixes"] = ()

    def opt_prefix(self, prefix: str) -> None:
        """Further base path of every route, such as /crafting; may be repeated"""
        self["prefixes"] = (*self["prefixes"], prefix)

    def opt_origin(self, origin: str) -> None:
        """Site whose pages may connect: https://game.example, https://*.game.example, null, file:// or *; may be
        repeated [default: the server's own pages]"""
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
            links=os.environ.get(LINKS_VARIABLE),
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
            handshake_timeout=float(self["handshake-timeout"]),
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
        supervisor = int(os.environ.get(SUPERVISOR_VARIABLE, os.getppid()))
        OrphanWatch(reactor, supervisor).setServiceParent(worker)
        if LIVENESS_VARIABLE in os.environ:
            LivenessSignal(reactor, os.environ[LIVENESS_VARIABLE]).setServiceParent(worker)
        obey_supervisor(reactor, worker)
        return worker
    if workers == 1:
        service: Craftnet | Supervisor = build(settings, reactor, os.environ)
    else:
        divided = check_workers(settings, reactor, os.environ)
        from craftnet.server.workers import (  # not above: Twisted's process monitor imports the reactor.
            Supervisor,
            command,
        )

        command_line = command(options.given, options.parent or {})
        stop_timeout, timeout = settings.drain_time + KILL_AFTER, float(options["worker-timeout"])
        service = Supervisor(
            reactor,
            workers,
            command_line,
            WORKER,
            os.environ,
            stop_timeout=stop_timeout,
            timeout=timeout,
            divided=divided,
        )
    obey(reactor, service)
    return service
