"""`twistd craftnet`: its options, and the service they describe."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NoReturn

from twisted.application.service import IService
from twisted.python.usage import Options as UsageOptions

from craftnet import __version__
from craftnet.errors import ConfigurationError
from craftnet.registry import help_text
from craftnet.service import Settings, build, check_workers

WORKER = "CRAFTNET_WORKER"
"""The environment variable that tells a worker which one it is, from 0."""


def _number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    """A coercion to a number between two bounds; its docstring is what --help shows for a bad one."""

    def coerce(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise ValueError(f"must be from {least:g} to {most:g}")
        return value

    return coerce


class Options(UsageOptions):
    """What `twistd craftnet --help` shows."""

    synopsis = "[options]"
    longdesc = """The crafting network service: tells players, over WebSocket and UDP, how their crafts progress,
    where they stand in station queues and which materials are short."""

    optParameters: ClassVar[list[list[Any]]] = [
        ["http", None, None, "Endpoint for HTTP and WebSocket, such as tcp:8080 or ssl:443:privateKey=…:certKey=… "
         "[default: tcp:$PORT, or tcp:8080]"],
        ["udp", None, None, "UDP port, host:port, or off [default: 8082]"],
        ["public-udp", None, None, "host:port that clients are told to send UDP to "
         "[default: the host they sent their HTTP request to, and the port of --udp]"],
        ["backend", None, "memory", "Where sessions, queues and materials come from, NAME:key=value:…; "
         "see --help-backends"],
        ["sessions", None, None, "Another back end for sessions"],
        ["queues", None, None, "Another back end for queues"],
        ["materials", None, None, "Another back end for materials"],
        ["auth", None, None, "How tokens are checked: jwt:jwks=FILE-or-URL or jwt:key=PEM-FILE, with :aud=… and :iss=… "
         "if wanted. Without it: development tokens, signed with $CRAFTNET_JWT_SECRET; without that, too, with a "
         "secret made at start-up, and then only loopback is served"],
        ["max-connections", None, 20_000, "WebSocket connections at most; further ones are refused with 429",
         _number(int, 1, 1_000_000)],
        ["refresh", None, 5.0, "Seconds after which a running craft is told again even if nothing changed",
         _number(float, 0.5, 3600)],
        ["udp-heartbeat", None, 5000, "Milliseconds between UDP heartbeats", _number(int, 1000, 30_000)],
        ["crafting-service", None, None, "URL that answers 2xx when crafting-service is well"],
        ["real-time-combat", None, None, "URL that answers 2xx when real-time-combat is well"],
        ["health-interval", None, 10.0, "Seconds between health checks, and between health updates",
         _number(float, 0.5, 3600)],
        ["workers", None, 1, "Processes to run, all on the same HTTP port, each with a UDP port of its own from "
         "--udp on; needs a back end that they can share", _number(int, 1, 256)],
    ]  # fmt: skip

    given: Sequence[str] = ()

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Keep them as given, for workers."""
        self.given = options or ()
        super().parseOptions(options)

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
        """The options as the service takes them."""
        return Settings(
            http=self["http"],
            port=os.environ.get("PORT"),
            udp=self["udp"],
            public_udp=self["public-udp"],
            backend=self["backend"],
            sessions=self["sessions"],
            queues=self["queues"],
            materials=self["materials"],
            auth=self["auth"],
            max_connections=int(self["max-connections"]),
            refresh=float(self["refresh"]),
            udp_heartbeat=int(self["udp-heartbeat"]),
            crafting_service=self["crafting-service"],
            real_time_combat=self["real-time-combat"],
            health_interval=float(self["health-interval"]),
            worker=int(os.environ[WORKER]) if WORKER in os.environ else None,
        )


def makeService(options: Options) -> IService:  # the name twistd looks for.
    """The service that `options` describe.

    Raises:
        SystemExit: they make no sense. (twistd shows a UsageError only while it parses options.)
    """
    from twisted.internet import reactor  # here and not above: twistd installs the one that --reactor names.

    settings = options.settings
    try:
        if options["workers"] > 1 and settings.worker is None:
            check_workers(settings, reactor, os.environ)
            service = _supervisor(reactor, options)
        else:
            service = build(settings, reactor, os.environ)
    except ConfigurationError as error:
        raise SystemExit(f"craftnet: {error}") from None
    reactor.callWhenRunning(_end_well_on_sigterm, reactor)
    return service


def _supervisor(reactor: Any, options: Options) -> IService:
    from craftnet.supervisor import Supervisor  # here and not above: Twisted's process monitor imports the reactor.

    return Supervisor(reactor, int(options["workers"]), options.given, WORKER, os.environ)


def _end_well_on_sigterm(reactor: Any) -> None:
    """A server that was asked to stop, and did, has succeeded: exit 0. (twistd would end with the signal itself.)"""
    signal.signal(signal.SIGTERM, lambda number, frame: reactor.callFromThread(reactor.stop))
