"""Workers that die, by the clock; as processes they are in `craftnet.tests.system.test_workers`."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IReactorProcess
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import capturedLogs, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.observe.metrics.process_files import FOLDER_VARIABLE
from craftnet.server.signals import HURRY, RELOAD
from craftnet.server.workers import LIVENESS_INTERVAL, LIVENESS_VARIABLE, START_TIMEOUT, LivenessSignal, Supervisor
from craftnet.sharding.links import LINKS_VARIABLE
from craftnet.tests.support.fakes import SteppedClock

LONG = 3600.0
"""Seconds for which a worker runs that is well."""

SLOW = 1.5
"""Seconds that a worker needs to find that it cannot start."""

TIMEOUT = 30.0
"""Seconds of silence after which a worker is killed."""


class Process:
    """The supervisor's view of a worker."""

    def __init__(self, protocol: ProcessProtocol, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.signals: list[str | int] = []
        self._protocol = protocol
        protocol.makeConnection(self)

    def signalProcess(self, number: str | int) -> None:
        """As in IProcessTransport."""
        self.signals.append(number)

    def die(self, reason: Exception | None = None) -> None:
        """End."""
        self._protocol.processEnded(Failure(reason or ProcessTerminated(1)))


@implementer(IReactorProcess)
class Reactor(SteppedClock):
    """Starts processes that do nothing. `started` has them all, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.started: list[Process] = []

    def spawnProcess(  # type: ignore[override]  # the arguments that are used.
        self, protocol: ProcessProtocol, executable: str, args: Sequence[str], env: Mapping[str, str], **_: Any
    ) -> Process:
        """As in IReactorProcess."""
        self.started.append(Process(protocol, env))
        return self.started[-1]


class SupervisorTests(SynchronousTestCase):
    """Of one worker, or two."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.patch(tempfile, "tempdir", str(folder))
        self.reactor = Reactor()
        self.events = self.enterContext(capturedLogs())

    @property
    def said(self) -> list[str]:
        """The supervisor's log."""
        own = [event for event in self.events if event.get("log_namespace", "").startswith("craftnet.")]
        return [eventAsText(event, includeTimestamp=False, includeSystem=False) for event in own]

    def supervisor(self, workers: int = 1, *, divided: bool = False) -> Supervisor:
        """Running."""
        supervisor = Supervisor(
            self.reactor, workers, ["craftnet"], "NUMBER", {}, stop_timeout=5, timeout=TIMEOUT, divided=divided
        )
        supervisor.startService()
        return supervisor

    def wait(self) -> float:
        """Seconds until the next process is started."""
        before, began = len(self.reactor.started), self.reactor.seconds()
        while len(self.reactor.started) == before:
            self.reactor.advance(0.25)
        return self.reactor.seconds() - began

    def test_waits_longer_and_longer(self) -> None:
        """A worker whose port is taken is not started all the time; one that was well is, at once."""
        self.supervisor()
        waits = []
        for _ in range(7):
            self.reactor.advance(SLOW)
            self.reactor.started[-1].die()
            waits.append(self.wait())
        self.assertEqual(waits, [1, 2, 4, 8, 16, 30, 30])
        self.reactor.advance(LONG)
        self.reactor.started[-1].die()
        self.assertLess(self.wait(), 0.5)
        self.reactor.advance(SLOW)
        self.reactor.started[-1].die()
        self.assertEqual(self.wait(), 1)

    def test_deaths_are_logged(self) -> None:
        supervisor = self.supervisor(2)
        first, second = self.reactor.started
        first.die(ProcessTerminated(3))
        second.die(ProcessTerminated(None, 9))
        self.wait()
        self.reactor.started[-1].die(ProcessDone(0))
        self.assertEqual(
            self.said,
            [
                "worker-0 ended with exit code 3: started again in 1 s",
                "worker-1 was killed by SIGKILL: started again in 1 s",
                "worker-1 ended: started again in 2 s",
            ],
        )
        folder = first.environment[FOLDER_VARIABLE]
        (counted,) = MultiProcessCollector(CollectorRegistry(), folder).collect()
        numbers = {sample.labels["worker"]: sample.value for sample in counted.samples}
        self.assertEqual((counted.name, numbers), ("craftnet_worker_restarts", {"0": 1.0, "1": 2.0}))
        supervisor.stopService()

    def test_lost_settings_are_logged(self) -> None:
        """And where the workers reach each other: in the folder that only their user can enter."""
        supervisor = self.supervisor(2, divided=True)
        first, second = self.reactor.started
        self.assertEqual(first.environment[LINKS_VARIABLE], second.environment[LINKS_VARIABLE])
        self.assertEqual(Path(first.environment[LINKS_VARIABLE]).stat().st_mode & 0o777, 0o700)
        first.die(ProcessTerminated(3))
        lost = "worker-0 ended with exit code 3: started again in 1 s; the state of its players is lost"
        self.assertEqual(self.said, [lost])
        supervisor.stopService()

    def heartbeat(self, process: Process) -> LivenessSignal:
        """A healthy worker's signs of life."""
        heartbeat = LivenessSignal(self.reactor, process.environment[LIVENESS_VARIABLE])
        heartbeat.startService()
        return heartbeat

    def advance(self, seconds: float) -> None:
        """Let time pass, as it does."""
        for _ in range(round(seconds / LIVENESS_INTERVAL)):
            self.reactor.advance(LIVENESS_INTERVAL)

    def test_a_worker_that_hangs(self) -> None:
        """It is killed, and started again; others are not."""
        supervisor = self.supervisor(2)
        first, second = self.reactor.started
        hanging, _ = self.heartbeat(first), self.heartbeat(second)
        self.advance(5)
        hanging.stopService()
        self.advance(TIMEOUT - 1)
        self.assertEqual(first.signals, [])
        self.advance(3)
        self.assertEqual((first.signals, second.signals), ([signal.SIGKILL], []))
        first.die(ProcessTerminated(None, 9))
        self.advance(1)
        self.assertEqual(len(self.reactor.started), 3)
        self.assertEqual(
            self.said,
            [
                "worker-0 gives no sign of life: killed",
                "worker-0 was killed by SIGKILL: started again in 0 s",
            ],
        )
        supervisor.stopService()

    def test_a_worker_that_never_starts(self) -> None:
        """It has more time than one that was well."""
        supervisor = self.supervisor()
        self.advance(START_TIMEOUT)
        self.assertEqual(self.reactor.started[0].signals, [])
        self.advance(2)
        self.assertEqual(self.reactor.started[0].signals, [signal.SIGKILL])
        supervisor.stopService()

    def test_all_processes_were_suspended(self) -> None:
        """The supervisor is the first to resume, an hour later."""
        supervisor = self.supervisor()
        self.heartbeat(self.reactor.started[0])
        self.advance(2)
        self.reactor.rightNow += 3600
        self.advance(3)
        self.assertEqual(self.reactor.started[0].signals, [])
        supervisor.stopService()

    def test_the_folder_is_cleaned_up(self) -> None:
        """Removed as an abandoned file."""
        supervisor = self.supervisor()
        heartbeat = self.heartbeat(self.reactor.started[0])
        Path(self.reactor.started[0].environment[LIVENESS_VARIABLE]).unlink()
        self.advance(TIMEOUT + 5)
        self.assertEqual(self.reactor.started[0].signals, [])
        heartbeat.stopService()
        self.advance(TIMEOUT + 2)
        self.assertEqual(self.reactor.started[0].signals, [signal.SIGKILL])
        supervisor.stopService()

    def test_reload(self) -> None:
        """A worker that has not started yet would be killed by the signal."""
        supervisor = self.supervisor(2)
        self.heartbeat(self.reactor.started[0])
        self.advance(2)
        supervisor.reload()
        self.assertEqual([process.signals for process in self.reactor.started], [[RELOAD], []])
        supervisor.stopService()

    def test_stops(self) -> None:
        """SIGTERM, and the signal for more haste; logs a worker that did not exit cleanly."""
        supervisor = self.supervisor(2)
        first, second = self.reactor.started
        ended = supervisor.stopService()
        supervisor.hurry()
        self.assertEqual((first.signals, second.signals), (["TERM", HURRY], ["TERM", HURRY]))
        first.die(ProcessDone(0))
        self.reactor.advance(5)
        self.assertEqual(second.signals[2:], ["KILL"])
        second.die(ProcessTerminated(None, 40))
        self.assertNoResult(ended)
        self.reactor.advance(1)
        self.successResultOf(ended)
        self.assertEqual(self.said, ["worker-1 was killed by signal 40"])
        self.assertFalse(Path(first.environment[FOLDER_VARIABLE]).exists())
