"""A player's places in queues."""

from __future__ import annotations

from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import EventRejected
from craftnet.events import QueueUpdate
from craftnet.messages import QueueNews, QueueStatusData, Station
from craftnet.state import QueueChange, QueueEntry
from craftnet.tests.contracts import pause, queued
from craftnet.tests.samples import NOW, OTHER_SESSION, PLAYER, SESSION, event
from craftnet.waiting import LEAVING, MAX_ENTRIES, advance, key

RICH = QueueUpdate(
    player_id=PLAYER,
    queue_position=2,
    total_in_queue=9,
    estimated_wait_seconds=30,
    station_type=Station.LABORATORY,
    can_jump_queue=True,
    jump_queue_cost=100,
)


def entry(number: int = 0, *, told: float = NOW, session_id: UUID | None = None) -> QueueEntry:
    """An entry of the laboratory, or of a session."""
    status = QueueStatusData(player_id=PLAYER, queue_position=number + 1, station_type=Station.LABORATORY)
    return QueueEntry(status, number + 1, told, session_id)


class WaitingTests(SynchronousTestCase):
    def test_first(self) -> None:
        entries, change = advance((), event(RICH, session_id=SESSION))
        status = QueueStatusData(
            player_id=PLAYER,
            queue_position=2,
            total_in_queue=9,
            estimated_wait_seconds=30,
            station_type=Station.LABORATORY,
            can_jump_queue=True,
            jump_queue_cost=100,
        )
        self.assertEqual(entries, (QueueEntry(status, 1, NOW, SESSION),))
        self.assertEqual(change, QueueChange(entries[0], QueueNews.QUEUE_POSITION, True, NOW))
        self.assertIs(type(change.entry.status), QueueStatusData)

    def test_every_news(self) -> None:
        for news in QueueNews:
            entries, change = advance((entry(),), event(queued(1, news), NOW + 1))
            self.assertEqual(change.waiting, news not in LEAVING)
            self.assertEqual(len(entries), int(change.waiting))
            self.assertEqual((change.news, change.entry.version), (news, 2))

    def test_what_ends_the_waiting(self) -> None:
        self.assertEqual(LEAVING, {QueueNews.STATION_AVAILABLE, QueueNews.QUEUE_TIMEOUT})

    def test_leaving_without_having_waited(self) -> None:
        entries, change = advance((), event(queued(1, QueueNews.STATION_AVAILABLE)))
        self.assertEqual((entries, change.waiting), ((), False))

    def test_known_by_session_first(self) -> None:
        """Two sessions at one station are two entries; a session that changes the station stays one."""
        entries, _ = advance((), event(queued(1), session_id=SESSION))
        entries, _ = advance(entries, event(queued(2), NOW + 1, session_id=OTHER_SESSION))
        self.assertEqual([key(known) for known in entries], [SESSION, OTHER_SESSION])
        entries, _ = advance(entries, event(queued(3, station=Station.VEHICLE_BAY), NOW + 2, session_id=SESSION))
        self.assertEqual([key(known) for known in entries], [OTHER_SESSION, SESSION])
        self.assertIs(entries[1].station, Station.VEHICLE_BAY)

    def test_known_by_station_otherwise(self) -> None:
        entries, _ = advance((), event(queued(1)))
        entries, _ = advance(entries, event(queued(1, station=None), NOW + 1))
        entries, _ = advance(entries, event(queued(4), NOW + 2))
        self.assertEqual([key(known) for known in entries], [None, Station.LABORATORY])

    def test_version_grows_with_each_change(self) -> None:
        entries, first = advance((), event(queued(1)))
        entries, second = advance(entries, event(queued(1, station=None), NOW + 1))
        _, third = advance(entries, event(queued(2), NOW + 2))
        self.assertEqual([change.entry.version for change in (first, second, third)], [1, 2, 3])

    def test_out_of_order(self) -> None:
        error = self.assertRaises(EventRejected, advance, (entry(),), event(queued(1), NOW - 1))
        self.assertIn("out of order", str(error))
        advance((entry(),), event(queued(1), NOW))
        advance((entry(),), event(queued(1, station=None), NOW - 1))

    def test_beyond_the_end(self) -> None:
        beyond = replace(RICH, queue_position=10)
        self.assertRaises(EventRejected, advance, (), event(beyond))
        advance((), event(replace(RICH, queue_position=9)))

    def test_other_events(self) -> None:
        self.assertIn("SessionPause", str(self.assertRaises(EventRejected, advance, (), event(pause()))))

    def test_bounded(self) -> None:
        full = tuple(entry(number, session_id=UUID(int=number + 1)) for number in range(MAX_ENTRIES))
        error = self.assertRaises(EventRejected, advance, full, event(queued(1), NOW + 1))
        self.assertIn(str(MAX_ENTRIES), str(error))
        moved, _ = advance(full, event(queued(1), NOW + 1, session_id=UUID(int=1)))
        self.assertEqual(len(moved), MAX_ENTRIES)
        left, _ = advance(full, event(queued(1, QueueNews.QUEUE_TIMEOUT), NOW + 1, session_id=UUID(int=1)))
        self.assertEqual(len(left), MAX_ENTRIES - 1)
