"""What a node has read and not finished."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from unittest.mock import ANY
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.clocks import Moment
from craftnet.contract.events import ACCEPTED, NOT_STARTED, Event, EventOutcome, SessionStart, rejected
from craftnet.streams.core import consumption
from craftnet.streams.core.consumption import (
    APPLY_BATCH,
    MAX_QUEUED,
    MAX_WAITING,
    SESSION_START_TIMEOUT,
    Consumption,
    Settled,
    Taken,
)
from craftnet.streams.core.messages import MAX_MESSAGE, DeadLetterReason, StreamMessage, line_of
from craftnet.streams.core.offsets import PartitionOffsets
from craftnet.tests.support.samples import NOW, OTHER_SESSION, SESSION
from craftnet.tests.support.stream_nodes import message, progress_message, start_message

EVENTS, PROGRESS = "events/0", "progress/0"


class Reader:
    """Reads, on a clock of its own, with a store that knows which sessions have started."""

    def __init__(self) -> None:
        self.consumption = Consumption()
        self.now = NOW
        self.started: set[UUID | None] = set()
        self.offsets: defaultdict[str, count[int]] = defaultdict(count)
        self.finished: list[StreamMessage] = []
        self.reasons: list[DeadLetterReason] = []

    def receive(self, partition: str, *values: bytes) -> None:
        """Messages arrive."""
        offsets = self.offsets[partition]
        self.consumption.receive([StreamMessage(value, partition, next(offsets)) for value in values])

    def take(self) -> list[Taken]:
        """What is to be applied now."""
        return self.consumption.take(Moment.agreed(self.now))

    def outcome(self, taken: Taken) -> EventOutcome:
        """What the store makes of an event."""
        if isinstance(taken.event, EventOutcome):
            return taken.event
        if isinstance(taken.event.data, SessionStart):
            self.started.add(taken.session)
        return ACCEPTED if taken.session is None or taken.session in self.started else NOT_STARTED

    def settle(self, taken: Sequence[Taken]) -> Settled:
        """The outcomes of what was taken."""
        settled = self.consumption.settle(taken, [self.outcome(each) for each in taken], self.now)
        self.finished += settled.messages
        self.reasons += [letter.reason for letter in settled.dead_letters]
        return settled

    def work(self) -> list[tuple[str, int]]:
        """Apply everything that can be applied now; returns what was finished."""
        before = len(self.finished)
        while taken := self.take():
            self.settle(taken)
        return [(each.partition, each.offset) for each in self.finished[before:]]


class WaitingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reader = Reader()

    def test_progress_waits_for_its_start(self) -> None:
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW), progress_message(OTHER_SESSION, NOW))
        self.assertEqual(self.reader.work(), [])
        self.assertEqual(self.reader.consumption.waiting, 2)
        self.reader.receive(EVENTS, start_message(SESSION, NOW))
        self.assertEqual(self.reader.work(), [(EVENTS, 0), (PROGRESS, 0)])
        self.assertEqual(self.reader.consumption.waiting, 1)

    def test_later_progress_comes_after_what_waits(self) -> None:
        for percent in (1, 2):
            self.reader.receive(PROGRESS, progress_message(SESSION, NOW, percent))
            self.reader.work()
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW, 3))
        self.reader.receive(EVENTS, start_message(SESSION, NOW))
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW, 4))
        self.assertEqual(self.reader.work(), [(EVENTS, 0), *((PROGRESS, number) for number in range(4))])

    def test_start_of_another_node(self) -> None:
        """Which this node notices by trying again, ever more rarely."""
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW))
        self.reader.work()
        tries = 0
        while self.reader.now < NOW + SESSION_START_TIMEOUT / 2:
            self.reader.now += 0.05
            taken = self.reader.take()
            tries += len(taken)
            self.reader.settle(taken)
        self.assertTrue(5 <= tries <= 15, tries)
        self.reader.started.add(SESSION)
        self.reader.now += SESSION_START_TIMEOUT / 4
        self.assertEqual(self.reader.work(), [(PROGRESS, 0)])
        self.assertEqual(self.reader.reasons, [])

    def test_given_up_in_the_end(self) -> None:
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW))
        self.reader.work()
        self.reader.now += SESSION_START_TIMEOUT - 0.1
        self.assertEqual(self.reader.work(), [])
        self.reader.now += 0.5
        self.assertEqual(self.reader.work(), [(PROGRESS, 0)])
        self.assertEqual(self.reader.reasons, [DeadLetterReason.NOT_STARTED])

    def test_room_is_limited(self) -> None:
        self.patch(consumption, "MAX_WAITING", 10)
        for number in range(30):
            self.reader.receive(PROGRESS, progress_message(UUID(int=number), NOW))
            self.reader.work()
        self.assertLessEqual(self.reader.consumption.waiting, 10)
        given_up = [each.offset for each in self.reader.finished]
        self.assertEqual(given_up, list(range(20)), "the oldest first")
        self.assertGreater(MAX_WAITING, 1000)

    def test_start_comes_before_what_came_with_it(self) -> None:
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW, 1), progress_message(SESSION, NOW, 2))
        self.reader.receive(EVENTS, start_message(SESSION, NOW), start_message(SESSION, NOW))
        self.assertEqual(self.reader.work(), [(EVENTS, 0), (PROGRESS, 0), (PROGRESS, 1), (EVENTS, 1)])


class PoisonTests(SynchronousTestCase):
    def test_given_up_and_gone_on(self) -> None:
        reader = Reader()
        other_type = start_message(SESSION, NOW).replace(b"session.start", b"session.begin")
        late_version = start_message(SESSION, NOW).replace(b"1.0.0", b"2.0.0")
        poison = [b"", b"{", b"\xff\xfe", b"[]", other_type, late_version, b"x" * (MAX_MESSAGE + 1)]
        reader.receive(EVENTS, *poison, start_message(SESSION, NOW))
        self.assertEqual(len(reader.work()), len(poison) + 1)
        bad, unknown, large = DeadLetterReason.UNDECODABLE, DeadLetterReason.UNKNOWN_TYPE, DeadLetterReason.TOO_LARGE
        self.assertEqual(reader.reasons, [bad, bad, bad, bad, unknown, bad, large])
        self.assertIn(SESSION, reader.started)

    def test_contradiction_is_no_poison(self) -> None:
        reader = Reader()
        reader.receive(EVENTS, start_message(SESSION, NOW))
        taken = reader.take()
        settled = reader.consumption.settle(taken, [rejected("the session was started before")], NOW)
        self.assertEqual((len(settled.messages), settled.dead_letters), (1, []))

    def test_line_shows_octets(self) -> None:
        reader = Reader()
        reader.receive(EVENTS, b"\xff{" + b"x" * 9000)
        (letter,) = reader.settle(reader.take()).dead_letters
        line = line_of(letter, NOW)
        self.assertEqual(
            (line.time, line.reason, line.partition, line.offset, line.size), (ANY, "undecodable", EVENTS, 0, 9002)
        )
        self.assertTrue(line.value.startswith("\\xff{xxx"))
        self.assertLess(len(line.value), 5000)


class RoomTests(SynchronousTestCase):
    def test_full_by_number(self) -> None:
        reader = Reader()
        reader.receive(EVENTS, *[b"{}"] * (MAX_QUEUED - 1))
        self.assertFalse(reader.consumption.is_full)
        reader.receive(EVENTS, b"{}")
        self.assertTrue(reader.consumption.is_full)
        reader.settle(reader.take())
        self.assertEqual(reader.consumption.queued, MAX_QUEUED - APPLY_BATCH)
        self.assertFalse(reader.consumption.has_room)
        reader.work()
        self.assertTrue(reader.consumption.has_room)

    def test_full_by_octets(self) -> None:
        reader = Reader()
        reader.receive(EVENTS, *[b"x" * MAX_MESSAGE] * 16)
        self.assertTrue(reader.consumption.is_full)
        reader.work()
        self.assertTrue(reader.consumption.has_room)


class RevokedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reader = Reader()

    def test_dropped_wherever_it_is(self) -> None:
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW))
        self.reader.work()  # waits.
        self.reader.receive(PROGRESS, progress_message(OTHER_SESSION, NOW))
        taken = self.reader.take()  # is being applied.
        self.reader.receive(PROGRESS, progress_message(SESSION, NOW))  # is queued.
        self.reader.receive("progress/1", progress_message(OTHER_SESSION, NOW))
        self.reader.consumption.forget({PROGRESS})
        self.assertEqual(self.reader.consumption.kept(taken), [])
        self.reader.settle(taken)
        self.assertEqual((self.reader.consumption.waiting, self.reader.consumption.queued), (0, 1))
        self.reader.receive(EVENTS, start_message(SESSION, NOW), start_message(OTHER_SESSION, NOW))
        self.assertEqual(self.reader.work(), [(EVENTS, 0), (EVENTS, 1), ("progress/1", 0)])

    def test_what_was_applied_is_finished(self) -> None:
        """It is committed before another node reads on."""
        self.reader.receive(EVENTS, start_message(SESSION, NOW))
        taken = self.reader.take()
        self.reader.consumption.forget({EVENTS})
        self.assertEqual(len(self.reader.settle(taken).messages), 1)


class OrderProperties(SynchronousTestCase):
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.data())
    def test_sessions_stay_in_order(self, data: st.DataObject) -> None:
        """However the partitions interleave and whenever it works: a start is first, progress comes as it was sent."""
        sessions = [UUID(int=number) for number in range(1, 4)]
        sent: dict[str, list[bytes]] = {
            EVENTS: [start_message(session, NOW) for session in data.draw(st.permutations(sessions))],
            PROGRESS: [
                progress_message(session, NOW, percent)
                for percent, session in enumerate(data.draw(st.lists(st.sampled_from(sessions), max_size=12)))
            ],
        }
        reader, applied = Reader(), defaultdict[UUID | None, list[object]](list)
        while any(sent.values()):
            partition = data.draw(st.sampled_from([name for name, values in sent.items() if values]))
            reader.receive(partition, sent[partition].pop(0))
            if data.draw(st.booleans()):
                reader.now += data.draw(st.sampled_from([0.0, 0.3]))
                taken = reader.take()
                self._note(applied, taken, reader)
        while taken := reader.take():
            self._note(applied, taken, reader)
        self.assertEqual(reader.consumption.waiting, 0)
        self.assertEqual(reader.reasons, [])
        for session in sessions:
            first, *others = applied[session]
            self.assertIsInstance(first, SessionStart)
            self.assertEqual(others, sorted(others, key=lambda data: data.progress_percentage))

    def _note(self, applied: defaultdict[UUID | None, list[object]], taken: list[Taken], reader: Reader) -> None:
        done = reader.settle(taken).messages
        for each in taken:
            if each.message in done and isinstance(each.event, Event):
                applied[each.session].append(each.event.data)


class OffsetTests(SynchronousTestCase):
    def test_position_is_the_first_unfinished_one(self) -> None:
        offsets = PartitionOffsets(7)
        self.assertEqual((offsets.position, offsets.uncommitted), (7, None))
        for offset in (7, 8, 11):  # a compacted topic has gaps.
            offsets.received(offset)
        offsets.finished(8)
        self.assertEqual((offsets.position, offsets.uncommitted), (7, None))
        offsets.finished(7)
        self.assertEqual(offsets.uncommitted, 11)
        offsets.finished(11)
        self.assertEqual(offsets.uncommitted, 12)
        offsets.committed(12)
        self.assertEqual((offsets.position, offsets.uncommitted), (12, None))

    @settings(deadline=None, derandomize=True)
    @given(st.integers(1, 20).flatmap(lambda number: st.tuples(st.just(number), st.permutations(range(number)))))
    def test_nothing_unfinished_is_skipped(self, drawn: tuple[int, list[int]]) -> None:
        number, order = drawn
        offsets, left = PartitionOffsets(0), set(range(number))
        for offset in range(number):
            offsets.received(offset)
        for offset in order:
            offsets.finished(offset)
            left.discard(offset)
            self.assertEqual(offsets.position, min(left, default=number))


class EnvelopeTests(SynchronousTestCase):
    def test_queue_updates_never_wait(self) -> None:
        reader = Reader()
        data: dict[str, object] = {"player_id": UUID(int=5), "queue_position": 1, "session_id": SESSION}
        reader.receive(EVENTS, message("crafting.queue.update", NOW, data))
        self.assertEqual(reader.work(), [(EVENTS, 0)])
