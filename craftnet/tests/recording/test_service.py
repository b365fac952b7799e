"""What the server does with its recording's writer: it never waits for it, counts what is lost, and starts it again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessTerminated
from twisted.internet.interfaces import IProcessTransport
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, eventAsText
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.contract.events import MaterialsUpdate, QueueUpdate, SessionPause
from craftnet.contract.messages import MaterialNotification, MaterialProblem
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.recording.messages import Messages, WriterStatus, decode_observations, encode_status
from craftnet.recording.rows import PathSample
from craftnet.recording.service import (
    ALARM_INTERVAL,
    BATCH,
    FIRST_RETRY,
    FLUSH_DELAY,
    LAST_RETRY,
    MAX_WAITING,
    SAMPLE_INTERVAL,
    SILENCE,
    STOP_TIMEOUT,
    Recorder,
    RecordingMetrics,
)
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import IRON, NOW, OTHER_SESSION, PLAYER, SESSION, event, start


@implementer(IProcessTransport)
class FakeProcess(StringTransport):
    """A writer that takes everything, and does nothing by itself."""

    pid = 1

    def __init__(self, protocol: ProcessProtocol) -> None:
        super().__init__()
        self.protocol = protocol
        self.signals: list[str | int] = []
        self.closed = False
        self._messages = Messages()
        self.received: list[Sequence[tuple[float, Any]]] = []

    def writeToChild(self, childFD: int, data: bytes) -> None:
        """As in `IProcessTransport`."""
        self.received += [decode_observations(message) for message in self._messages.feed(data)]

    def closeStdin(self) -> None:
        """As in `IProcessTransport`."""
        self.closed = True

    def closeStdout(self) -> None:
        """As in `IProcessTransport`."""

    closeStderr = closeStdout

    def closeChildFD(self, descriptor: int) -> None:
        """As in `IProcessTransport`."""

    def signalProcess(self, signalID: str | int) -> None:
        """As in `IProcessTransport`."""
        self.signals.append(signalID)

    def report(self, status: WriterStatus) -> None:
        """Reports."""
        self.protocol.childDataReceived(1, encode_status(status))

    def end(self, status: int = 9) -> None:
        """Ends."""
        self.protocol.processEnded(Failure(ProcessTerminated(signal=status)))


class RecorderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        backend = MemoryBackend(self.clock, MemorySettings())
        self.sources = Sources.of(backend)
        self.store = MetricStore()
        self.samples = [PathSample(None, "udp", 0.02, 0.0)]
        self.writers: list[FakeProcess] = []
        self.spawn_problem: OSError | None = None
        self.logs = self.enterContext(capturedLogs())
        self.recorder = self.built(self.clock)
        self.recorder.startService()

    def built(self, clock: IClock) -> Recorder:
        """A recorder that starts fake writers."""

        def spawn(protocol: ProcessProtocol) -> FakeProcess:
            if self.spawn_problem is not None:
                raise self.spawn_problem
            self.writers.append(FakeProcess(protocol))
            return self.writers[-1]

        backoff = Backoff(first=FIRST_RETRY, cap=LAST_RETRY, stable=0.0, uniform=lambda low, high: high)
        return Recorder(self.sources, spawn, lambda: self.samples, clock, RecordingMetrics(self.store), backoff)

    def apply(self, *data: Any) -> None:
        """The sources apply events."""
        self.successResultOf(Deferred.fromCoroutine(self.sources.apply([event(each) for each in data])))

    def flood(self, number: int) -> None:
        """Many samples at once."""
        self.samples *= number
        self.clock.advance(SAMPLE_INTERVAL)

    def received(self, writer: int = -1) -> list[Any]:
        """The data of what a writer received."""
        return [data for message in self.writers[writer].received for _, data in message]

    def count(self, outcome: str) -> float:
        """The metric."""
        return self.store.numbers(families.RECORDING_OBSERVATIONS)[outcome,].value

    def said(self, text: str) -> int:
        """How many lines of the log have a text."""
        return sum(text in eventAsText(each) for each in self.logs)

    def test_accepted_events(self) -> None:
        """Of all sources, once each: not those that were refused or repeated."""
        begun = event(start())
        pause = SessionPause(session_id=SESSION, pause_reason="player_afk")
        queue = QueueUpdate(player_id=PLAYER, queue_position=2)
        notice = MaterialNotification(material_id=IRON, notification_type=MaterialProblem.MATERIAL_UNAVAILABLE)
        materials = MaterialsUpdate(session_id=SESSION, notifications=(notice,))
        self.successResultOf(Deferred.fromCoroutine(self.sources.apply([begun, begun])))
        self.apply(SessionPause(session_id=OTHER_SESSION, pause_reason="player_afk"), pause, queue, materials)
        self.assertEqual(self.received(), [])
        self.clock.advance(FLUSH_DELAY)
        self.assertEqual(self.received(), [begun.data, pause, queue, materials])
        self.assertEqual({when for message in self.writers[0].received for when, _ in message}, {NOW})

    def test_session_that_waits(self) -> None:
        """Is recorded where the envelope names it, too."""
        waiting = QueueUpdate(player_id=PLAYER, queue_position=2)
        envelope = event(waiting, session_id=SESSION)
        self.successResultOf(Deferred.fromCoroutine(self.sources.apply([envelope])))
        self.clock.advance(FLUSH_DELAY)
        self.assertEqual(self.received(), [replace(waiting, session_id=SESSION)])

    def test_bounded_turns(self) -> None:
        """However much waits, one turn of the reactor encodes a part."""
        self.flood(3 * BATCH)
        self.clock.advance(FLUSH_DELAY)
        self.assertEqual([len(message) for message in self.writers[0].received], [BATCH] * 3)

    def test_slow_writer(self) -> None:
        """While the pipe is full, observations wait up to a bound; beyond it they are dropped, counted and reported."""
        self.recorder.pauseProducing()
        self.flood(MAX_WAITING + 7)
        self.assertEqual((self.received(), self.count("dropped")), ([], 7))
        self.assertIn("its writer is too slow", self.recorder.problem)
        for _ in range(int(ALARM_INTERVAL)):
            self.clock.advance(1)
            self.samples = []
            self.writers[0].report(WriterStatus())
        self.assertEqual(self.said("50000 observations wait, and 7 were dropped"), 1)
        self.recorder.resumeProducing()
        self.clock.advance(0)
        self.assertEqual((len(self.received()), self.recorder.problem), (MAX_WAITING, ""))

    def test_writer_that_dies(self) -> None:
        """What was in its open batch is lost, and said to be; what waits goes to the next writer."""
        self.apply(start(), SessionPause(session_id=SESSION, pause_reason="player_afk"))
        self.clock.advance(FLUSH_DELAY)
        self.writers[0].report(WriterStatus(written=1, size=500))
        self.apply(start(OTHER_SESSION))
        self.writers[0].end()
        self.assertEqual((self.count("written"), self.count("lost")), (1, 1))
        self.assertEqual(self.said("1 observations of the recording are lost: they were in its open batch"), 1)
        self.assertEqual(self.said("does not run: killed by signal 9; it starts again in 1.0 s"), 1)
        self.assertIn("is being started again", self.recorder.problem)
        self.clock.advance(1)
        self.clock.advance(FLUSH_DELAY)
        self.assertEqual((len(self.writers), self.received()), (2, [start(OTHER_SESSION)]))
        self.assertEqual((self.recorder.problem, self.store.numbers(families.RECORDING_RESTARTS)[()].value), ("", 1))

    def test_writer_that_dies_again_and_again(self) -> None:
        """Is started after longer and longer, until one has written something."""
        self.samples = []
        waits = []
        for number in range(8):
            self.writers[-1].end()
            began = self.clock.seconds()
            while len(self.writers) == number + 1:
                self.clock.advance(0.5)
            waits.append(self.clock.seconds() - began)
        self.assertEqual(waits, [1, 2, 4, 8, 16, 32, 60, 60])
        self.writers[-1].report(WriterStatus(written=1))
        self.writers[-1].end()
        self.clock.advance(1)
        self.assertEqual(len(self.writers), 10)

    def test_writer_that_cannot_start(self) -> None:
        """Is started later; meanwhile the service goes on."""
        self.spawn_problem = OSError(11, "Resource temporarily unavailable")
        self.writers[0].end()
        self.clock.advance(1)
        self.assertEqual(self.said("Resource temporarily unavailable; it starts again in 2.0 s"), 1)
        self.spawn_problem = None
        self.clock.advance(2)
        self.assertEqual((len(self.writers), self.recorder.problem), (2, ""))

    def test_writer_that_hangs(self) -> None:
        """Is killed when it does not report."""
        for _ in range(int(SILENCE) - 1):
            self.clock.advance(1)
        self.writers[0].report(WriterStatus())
        for _ in range(int(SILENCE) - 1):
            self.clock.advance(1)
        self.assertEqual(self.writers[0].signals, [])
        self.clock.advance(1)
        self.assertEqual(self.writers[0].signals, ["KILL"])

    def test_full_disk(self) -> None:
        """The health check and the log say so, the log once, and again when it is over."""
        for _ in range(3):
            self.writers[0].report(WriterStatus(problem="No space left on device"))
            self.clock.advance(1)
        self.assertIn("No space left on device", self.recorder.problem)
        self.assertEqual(self.said("No space left on device; 0 observations wait"), 1)
        self.writers[0].report(WriterStatus(written=1))
        self.assertEqual((self.recorder.problem, self.said("is written again")), ("", 1))

    def test_stop(self) -> None:
        """Sends what waits, then waits until the writer has written it."""
        self.flood(2 * BATCH + 1)
        stopping = self.recorder.stopService()
        self.assertEqual((len(self.received()), self.writers[0].closed), (2 * BATCH + 1, True))
        self.assertNoResult(stopping)
        self.writers[0].report(WriterStatus(written=2 * BATCH + 1))
        self.writers[0].end(0)
        self.successResultOf(stopping)
        self.assertEqual((self.count("lost"), self.clock.getDelayedCalls()), (0, []))
        self.apply(start())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_of_a_writer_that_hangs(self) -> None:
        """Does not hold the server for long, and what is lost is counted."""
        self.apply(start())
        stopping = self.recorder.stopService()
        self.clock.advance(STOP_TIMEOUT)
        self.assertEqual(self.writers[0].signals, ["KILL"])
        self.writers[0].end()
        self.successResultOf(stopping)
        self.assertEqual(self.count("lost"), 1)

    def test_stop_without_a_writer(self) -> None:
        self.writers[0].end()
        self.apply(start())
        self.successResultOf(self.recorder.stopService())
        self.assertEqual((self.count("lost"), self.clock.getDelayedCalls()), (1, []))
