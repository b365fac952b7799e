"""Reads the authority's events from a message bus, applies them, and acknowledges those that a back end has kept."""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from zope.interface import implementer

from craftnet.clocks import IClock, moment
from craftnet.contract.events import Event, EventOutcome, EventVerdict, event_origin
from craftnet.contract.messages import Check, HealthStatus
from craftnet.errors import Unavailable
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore
from craftnet.runtime.deferreds import RestartedTask, Waiters
from craftnet.streams.core.consumption import FAILED, FIRST_RETRY, Consumption, Taken
from craftnet.streams.core.messages import DeadLetter, StreamMessage
from craftnet.streams.interfaces import IEventStream, IStreamReceiver

RETRY_DELAY = 0.5
"""Seconds between attempts to apply events while a back end is unavailable."""

DRAIN_TIMEOUT = 5.0
"""Seconds that a stopping server spends at most on applying events it has already received."""

LATE = 30.0
"""Seconds of delay at which the health check becomes degraded."""


LOOK_INTERVAL = 1.0
"""Seconds between two looks at the state of the stream, for the log."""

GRACE = 5.0
"""Seconds that a problem of the stream lasts before it is logged: to join a group takes a moment."""

MAX_LOGGED = 5
"""Different problems that are logged until the stream is read again."""


class EventApplication(Protocol):
    """Applies events: a `craftnet.feeds.ingest.Ingest`."""

    def attempt(self, batch: Sequence[Event | EventOutcome]) -> Coroutine[Any, Any, list[EventOutcome]]:
        """Applies events without counting the outcomes.

        Raises:
            Unavailable: a back end cannot take the events now.
        """

    def count(self, outcomes: Sequence[EventOutcome]) -> None:
        """Counts outcomes."""


class StreamLog:
    """Logs when a stream cannot be read, and when it can be read again.

    Arguments:
        now: the steady clock.
    """

    _log = Logger()

    def __init__(self, stream: IEventStream, now: Callable[[], float]) -> None:
        self._stream = stream
        self._now = now
        self._since: float | None = now()  # when reading ended, or was to begin.
        self._logged: set[str] = set()
        self._read = False

    def look(self) -> None:
        """Logs what has changed."""
        problem = self._stream.status().problem
        if not problem:
            if self._logged or not self._read:
                self._log.info("events are read from the message bus")
            self._read, self._since = True, None
            self._logged.clear()
            return
        if self._since is None:
            self._since = self._now()
        due = self._now() >= self._since + GRACE and len(self._logged) < MAX_LOGGED
        if due and problem not in self._logged:
            self._logged.add(problem)
            self._log.warn("events are not read from the message bus: {problem}", problem=problem)


@implementer(IStreamReceiver)
class StreamConsumer(Service):
    """Applies the events of one stream.

    Arguments:
        given_up: takes dead letters.
        alone: whether this node needs every message of the stream, because no other process shares its state.
    """

    _log = Logger()

    def __init__(
        self,
        stream: IEventStream,
        ingest: EventApplication,
        given_up: Callable[[Sequence[DeadLetter]], None],
        store: MetricStore,
        clock: IClock,
        *,
        alone: bool = False,
    ) -> None:
        self._stream = stream
        self._ingest = ingest
        self._given_up = given_up
        self._clock = clock
        self._alone = alone
        self._consumption = Consumption()
        self._more: Deferred[None] | None = None
        self._idle: Waiters[None] = Waiters()
        self._attempting = False
        self._paused = False
        self._problem = ""
        self._newest = 0.0  # the timestamp of the newest finished message.
        self._warned = False
        self._lag = store.numbers(families.INGEST_LAG)
        self._delay = store.numbers(families.INGEST_DELAY)[()]
        self._waiting = store.numbers(families.INGEST_WAITING)[()]
        self._pauses = store.numbers(families.INGEST_PAUSES)[()]
        store.before_reading.append(self._measure)
        self._looking = LoopingCall(StreamLog(stream, clock.seconds).look)
        self._looking.clock = clock
        self._applying = RestartedTask(self._apply_on, "applying events from the message bus", RETRY_DELAY, clock)

    def startService(self) -> None:
        """Begins to read."""
        super().startService()
        self._applying.start()
        self._stream.start(self)
        self._looking.start(LOOK_INTERVAL, now=False)

    def stopService(self) -> Deferred[None]:
        """Finishes received events for at most `DRAIN_TIMEOUT` seconds, acknowledges them, and leaves the group."""
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        return Deferred.fromCoroutine(self._stop())

    def received(self, messages: Sequence[StreamMessage]) -> None:
        """As in `IStreamReceiver`."""
        if not self.running:
            return
        self._consumption.receive(messages)
        if self._consumption.is_full and not self._paused:
            self._paused = True
            self._pauses.value += 1
            self._stream.pause()
        self._wake()

    def revoked(self, partitions: Collection[str]) -> Deferred[None]:
        """As in `IStreamReceiver`."""
        self._consumption.forget(partitions)
        idle = self._idle.wait()
        if not self._attempting:
            self._idle.release(None)
        return idle

    async def check(self) -> Check:
        """The health check: never critical, since clients are served even without new events."""
        status = self._stream.status()
        problem = self._problem or status.problem
        if not problem and self._alone and status.partial:
            problem = (
                "other consumers of the group read a part of the events, but this node keeps its state to itself: "
                "give every node a group of its own, or use a back end that nodes share"
            )
            if not self._warned:
                self._log.error("--ingest: {problem}", problem=problem)
            self._warned = True
        if not problem and (delay := self._current_delay(sum(status.lag.values()))) > LATE:
            problem = f"{sum(status.lag.values())} messages wait on the bus, for {delay:.0f} seconds"
        return Check(status=HealthStatus.DEGRADED, message=problem) if problem else Check(status=HealthStatus.OK)

    async def _stop(self) -> None:
        self._stream.pause()
        deadline = self._clock.callLater(DRAIN_TIMEOUT, self._consumption.clear)
        while (self._attempting or self._consumption.queued) and deadline.active() and not self._problem:
            await self._idle.wait()
        if deadline.active():
            deadline.cancel()
        self._applying.stop()
        await self._stream.stop()

    async def _apply_on(self) -> None:
        while True:
            taken = self._consumption.take(moment(self._clock))
            if self._paused and self.running and self._consumption.has_room:
                self._paused = False
                self._stream.resume()
            if taken:
                await self._apply(taken)
                await deferLater(self._clock, 0)  # lets other work run between two batches.
            else:
                await self._for_more()

    async def _for_more(self) -> None:
        """Waits for messages; only for `FIRST_RETRY` seconds while events wait for a session's start."""
        self._idle.release(None)
        self._more = Deferred()
        retry = self._clock.callLater(FIRST_RETRY, self._wake) if self._consumption.waiting else None
        try:
            await self._more
        finally:
            self._more = None
            if retry is not None and retry.active():
                retry.cancel()

    def _wake(self) -> None:
        if self._more is not None and not self._more.called:
            self._more.callback(None)

    async def _apply(self, taken: list[Taken]) -> None:
        """Applies messages, and retries until a back end keeps their events."""
        while taken:
            self._attempting = True
            try:
                outcomes = await self._ingest.attempt([each.event for each in taken])
            except Unavailable as error:
                self._unavailable(error)
            except CancelledError:
                raise
            except Exception:  # caused by one event, which must not stop the others.
                if len(taken) == 1:
                    self._log.failure("an event from the message bus cannot be applied")
                    return self._settle(taken, [FAILED])
                for each in taken:
                    await self._apply(self._consumption.kept([each]))
                return None
            else:
                return self._settle(taken, outcomes)
            finally:
                self._attempting = False
                self._idle.release(None)
            await deferLater(self._clock, RETRY_DELAY)
            taken = self._consumption.kept(taken)
        return None

    def _unavailable(self, error: Unavailable) -> None:
        if not self._problem:
            self._log.warn("events from the message bus wait: {problem}", problem=error.message)
        self._problem = error.message

    def _settle(self, taken: list[Taken], outcomes: list[EventOutcome]) -> None:
        if self._problem:
            self._log.info("events from the message bus are applied again")
            self._problem = ""
        settled = self._consumption.settle(taken, outcomes, self._clock.seconds())
        self._ingest.count(settled.outcomes)
        self._given_up(settled.dead_letters)
        self._log_rejections(taken, outcomes)
        if settled.messages:
            self._newest = settled.messages[-1].timestamp
            self._stream.finish(settled.messages)

    def _log_rejections(self, taken: list[Taken], outcomes: list[EventOutcome]) -> None:
        """Logs the first event that contradicts the state, and the number of such events."""
        reasons = [
            f"{outcome.reason} ({event_origin(each.event)})"
            for each, outcome in zip(taken, outcomes, strict=True)
            if outcome.verdict is EventVerdict.REJECTED and isinstance(each.event, Event) and each.deadline is None
        ]
        if reasons:
            self._log.warn(
                "{count} events from the message bus were rejected: {reason}", count=len(reasons), reason=reasons[0]
            )

    def _current_delay(self, lag: int) -> float:
        return max(0.0, self._clock.wall() - self._newest) if lag and self._newest else 0.0

    def _measure(self) -> None:
        lag = self._stream.status().lag
        for topic, number in lag.items():
            self._lag[topic,].value = number
        for (topic,), figure in self._lag.items():
            if topic not in lag:
                figure.value = 0
        self._delay.value = self._current_delay(sum(lag.values()))
        self._waiting.value = self._consumption.waiting
