"""`twistd craftnet`: its command line, and the service that it describes."""

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
from craftnet.providers.registry import help_text
from craftnet.server.build import build
from craftnet.server.build.workers import check_workers
from craftnet.server.options.option import Declaration
from craftnet.server.options.table import GROUPS, OPTIONS
from craftnet.server.service import Craftnet
from craftnet.server.settings import WORKER_VARIABLE, Settings, settings_of
from craftnet.server.signals import obey, obey_supervisor
from craftnet.server.workers import LIVENESS_VARIABLE, SUPERVISOR_VARIABLE, LivenessSignal, OrphanWatch

if TYPE_CHECKING:  # for annotations only; see `_service`.
    from craftnet.server.workers import Supervisor

KILL_AFTER = 30.0
"""Seconds that a worker may take to stop, beyond its drain time."""


class Options(UsageOptions):
    """The options of `twistd craftnet`, as `craftnet.server.options` declares them.

    It maps the name of each option that was given to a text, or a number.
    """

    synopsis = "[options]"
    longdesc = (
        "The crafting network service: shows players, over WebSocket and UDP, the progress of their crafts, "
        "their positions in station queues and their material shortages."
    )

    optFlags: ClassVar[list[list[str]]] = [
        [each.name, "", each.option.help] for each in OPTIONS.values() if each.is_flag
    ]
    optParameters: ClassVar[list[list[Any]]] = [
        [each.name, None, None, each.option.help, each.number if each.is_number else str]
        for each in OPTIONS.values()
        if not each.is_flag and not each.is_list
    ]  # options that may be repeated have methods, added below.

    given: Sequence[str] = ()

    def getUsage(self, width: int | None = None) -> str:
        """The text of --help: options under their headings, in the order of `GROUPS`."""
        width = width or int(os.environ.get("COLUMNS", "80"))
        lines = ["", *textwrap.wrap(self.longdesc, width)]
        for group in GROUPS:
            lines += ["", f"{group.heading}:"]
            for name in group.names:
                takes_value = f"{name}=" in self.longOpt
                lines.append(f"  --{name}{'=' * takes_value}")
                lines += textwrap.wrap(self.describe(name), width, initial_indent=" " * 6, subsequent_indent=" " * 6)
        return "\n".join(lines) + "\n"

    def describe(self, name: str) -> str:
        """What an option means: its text, its default and its range."""
        if name in OPTIONS:
            return OPTIONS[name].described()
        return " ".join(str(self.docs[name]).split()).rstrip(".") + "."

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """Keeps them as given, for workers."""
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
        """The options as the service takes them.

        Raises:
            ConfigurationError: one of them makes no sense.
        """
        return settings_of({name: self.get(name) for name in OPTIONS}, os.environ)


def _collector(option: Declaration) -> Callable[[Options, str], None]:
    """The method that twistd calls with each value of an option that may be repeated."""

    def collect(self: Options, text: str) -> None:
        self[option.name] = (*(self.get(option.name) or ()), *option.parts(text))

    collect.__doc__ = option.option.help
    return collect


for _each in OPTIONS.values():
    if _each.is_list:
        setattr(Options, f"opt_{_each.name.replace('-', '_')}", _collector(_each))


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
    if settings.worker is not None:
        worker = build(settings, reactor, os.environ)
        supervisor = int(os.environ.get(SUPERVISOR_VARIABLE, os.getppid()))
        OrphanWatch(reactor, supervisor).setServiceParent(worker)
        if LIVENESS_VARIABLE in os.environ:
            LivenessSignal(reactor, os.environ[LIVENESS_VARIABLE]).setServiceParent(worker)
        obey_supervisor(reactor, worker)
        return worker
    if settings.workers == 1:
        service: Craftnet | Supervisor = build(settings, reactor, os.environ)
    else:
        divided = check_workers(settings, reactor, os.environ)
        from craftnet.server.workers import (  # not above: Twisted's process monitor imports the reactor.
            Supervisor,
            command,
        )

        service = Supervisor(
            reactor,
            settings.workers,
            command(options.given, options.parent or {}),
            WORKER_VARIABLE,
            os.environ,
            stop_timeout=settings.drain_time + KILL_AFTER,
            timeout=settings.worker_timeout,
            divided=divided,
        )
    obey(reactor, service)
    return service
