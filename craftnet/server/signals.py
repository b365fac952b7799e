"""The signals of a server, of the supervisor of several workers, and of a worker.

| signal | server, supervisor | worker |
|---|---|---|
| SIGTERM | stops, with exit code 0; again: without waiting for watchers | stops |
| SIGINT | the same | ignored: a terminal sends it to the supervisor as well |
| SIGUSR2 | - | while it stops: no longer waits for watchers |
| SIGHUP | reloads; the supervisor forwards it | reloads |
| SIGUSR1 | rotates twistd's log and the audit log; the supervisor forwards it | rotates the audit log |
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.error import ReactorNotRunning

HURRY = signal.SIGUSR2
"""The signal on which a stopping worker does not wait for its watchers."""

RELOAD = signal.SIGHUP
"""The signal on which a server reloads."""


ROTATE = signal.SIGUSR1
"""The signal on which a server continues in new log files."""


class Controlled(Protocol):
    """A service that signals control."""

    def hurry(self) -> None:
        """Stops without waiting any longer, if it is stopping."""

    def reload(self) -> object:
        """Reads the configuration and changed files again."""

    def rotate(self) -> None:
        """Goes on in new files."""


def obey(reactor: Any, service: Controlled) -> None:
    """Makes this process obey its operator's signals."""
    _on(reactor, RELOAD, service.reload)
    reactor.callWhenRunning(_stop_on, reactor, signal.SIGTERM, signal.SIGINT)
    reactor.callWhenRunning(_rotate_too, reactor, service)
    reactor.addSystemEventTrigger("before", "shutdown", _hurry_on, reactor, service, signal.SIGTERM, signal.SIGINT)


def obey_supervisor(reactor: Any, service: Controlled) -> None:
    """Makes this process, a worker, obey its supervisor's signals.

    A terminal or systemd sends a signal to the supervisor and the workers, and then the supervisor sends its own. A
    repeated SIGTERM therefore does not mean that the operator is in a hurry.
    """
    _on(reactor, RELOAD, service.reload)
    _on(reactor, ROTATE, service.rotate)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the reactor installs a handler only where Python's own is in place.

    def started() -> None:
        _stop_on(reactor, signal.SIGTERM)
        _hurry_on(reactor, service, HURRY)

    reactor.callWhenRunning(started)


def _on(reactor: Any, number: int, function: Callable[[], object]) -> None:
    signal.signal(number, lambda *_: reactor.callFromThread(function))


def _stop_on(reactor: Any, *numbers: int) -> None:
    """Stops with exit code 0, since stopping on request is success. (twistd would exit with the signal itself.)"""
    for number in numbers:
        _on(reactor, number, lambda: _stop(reactor))


def _hurry_on(reactor: Any, service: Controlled, *numbers: int) -> None:
    for number in numbers:
        _on(reactor, number, service.hurry)


def _rotate_too(reactor: Any, service: Controlled) -> None:
    """Adds the service's own files to those that twistd rotates, if it writes a log."""
    twistd = signal.getsignal(ROTATE)

    def rotate(number: int, frame: Any) -> None:
        if callable(twistd):
            twistd(number, frame)
        reactor.callFromThread(service.rotate)

    signal.signal(ROTATE, rotate)


def _stop(reactor: Any) -> None:
    with suppress(ReactorNotRunning):  # it is already stopping.
        reactor.stop()
