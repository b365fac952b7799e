"""The effect of signals on a server and on a worker; handlers are called as the system calls them, in this process."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.error import ReactorNotRunning
from twisted.trial.unittest import SynchronousTestCase

from craftnet.server.signals import HURRY, RELOAD, obey, obey_supervisor


class Reactor:
    """Runs calls at once, and records what to do when it stops."""

    def __init__(self) -> None:
        self.stops = 0
        self._stopping: list[Callable[[], object]] = []

    def callWhenRunning(self, function: Callable[..., object], *arguments: Any) -> None:
        """It runs."""
        function(*arguments)

    callFromThread = callWhenRunning

    def addSystemEventTrigger(self, phase: str, event: str, function: Callable[..., object], *arguments: Any) -> None:
        """As in IReactorCore; there is only one event."""
        self._stopping.append(lambda: function(*arguments))

    def stop(self) -> None:
        """As Twisted's own, only once."""
        if self.stops:
            raise ReactorNotRunning
        self.stops += 1
        for function in self._stopping:
            function()


class SignalTests(SynchronousTestCase):
    """A service that counts how often it is hurried, and reloads."""

    def setUp(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, HURRY, RELOAD):
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        self.reactor = Reactor()
        self.hurries = 0
        self.reloads = self.rotations = 0

    def hurry(self) -> None:
        """As in `Controlled`."""
        self.hurries += 1

    def reload(self) -> None:
        """As in `Controlled`."""
        self.reloads += 1

    def rotate(self) -> None:
        """As in `Controlled`."""
        self.rotations += 1

    def get(self, *numbers: int) -> tuple[int, int]:
        """Get signals; answers how often the server was stopped, and hurried."""
        for number in numbers:
            os.kill(os.getpid(), number)
        return self.reactor.stops, self.hurries

    def test_server(self) -> None:
        obey(self.reactor, self)
        self.assertEqual(self.get(signal.SIGTERM), (1, 0))
        self.assertEqual(self.get(signal.SIGTERM), (1, 1))
        self.assertEqual(self.get(signal.SIGINT), (1, 2))

    def test_terminal(self) -> None:
        """Ctrl-C stops as SIGTERM does, and the process ends with exit code 0."""
        obey(self.reactor, self)
        self.assertEqual(self.get(signal.SIGINT), (1, 0))

    def test_reload(self) -> None:
        for obeys in (obey, obey_supervisor):
            obeys(self.reactor, self)
            self.assertEqual(self.get(RELOAD), (0, 0))
        self.assertEqual(self.reloads, 2)

    def test_log_rotation(self) -> None:
        """SIGUSR1 calls twistd's handler, if there is one, and rotates the service's own files."""
        rotations: list[int] = []
        signal.signal(signal.SIGUSR1, lambda *_: rotations.append(1))
        obey(self.reactor, self)
        self.get(signal.SIGUSR1)
        self.assertEqual(rotations, [1])
        for obeys in (obey, obey_supervisor):
            signal.signal(signal.SIGUSR1, signal.SIG_DFL)
            obeys(self.reactor, self)
            self.assertEqual(self.get(signal.SIGUSR1), (0, 0))
        self.assertEqual((rotations, self.rotations), ([1], 3))

    def test_worker(self) -> None:
        """It knows already that it is not alone."""
        obey_supervisor(self.reactor, self)
        self.assertEqual(self.get(signal.SIGINT), (0, 0))
        self.assertEqual(self.get(signal.SIGTERM, signal.SIGTERM, signal.SIGINT), (1, 0))
        self.assertEqual(self.get(HURRY), (1, 1))
