"""Applies what a stream delivers, and says what is kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.contract.messages import HealthStatus
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore
from craftnet.streams.consumer import DRAIN_TIMEOUT, GRACE, LATE, LOOK_INTERVAL, MAX_LOGGED, RETRY_DELAY
from craftnet.streams.core.consumption import APPLY_BATCH, MAX_QUEUED, SESSION_START_TIMEOUT
from craftnet.streams.core.messages import DeadLetter, DeadLetterReason, StreamMessage
from craftnet.streams.dead_letters import DeadLetters
from craftnet.streams.interfaces import IEventStream, IStreamReceiver, StreamStatus
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_SESSION, SESSION
from craftnet.tests.support.stream_nodes import RecordedSources, StreamNode, progress_message, start_message

EVENTS, PROGRESS = "events/0", "progress/0"


@implementer(IEventStream)
class FakeStream:
    """Delivers what a test says, and notes what is wanted of it."""

    def __init__(self) -> None:
        self.receiver: IStreamReceiver | None = None
        self.calls: list[str] = []
        self.finished: list[tuple[str, int]] = []
        self.now = StreamStatus()
        self._offset = 0

    def start(self, receiver: IStreamReceiver) -> None:
        """See `IEventStream`."""
        self.receiver = receiver

    def pause(self) -> None:
        """See `IEventStream`."""
        self.calls.append("pause")

    def resume(self) -> None:
        """See `IEventStream`."""
        self.calls.append("resume")

    def finish(self, messages: Sequence[StreamMessage]) -> None:
        """See `IEventStream`."""
        self.finished += [(message.partition, message.offset) for message in messages]

    def stop(self) -> Deferred[None]:
        """See `IEventStream`."""
        self.calls.append("stop")
        return succeed(None)

    def status(self) -> StreamStatus:
        """See `IEventStream`."""
        return self.now

    def deliver(self, partition: str, *values: bytes, timestamp: float = NOW) -> None:
        """Messages arrive."""
        assert self.receiver is not None
        first, self._offset = self._offset, self._offset + len(values)
        self.receiver.received(
            [StreamMessage(value, partition, number, timestamp) for number, value in enumerate(values, first)]
        )


class ConsumerCase(SynchronousTestCase):
    alone = False

    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.sources = RecordedSources(self.clock)
        self.stream = FakeStream()
        self.node = StreamNode(self.stream, self.sources, self.clock, alone=self.alone)
        self.consumer = self.node.consumer
        self.consumer.startService()
        self.addCleanup(self.end)

    def end(self) -> None:
        """Stop what still runs."""
        if self.consumer.running:
            self.consumer.stopService()

    def turn(self, times: int = 1) -> None:
        """Let what is due at once happen."""
        for _ in range(times):
            self.clock.advance(0)

    def problem(self) -> str | None:
        """What the health check says; None: nothing."""
        check = self.successResultOf(Deferred.fromCoroutine(self.consumer.check()))
        self.assertIn(check.status, (HealthStatus.OK, HealthStatus.DEGRADED))
        return check.message


class ApplyingTests(ConsumerCase):
    def test_interfaces(self) -> None:
        verifyObject(IStreamReceiver, self.consumer)
        verifyObject(IEventStream, self.stream)

    def test_finished_once_it_is_kept(self) -> None:
        self.sources.held = Deferred()
        self.stream.deliver(EVENTS, start_message(SESSION, NOW))
        self.assertEqual(self.stream.finished, [])
        self.sources.held.callback(None)
        self.assertEqual(self.stream.finished, [(EVENTS, 0)])
        self.assertEqual(self.node.figure("events_total", verdict="accepted"), 1)

    def test_nothing_is_lost_while_a_store_is_away(self) -> None:
        self.sources.unavailable = True
        self.stream.deliver(EVENTS, start_message(SESSION, NOW))
        self.clock.pump([RETRY_DELAY] * 20)
        self.assertEqual(self.stream.finished, [])
        self.assertEqual(self.problem(), "out of reach")
        self.sources.unavailable = False
        self.clock.advance(RETRY_DELAY)
        self.assertEqual(self.stream.finished, [(EVENTS, 0)])
        self.assertIsNone(self.problem())
        self.assertEqual(len(self.sources.applied), 1)

    def test_crash_between_keeping_and_committing(self) -> None:
        """The next reader gets the event again: it changes nothing, and is finished then."""
        started = start_message(SESSION, NOW)
        self.stream.deliver(EVENTS, started)
        again = StreamNode(stream := FakeStream(), self.sources, self.clock)
        again.consumer.startService()
        self.addCleanup(again.consumer.stopService)
        stream.deliver(EVENTS, started)
        self.assertEqual(stream.finished, [(EVENTS, 0)])
        self.assertEqual(again.figure("events_total", verdict="duplicate"), 1)

    def test_progress_waits_and_is_counted_once(self) -> None:
        self.stream.deliver(PROGRESS, progress_message(SESSION, NOW, 40))
        self.clock.pump([0.25] * 8)
        self.assertEqual(self.node.figure("ingest_waiting_events"), 1)
        self.assertEqual(self.stream.finished, [])
        self.stream.deliver(EVENTS, start_message(SESSION, NOW - 5))
        self.turn(2)
        self.assertEqual(self.stream.finished, [(EVENTS, 1), (PROGRESS, 0)])
        self.assertEqual(self.sources.percent(SESSION), 40)
        self.assertEqual(self.node.figure("events_total", verdict="rejected"), 0)

    def test_progress_without_a_start_is_given_up(self) -> None:
        self.stream.deliver(PROGRESS, progress_message(SESSION, NOW, 40))
        self.clock.pump([0.25] * int(SESSION_START_TIMEOUT * 4 + 2))
        self.assertEqual([letter.reason for letter in self.node.dead], [DeadLetterReason.NOT_STARTED])
        self.assertEqual(self.stream.finished, [(PROGRESS, 0)])
        self.assertEqual(self.node.figure("events_total", verdict="rejected"), 1)

    def test_event_that_breaks_the_code_stops_no_other(self) -> None:
        broken = progress_message(OTHER_SESSION, NOW, 13)
        apply = self.sources.apply

        async def fail_for_thirteen(events: Sequence[object]) -> object:
            if any(getattr(event.data, "progress_percentage", 0) == 13 for event in events):  # type: ignore[attr-defined]
                raise ZeroDivisionError
            return await apply(events)  # type: ignore[arg-type]

        with patch.object(self.sources, "apply", fail_for_thirteen):
            self.stream.deliver(EVENTS, start_message(SESSION, NOW), broken, start_message(OTHER_SESSION, NOW))
            self.turn(4)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(sorted(self.stream.finished), [(EVENTS, 0), (EVENTS, 1), (EVENTS, 2)])
        self.assertEqual([letter.reason for letter in self.node.dead], [DeadLetterReason.FAILED])
        self.assertTrue(self.sources.session(OTHER_SESSION))


class PressureTests(ConsumerCase):
    def test_slow_store_pauses_the_stream(self) -> None:
        self.sources.held = Deferred()
        self.stream.deliver(
            EVENTS, *(start_message(UUID(int=number), NOW) for number in range(MAX_QUEUED + APPLY_BATCH))
        )
        self.assertEqual(self.stream.calls, ["pause"])
        self.assertEqual(self.node.figure("ingest_pauses_total"), 1)
        self.sources.held.callback(None)
        self.sources.held = None
        self.assertEqual(self.stream.calls, ["pause"])
        self.turn()
        self.assertEqual(self.stream.calls, ["pause", "resume"])
        self.assertEqual(len(self.stream.finished), MAX_QUEUED + APPLY_BATCH)

    def test_others_have_their_turn_between_batches(self) -> None:
        self.stream.deliver(EVENTS, *(start_message(UUID(int=number), NOW) for number in range(2 * APPLY_BATCH)))
        self.assertEqual(len(self.stream.finished), APPLY_BATCH)
        self.turn()
        self.assertEqual(len(self.stream.finished), 2 * APPLY_BATCH)

    def test_lag_and_delay(self) -> None:
        self.stream.deliver(EVENTS, start_message(SESSION, NOW), timestamp=NOW - 3)
        self.stream.now = StreamStatus(lag={"events": 7})
        self.assertEqual(self.node.figure("ingest_lag_messages", topic="events"), 7)
        self.assertEqual(self.node.figure("ingest_delay_seconds"), 3)
        self.assertIsNone(self.problem())
        self.clock.advance(LATE)
        self.assertEqual(self.problem(), "7 messages wait on the bus, for 33 seconds")
        self.stream.now = StreamStatus()
        self.assertEqual(self.node.figure("ingest_lag_messages", topic="events"), 0)
        self.assertEqual(self.node.figure("ingest_delay_seconds"), 0)


class RevokedTests(ConsumerCase):
    def test_waits_for_what_is_being_applied(self) -> None:
        self.sources.held = Deferred()
        self.stream.deliver(EVENTS, start_message(SESSION, NOW))
        revoked = self.consumer.revoked({EVENTS})
        self.assertNoResult(revoked)
        self.sources.held.callback(None)
        self.successResultOf(revoked)
        self.assertEqual(self.stream.finished, [(EVENTS, 0)])

    def test_does_not_wait_for_a_store_that_is_away(self) -> None:
        self.sources.unavailable = True
        self.stream.deliver(EVENTS, start_message(SESSION, NOW))
        self.successResultOf(self.consumer.revoked({EVENTS}))
        self.sources.unavailable = False
        self.clock.advance(RETRY_DELAY)
        self.assertEqual((self.stream.finished, self.sources.applied), ([], []))


class AloneTests(ConsumerCase):
    alone = True

    def test_group_of_several_is_an_error(self) -> None:
        self.assertIsNone(self.problem())
        self.stream.now = StreamStatus(partial=True)
        self.assertIn("give every node a group of its own", self.problem() or "")

    def test_fault_of_the_bus_comes_first(self) -> None:
        self.stream.now = StreamStatus("brokers are away", partial=True)
        self.assertEqual(self.problem(), "brokers are away")


class LogTests(ConsumerCase):
    """What an operator reads about a bus that cannot be read."""

    def setUp(self) -> None:
        self.events = self.enterContext(capturedLogs())
        super().setUp()

    def after(self, seconds: int, problem: str = "") -> list[str]:
        """What is logged in this time."""
        self.stream.now = StreamStatus(problem)
        before = len(self.events)
        self.clock.pump([LOOK_INTERVAL] * seconds)
        return [formatEvent(event) for event in self.events[before:]]

    def test_beginning(self) -> None:
        self.assertEqual(self.after(3, "not joined yet"), [])
        self.assertEqual(self.after(10), ["events are read from the message bus"])

    def test_outage(self) -> None:
        """Each reason once, after a while; and its end."""
        self.after(1)
        self.assertEqual(self.after(int(GRACE), "away"), [])
        away = "events are not read from the message bus: away"
        self.assertEqual(self.after(600, "away"), [away])
        self.assertEqual(self.after(5, "refused"), [away.replace("away", "refused")])
        self.assertEqual(self.after(5, "away"), [])
        self.assertEqual(self.after(5), ["events are read from the message bus"])
        self.assertEqual(self.after(int(GRACE), "away"), [])
        self.assertEqual(self.after(2, "away"), [away])

    def test_reasons_that_change_do_not_flood_the_log(self) -> None:
        lines = [line for number in range(100) for line in self.after(1, f"away {number}")]
        self.assertEqual(len(lines), MAX_LOGGED)


class StoppingTests(ConsumerCase):
    def test_finishes_what_it_has(self) -> None:
        self.stream.deliver(EVENTS, *(start_message(UUID(int=number), NOW) for number in range(3 * APPLY_BATCH)))
        stopped = self.consumer.stopService()
        self.assertEqual(self.stream.calls, ["pause"])
        self.stream.deliver(EVENTS, start_message(SESSION, NOW))  # comes too late.
        self.turn(4)
        self.successResultOf(stopped)
        self.assertEqual(self.stream.calls, ["pause", "stop"])
        self.assertEqual(len(self.stream.finished), 3 * APPLY_BATCH)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_does_not_wait_for_starts(self) -> None:
        self.stream.deliver(PROGRESS, progress_message(SESSION, NOW))
        self.successResultOf(self.consumer.stopService())
        self.assertEqual(self.stream.finished, [])

    def test_does_not_wait_for_a_store_that_is_away(self) -> None:
        self.sources.unavailable = True
        self.stream.deliver(EVENTS, start_message(SESSION, NOW))
        self.successResultOf(self.consumer.stopService())
        self.assertEqual(self.stream.finished, [])

    def test_does_not_wait_for_ever(self) -> None:
        self.sources.held = Deferred()
        self.stream.deliver(EVENTS, *(start_message(UUID(int=number), NOW) for number in range(3 * APPLY_BATCH)))
        stopped = self.consumer.stopService()
        self.clock.advance(DRAIN_TIMEOUT)
        self.sources.held.callback(None)
        self.turn(2)
        self.successResultOf(stopped)
        self.assertEqual(len(self.stream.finished), APPLY_BATCH)


class DeadLetterFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.store = MetricStore()
        message = StreamMessage(b"{", "events/0", 7)
        self.letter = DeadLetter(message, DeadLetterReason.UNDECODABLE, "no event")

    def test_line(self) -> None:
        DeadLetters(self.path, self.store, lambda: NOW).add([self.letter])
        self.assertEqual(
            json.loads(self.path.read_text()),
            {
                "time": "2027-01-15T08:00:00.000Z",
                "reason": "undecodable",
                "error": "no event",
                "partition": "events/0",
                "offset": 7,
                "size": 1,
                "value": "{",
            },
        )
        self.assertEqual(self.path.stat().st_mode & 0o777, 0o600)

    def test_size_is_limited(self) -> None:
        letters = DeadLetters(self.path, self.store, lambda: NOW, limit=1000)
        for _ in range(100):
            letters.add([self.letter])
        older = self.path.with_name(f"{self.path.name}.1")
        sizes = [path.stat().st_size for path in (self.path, older) if path.exists()]
        self.assertTrue(all(size < 1200 for size in sizes), sizes)
        self.assertEqual(self.store.numbers(families.INGEST_DEAD_LETTERS)["undecodable",].value, 100)

    def test_disk_that_fails_stops_nothing(self) -> None:
        letters = DeadLetters(self.path / "missing" / "file", self.store, lambda: NOW)
        letters.add([self.letter])
        letters.add([self.letter])
