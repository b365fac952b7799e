"""What the signals do that end a server."""

from __future__ import annotations

import signal
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.error import ReactorNotRunning

HURRY = signal.SIGUSR1
"""What tells a worker, which stops, not to wait for its watchers."""


class Patient(Protocol):
    """A service that takes its time to stop."""

    def hurry(self) -> None:
        """Stop without more ado, if it is stopping."""


def obey(reactor: Any, service: Patient) -> None:
    """Stop on SIGTERM and Ctrl-C; whoever asks again, while the server stops, does not want to wait."""
    reactor.callWhenRunning(_end_well, reactor)
    reactor.addSystemEventTrigger("before", "shutdown", _hurry_on, reactor, service, signal.SIGTERM, signal.SIGINT)


def obey_supervisor(reactor: Any, service: Patient) -> None:
    """As a worker: stop on SIGTERM, however often it comes, and hurry only when the supervisor says so.

    A terminal or systemd sends a signal to the supervisor and the workers, and then the supervisor sends its own: that
    does not mean that anybody is in a hurry.
    """

    def started() -> None:
        _end_well(reactor)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        _hurry_on(reactor, service, HURRY)

    reactor.callWhenRunning(started)


def _end_well(reactor: Any) -> None:
    """A server that was asked to stop, and did, has succeeded: exit 0. (twistd would end with the signal itself.)"""
    signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(_stop, reactor))


def _hurry_on(reactor: Any, service: Patient, *numbers: int) -> None:
    for number in numbers:
        signal.signal(number, lambda *_: reactor.callFromThread(service.hurry))


def _stop(reactor: Any) -> None:
    with suppress(ReactorNotRunning):  # it stops already.
        reactor.stop()
