"""Writes the log of twistd according to the options: format, levels, floods."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, MutableMapping
from typing import IO, Any, cast

from twisted.logger import FileLogObserver, ILogObserver, LogEvent, LogLevelFilterPredicate, PredicateResult
from twisted.python.logfile import LogFile
from twisted.python.reflect import namedAny
from zope.interface import implementer

from craftnet.observe.logs.lines import Floods, json_lines, parse_levels, set_levels, text_line


@implementer(ILogObserver)
class FilteringObserver:
    """Passes on the events that the levels admit, and one event for each flood.

    Arguments:
        levels: decides about each event.
        observer: receives the admitted events.
    """

    def __init__(self, levels: LogLevelFilterPredicate, observer: Callable[[LogEvent], object]) -> None:
        self._levels = levels
        self._observer = observer
        self._floods = Floods()

    def __call__(self, event: LogEvent) -> None:
        """As in `ILogObserver`."""
        if self._levels(event) is PredicateResult.no:
            return
        for summary in self._floods.ended(float(event.get("log_time", 0.0))):
            self._observer(summary)
        if self._floods.admit(event):
            self._observer(event)


class ProcessLog:
    """The log of this process. twistd opens it, by its name, before there is a service."""

    def __init__(self) -> None:
        self._levels = LogLevelFilterPredicate()
        self._twistd: Mapping[str, Any] = {}
        self._given: str | None = None
        self._line: Callable[[LogEvent], str] = text_line

    def configure(
        self, twistd: MutableMapping[str, Any], log_format: str, levels: tuple[str, ...], environ: Mapping[str, str]
    ) -> None:
        """Makes twistd use this log. With `--syslog`, twistd keeps its own format and all levels.

        Arguments:
            twistd: the options of twistd. With `--logger`, that observer gets the admitted events and formats them
                itself.
            environ: numbers workers.

        Raises:
            ConfigurationError: a level is malformed.
        """
        self.set_levels(levels)
        if twistd.get("syslog"):
            return
        if log_format == "json":
            self._line = json_lines(os.uname().nodename, environ.get("CRAFTNET_WORKER"))
        self._twistd, self._given = twistd, twistd.get("logger") or None
        twistd["logger"] = LOG_NAME

    def set_levels(self, levels: tuple[str, ...]) -> None:
        """Replaces the levels; raises ConfigurationError when one is malformed."""
        set_levels(self._levels, parse_levels(levels))

    def __call__(self) -> FilteringObserver:
        """Opens the log, as twistd asks the object that `--logger` names."""
        if self._given is None:
            return FilteringObserver(self._levels, FileLogObserver(self._file(), self._line))
        try:
            return FilteringObserver(self._levels, namedAny(self._given)())
        except Exception as error:  # importing it may raise anything.
            raise SystemExit(f"craftnet: --logger {self._given} cannot be used: {error}") from None

    def _file(self) -> IO[Any]:
        """The file that twistd would write, which SIGUSR1 rotates."""
        name = self._twistd.get("logfile")
        if name == "-" or (self._twistd.get("nodaemon") and not name):
            return cast("IO[Any]", sys.stdout)
        file = LogFile.fromFullPath(name or "twistd.log")

        def rotate(number: int, frame: Any) -> None:
            from twisted.internet import reactor  # not above: twistd installs the one that --reactor names.

            reactor.callFromThread(file.rotate)  # type: ignore[attr-defined]  # of IReactorFromThreads.

        if signal.getsignal(signal.SIGUSR1) == signal.SIG_DFL:
            signal.signal(signal.SIGUSR1, rotate)
        return cast("IO[Any]", file)  # it has what an observer needs: write and flush.


LOG = ProcessLog()
"""A process has one log, and twistd finds it by this name."""

LOG_NAME = f"{__name__}.LOG"
"""The value for twistd's --logger."""
