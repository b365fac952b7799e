"""Passes the events that this process applies to the writer, a process of its own, and restarts it when it ends.

The event loop only appends to a buffer of bounded length and encodes a bounded number of observations in a turn. When
the writer is slow, gone, or finds the disk full, the buffer fills, and further observations are dropped and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.internet.interfaces import IDelayedCall, IProcessTransport, IPushProducer
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.contract.events import (
    ACCEPTED,
    Event,
    EventData,
    EventOutcome,
    EventVerdict,
    QueueUpdate,
)
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore
from craftnet.providers.sources import Sources
from craftnet.recording.messages import CODES, Messages, Observation, WriterStatus, decode_status, encode_observations
from craftnet.recording.rows import PathSample
from craftnet.runtime.backoff import Backoff

MAX_WAITING = 50_000
"""Observations that wait for the writer; further ones are dropped."""

FLUSH_DELAY = 0.05
"""Seconds from an observation to the writer, while the writer keeps up."""

BATCH = 250
"""Observations that are encoded in one turn of the event loop: about half a millisecond."""

SAMPLE_INTERVAL = 60.0
"""Seconds between two samples of the network paths."""

FIRST_RETRY, LAST_RETRY = 1.0, 60.0
"""Maximum seconds before the writer is started again, at first and after several failures in a row."""

SILENCE = 120.0
"""Seconds without a report after which the writer is killed."""

STOP_TIMEOUT = 10.0
"""Seconds that the writer has for its last batch when the server stops."""

ALARM_INTERVAL = 60.0
"""Seconds between two lines in the log about the same problem."""

Spawn = Callable[[ProcessProtocol], IProcessTransport]


class RecordingMetrics:
    """The metrics of the recording."""

    def __init__(self, store: MetricStore) -> None:
        self._observations = store.numbers(families.RECORDING_OBSERVATIONS)
        self.waiting = store.numbers(families.RECORDING_WAITING)[()]
        self.size = store.numbers(families.RECORDING_BYTES)[()]
        self.restarts = store.numbers(families.RECORDING_RESTARTS)[()]
        for outcome in families.RECORDING_OBSERVATIONS.labels["outcome"]:
            self.count(outcome, 0)  # so that an alert sees the first one.

    def count(self, outcome: str, number: int) -> None:
        """Counts observations: written, dropped or lost."""
        self._observations[outcome,].value += number


class WriterEvents(Protocol):
    """The events of a writer's process."""

    def reported(self, status: WriterStatus) -> None:
        """The writer has reported."""

    def ended(self, reason: Failure) -> None:
        """The process has ended."""


class WriterProcess(ProcessProtocol):
    """The server's end of the pipes to a writer."""

    _log = Logger()

    def __init__(self, events: WriterEvents) -> None:
        self._events = events
        self._messages = Messages()

    def outReceived(self, data: bytes) -> None:
        """Takes the writer's reports."""
        for message in self._messages.feed(data):
            self._events.reported(decode_status(message))

    def errReceived(self, data: bytes) -> None:
        """Logs what the writer says about its failure."""
        self._log.error("The writer of the recording: {text}", text=data.decode(errors="replace").strip())

    def processEnded(self, reason: Failure) -> None:
        """Passes on the end of the process."""
        self._events.ended(reason)


@implementer(IPushProducer)
class Recorder(Service):
    """Records what the sources of this process apply, and samples of the network paths.

    Arguments:
        sources: the sources; those that are `IEventTap` are recorded.
        spawn: starts a writer.
        sample: returns samples of some open connections.
        clock: both clocks.
        backoff: the delays before the writer is started again; None: the default delays.
    """

    name = "recording"
    _log = Logger()

    def __init__(
        self,
        sources: Sources,
        spawn: Spawn,
        sample: Callable[[], Iterable[PathSample]],
        clock: IClock,
        metrics: RecordingMetrics,
        backoff: Backoff | None = None,
    ) -> None:
        self._sources = sources
        self._spawn = spawn
        self._sample = sample
        self._clock = clock
        self._metrics = metrics
        self._waiting: deque[Observation] = deque()
        self._writer: IProcessTransport | None = None
        self._paused = False
        self._unwritten = 0  # observations that the writer has and that are in no file.
        self._backoff = backoff or Backoff(first=FIRST_RETRY, cap=LAST_RETRY, stable=0.0)
        self._dropped = 0  # since the last line in the log.
        self._heard_at = self._alarmed_at = float("-inf")
        self._writer_problem = ""
        self._flush_call: IDelayedCall | None = None
        self._start_call: IDelayedCall | None = None
        self._ended: Deferred[None] | None = None
        self._sampling, self._watching = LoopingCall(self._take_samples), LoopingCall(self._watch)
        self._sampling.clock = self._watching.clock = clock

    @property
    def problem(self) -> str:
        """The reason why the recording is incomplete now, for people; empty while it is complete."""
        reason = self._writer_problem or ("" if self._writer is not None else "its writer is being started again")
        if not reason and len(self._waiting) < MAX_WAITING:
            return ""
        return (
            f"the recording cannot be written: {reason or 'its writer is too slow'}; {len(self._waiting)} observations"
            f" wait, and at most {MAX_WAITING}"
        )

    def startService(self) -> None:
        """Starts the writer, and begins to record."""
        super().startService()
        self._start_writer()
        self._sources.add_tap(self._applied)
        self._sampling.start(SAMPLE_INTERVAL, now=False)
        self._watching.start(1.0, now=False)

    def stopService(self) -> Deferred[None]:
        """Sends the waiting observations to the writer, and waits until it has written them."""
        super().stopService()
        self._sampling.stop()
        self._watching.stop()
        for call in (self._flush_call, self._start_call):
            if call is not None and call.active():
                call.cancel()
        writer = self._writer
        if writer is None:
            self._lose(len(self._waiting), "the writer was not running when the server stopped")
            return succeed(None)
        writer.unregisterProducer()  # type: ignore[attr-defined]  # of all of Twisted's processes.
        while self._waiting:
            self._send(writer)
        ended = self._ended = Deferred[None]()
        writer.closeStdin()
        timeout = self._clock.callLater(STOP_TIMEOUT, self._kill)
        return ended.addBoth(lambda _: timeout.cancel() if timeout.active() else None)

    def _applied(self, events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> None:
        """Takes the events that this node accepted. Each event is accepted once, on one node."""
        if self.running:
            self._take(
                [
                    (CODES[type(event.data)], event.when, _data(event))
                    for event, outcome in zip(events, outcomes, strict=True)
                    if outcome is ACCEPTED or outcome.verdict is EventVerdict.ACCEPTED
                ]
            )

    def _take_samples(self) -> None:
        now, code = self._clock.wall(), CODES[PathSample]
        self._take([(code, now, sample) for sample in self._sample()])

    def _take(self, observations: list[Observation]) -> None:
        room = MAX_WAITING - len(self._waiting)
        if len(observations) > room:
            dropped = len(observations) - room
            self._dropped += dropped
            self._metrics.count("dropped", dropped)
            observations = observations[:room]
        self._waiting.extend(observations)
        self._flush_after(FLUSH_DELAY)

    def _flush_after(self, delay: float) -> None:
        if self._flush_call is None and self._waiting and self._writer is not None and not self._paused:
            self._flush_call = self._clock.callLater(delay, self._flush)

    def _flush(self) -> None:
        self._flush_call = None
        if self._writer is not None and not self._paused:
            self._send(self._writer)
            self._flush_after(0)

    def _send(self, writer: IProcessTransport) -> None:
        """Sends a bounded number of observations."""
        waiting = self._waiting
        observations = [waiting.popleft() for _ in range(min(BATCH, len(waiting)))]
        self._unwritten += len(observations)
        writer.writeToChild(0, encode_observations(observations))

    def pauseProducing(self) -> None:
        """The pipe is full."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The pipe has room again."""
        self._paused = False
        self._flush_after(0)

    def stopProducing(self) -> None:
        """The pipe is gone; the end of the process follows."""
        self._paused = True

    def _start_writer(self) -> None:
        self._paused = False
        self._heard_at = self._clock.seconds()
        try:
            self._writer = self._spawn(WriterProcess(self))
        except OSError as error:
            self._start_again(error.strerror or str(error))
            return
        self._writer.registerProducer(self, True)  # type: ignore[attr-defined]  # of all of Twisted's processes.
        self._flush_after(FLUSH_DELAY)

    def reported(self, status: WriterStatus) -> None:
        """As in `WriterEvents`."""
        self._heard_at = self._clock.seconds()
        self._metrics.count("written", status.written)
        self._metrics.size.value += status.size
        self._unwritten = max(0, self._unwritten - status.written)
        if status.written:
            self._backoff.opened(self._heard_at)
        if self._writer_problem and not status.problem:
            self._log.info("The recording is written again")
        self._writer_problem = status.problem

    def ended(self, reason: Failure) -> None:
        """As in `WriterEvents`."""
        self._writer, self._writer_problem, unwritten = None, "", self._unwritten
        self._unwritten = 0
        if self._ended is not None:
            self._lose(unwritten, _text(reason))
            self._ended.callback(None)
            return
        self._start_again(_text(reason))
        self._lose(unwritten, "they were in its open batch")

    def _start_again(self, reason: str) -> None:
        delay = self._backoff.delay(self._clock.seconds())
        self._metrics.restarts.value += 1
        self._log.error(
            "The writer of the recording does not run: {reason}; it starts again in {delay:.1f} s",
            reason=reason,
            delay=delay,
        )
        self._start_call = self._clock.callLater(delay, self._start_writer)

    def _lose(self, number: int, reason: str) -> None:
        if number:
            self._metrics.count("lost", number)
            self._log.error("{number} observations of the recording are lost: {reason}", number=number, reason=reason)

    def _kill(self) -> None:
        if self._writer is not None:
            self._writer.signalProcess("KILL")

    def _watch(self) -> None:
        """Kills a writer that does not report, and logs problems; called every second."""
        now = self._clock.seconds()
        self._metrics.waiting.value = len(self._waiting)
        if self._writer is not None and now >= self._heard_at + SILENCE:
            self._log.error("The writer of the recording has not reported for {seconds:g} s: killed", seconds=SILENCE)
            self._heard_at = now
            self._kill()
        if (self._dropped or self._writer_problem) and now >= self._alarmed_at + ALARM_INTERVAL:
            self._alarmed_at, dropped, self._dropped = now, self._dropped, 0
            self._log.error(
                "The recording cannot be written: {reason}; {waiting} observations wait, and {dropped} were dropped:"
                " the service continues",
                reason=self._writer_problem or "the writer is too slow, or not running",
                waiting=len(self._waiting),
                dropped=dropped,
            )


def _data(event: Event) -> EventData:
    """The data of an event; of a queue update with the waiting session, which the envelope may name instead."""
    data = event.data
    if isinstance(data, QueueUpdate) and data.session_id is None and event.session_id is not None:
        return replace(data, session_id=event.session_id)
    return data


def _text(reason: Failure) -> str:
    error = reason.value
    if isinstance(error, ProcessTerminated):
        return f"exit code {error.exitCode}" if error.signal is None else f"killed by signal {error.signal}"
    return "it ended by itself" if isinstance(error, ProcessDone) else str(error)
