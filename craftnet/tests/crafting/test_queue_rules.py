"""A player's places in queues."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import QueueUpdate
from craftnet.contract.messages import QueueMessageType, QueueStatusData, Station
from craftnet.crafting.event_order import CLOCK_JUMP_SECONDS
from craftnet.crafting.queue_rules import LEAVING, MAX_QUEUES, advance_queue, check_holder, entry_key
from craftnet.crafting.state import QueueChange, QueueEntry, QueueState, Stamp
from craftnet.errors import EventRejected
from craftnet.tests.contracts.source import pause, queued
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, event

RICH = QueueUpdate(
    player_id=PLAYER,
    queue_position=2,
    total_in_queue=9,
    estimated_wait_seconds=30,
    station_type=Station.LABORATORY,
    can_jump_queue=True,
    jump_queue_cost=100,
)


def entry(number: int = 0, *, reported: float = NOW, session_id: UUID | None = None) -> QueueEntry:
    """An entry of the laboratory, or of a session."""
    status = QueueStatusData(player_id=PLAYER, queue_position=number + 1, station_type=Station.LABORATORY)
    return QueueEntry(status, number + 1, reported, session_id, (Stamp("", reported),))


def standing(*entries: QueueEntry, reported: float = 0.0) -> QueueState:
    """The state with these entries; others left at `reported`, if that is not 0."""
    stamps = (Stamp("", reported),) if reported else ()
    return QueueState(PLAYER, max((known.version for known in entries), default=0), entries, reported, stamps)


NOTHING = QueueState(PLAYER)


class WaitingTests(SynchronousTestCase):
    def test_first(self) -> None:
        change = advance_queue(NOTHING, event(RICH, session_id=SESSION))
        status = QueueStatusData(
            player_id=PLAYER,
            queue_position=2,
            total_in_queue=9,
            estimated_wait_seconds=30,
            station_type=Station.LABORATORY,
            can_jump_queue=True,
            jump_queue_cost=100,
        )
        entry = QueueEntry(status, 1, NOW, SESSION, (Stamp("", NOW),))
        self.assertEqual(
            change, QueueChange(QueueState(PLAYER, 1, (entry,)), entry, QueueMessageType.QUEUE_POSITION, True, NOW)
        )
        self.assertIs(type(change.entry.status), QueueStatusData)

    def test_fractions_of_a_second(self) -> None:
        """Messages have whole seconds; the wait is never shorter than that."""
        change = advance_queue(NOTHING, event(replace(RICH, estimated_wait_seconds=29.2)))
        wait = change.entry.status.estimated_wait_seconds
        self.assertEqual((type(wait), wait), (int, 30))

    def test_every_news(self) -> None:
        for news in QueueMessageType:
            change = advance_queue(standing(entry()), event(queued(1, news), NOW + 1))
            self.assertEqual(change.waiting, news not in LEAVING)
            self.assertEqual(len(change.state.entries), int(change.waiting))
            self.assertEqual((change.news, change.entry.version, change.state.version), (news, 2, 2))

    def test_what_ends_the_waiting(self) -> None:
        self.assertEqual(LEAVING, {QueueMessageType.STATION_AVAILABLE, QueueMessageType.QUEUE_TIMEOUT})

    def test_leaving_without_having_waited(self) -> None:
        change = advance_queue(NOTHING, event(queued(1, QueueMessageType.STATION_AVAILABLE)))
        self.assertEqual((change.state, change.waiting), (QueueState(PLAYER, 1, (), NOW, (Stamp("", NOW),)), False))

    def test_known_by_session_first(self) -> None:
        """Two sessions at one station are two entries; a session that changes the station stays one."""
        state = advance_queue(NOTHING, event(queued(1), session_id=SESSION)).state
        state = advance_queue(state, event(queued(2), NOW + 1, session_id=OTHER_SESSION)).state
        self.assertEqual([entry_key(known) for known in state.entries], [SESSION, OTHER_SESSION])
        state = advance_queue(state, event(queued(3, station=Station.VEHICLE_BAY), NOW + 2, session_id=SESSION)).state
        self.assertEqual([entry_key(known) for known in state.entries], [OTHER_SESSION, SESSION])
        self.assertIs(state.entries[1].station, Station.VEHICLE_BAY)

    def test_known_by_station_otherwise(self) -> None:
        state = advance_queue(NOTHING, event(queued(1))).state
        state = advance_queue(state, event(queued(1, station=None), NOW + 1)).state
        state = advance_queue(state, event(queued(4), NOW + 2)).state
        self.assertEqual([entry_key(known) for known in state.entries], [None, Station.LABORATORY])

    def test_version_never_restarts(self) -> None:
        state, versions = NOTHING, []
        for number, news in enumerate((QueueMessageType.QUEUE_POSITION, QueueMessageType.QUEUE_TIMEOUT) * 2):
            change = advance_queue(state, event(queued(1, news), NOW + number))
            state = change.state
            versions.append((change.entry.version, state.version))
        self.assertEqual(versions, [(1, 1), (2, 2), (3, 3), (4, 4)])

    def test_out_of_order(self) -> None:
        error = self.assertRaises(EventRejected, advance_queue, standing(entry()), event(queued(1), NOW - 1))
        self.assertIn("out of order", str(error))
        advance_queue(standing(entry()), event(queued(1), NOW))
        advance_queue(standing(entry()), event(queued(1, station=None), NOW - 1))
        advance_queue(standing(entry()), event(queued(1), NOW - 1, source="another"))
        advance_queue(standing(entry()), event(queued(1), NOW - CLOCK_JUMP_SECONDS))

    def test_leaving_is_lost_to_no_clock(self) -> None:
        """Nor does an older place come back after it."""
        for news in LEAVING:
            for seconds in (0.001, 1.0, CLOCK_JUMP_SECONDS, 3600.0):
                left = advance_queue(standing(entry()), event(queued(1, news), NOW - seconds, accepted=NOW + 1)).state
                self.assertEqual(left.entries, ())
            left = advance_queue(standing(entry()), event(queued(1, news), NOW - 2, accepted=NOW + 1)).state
            self.assertRaises(EventRejected, advance_queue, left, event(queued(1), NOW - 1, accepted=NOW + 2))
            self.assertEqual(len(advance_queue(left, event(queued(1), NOW + 3)).state.entries), 1)

    def test_what_left_does_not_come_back(self) -> None:
        left = advance_queue(standing(entry()), event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 5)).state
        error = self.assertRaises(EventRejected, advance_queue, left, event(queued(1), NOW + 4))
        self.assertIn("out of order", str(error))
        self.assertEqual(len(advance_queue(left, event(queued(3), NOW + 5)).state.entries), 1)

    def test_leaving_late_does_not_turn_the_clock_back(self) -> None:
        """An entry that was overtaken may still leave; later updates stay refused."""
        state = standing(entry(session_id=SESSION), reported=NOW + 9)
        leaving = event(queued(1, QueueMessageType.QUEUE_TIMEOUT), NOW + 1, session_id=SESSION)
        left = advance_queue(state, leaving).state
        self.assertEqual((left.since, left.stamps), (NOW + 9, (Stamp("", NOW + 9),)))

    def test_one_player_only(self) -> None:
        held = entry(session_id=SESSION)
        check_holder(None, event(queued(1), session_id=SESSION))
        check_holder(held, event(queued(1), session_id=SESSION))
        stolen = event(queued(1, player_id=OTHER_PLAYER), session_id=SESSION)
        self.assertIn("another player", str(self.assertRaises(EventRejected, check_holder, held, stolen)))

    def test_beyond_the_end(self) -> None:
        beyond = replace(RICH, queue_position=10)
        self.assertRaises(EventRejected, advance_queue, NOTHING, event(beyond))
        advance_queue(NOTHING, event(replace(RICH, queue_position=9)))

    def test_other_events(self) -> None:
        self.assertIn("SessionPause", str(self.assertRaises(EventRejected, advance_queue, NOTHING, event(pause()))))

    def test_bounded(self) -> None:
        full = standing(*(entry(number, session_id=UUID(int=number + 1)) for number in range(MAX_QUEUES)))
        error = self.assertRaises(EventRejected, advance_queue, full, event(queued(1), NOW + 1))
        self.assertIn(str(MAX_QUEUES), str(error))
        moved = advance_queue(full, event(queued(1), NOW + 1, session_id=UUID(int=1))).state
        self.assertEqual(len(moved.entries), MAX_QUEUES)
        left = advance_queue(
            full, event(queued(1, QueueMessageType.QUEUE_TIMEOUT), NOW + 1, session_id=UUID(int=1))
        ).state
        self.assertEqual(len(left.entries), MAX_QUEUES - 1)
