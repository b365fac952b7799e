"""The sources of the memory back end: the bounds that are their own."""

from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.contract.events import Event, EventOutcome, EventVerdict
from craftnet.contract.messages import QueueMessageType
from craftnet.crafting.state import MaterialsState, QueueState, SessionState
from craftnet.interfaces import (
    IMaterialSource,
    IQueueSource,
    ISessionListener,
    ISessionSource,
)
from craftnet.providers.memory.sources import MemoryMaterials, MemoryQueues, MemorySessions, RecentIds
from craftnet.tests.contracts.source import (
    ACCEPTED,
    DUPLICATE,
    REJECTED,
    QueueRecorder,
    SessionRecorder,
    complete,
    progress,
    quantity,
    queued,
)
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, event, start


class SourceTestCase(SynchronousTestCase):
    """A source, and the outcomes of events in it."""

    def verdicts(self, source: ISessionSource | IMaterialSource | IQueueSource, *events: Event) -> list[EventVerdict]:
        """The outcomes of the events."""
        outcomes: list[EventOutcome] = self.successResultOf(source.apply(events))
        return [outcome.verdict for outcome in outcomes]


class SessionsTests(SourceTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.forgotten: list[UUID] = []

    def sessions(self, *, capacity: int = 10, retention: float = 300.0, remembered: int = 100) -> MemorySessions:
        return MemorySessions(
            self.clock,
            capacity=capacity,
            retention=retention,
            remembered_events=remembered,
            forgotten=self.forgotten.append,
        )

    def known(self, source: MemorySessions, session_id: UUID = SESSION) -> SessionState | None:
        return self.successResultOf(source.get(session_id))

    def test_finished_is_kept_for_its_retention(self) -> None:
        source = self.sessions(retention=30.0)
        self.verdicts(source, event(start()), event(complete(), NOW + 1))
        self.clock.advance(29.9)
        source.expire()
        self.assertIsNotNone(self.known(source))
        self.clock.advance(0.1)
        source.expire()
        self.assertIsNone(self.known(source))
        self.assertEqual(self.forgotten, [SESSION])
        self.assertEqual(self.successResultOf(source.count()), 0)

    def test_retention_begins_at_the_end(self) -> None:
        source = self.sessions(retention=30.0)
        self.verdicts(source, event(start()))
        self.clock.advance(1000.0)
        source.expire()
        self.assertIsNotNone(self.known(source))
        self.verdicts(source, event(complete(), NOW + 1000))
        self.clock.advance(29.0)
        source.expire()
        self.assertIsNotNone(self.known(source))

    def test_only_the_overdue_are_forgotten(self) -> None:
        source = self.sessions(retention=30.0)
        self.verdicts(source, event(start()), event(complete(), NOW + 1), event(start(OTHER_SESSION)))
        self.clock.advance(20.0)
        self.verdicts(source, event(complete(OTHER_SESSION), NOW + 20))
        self.clock.advance(10.0)
        source.expire()
        self.assertEqual(self.forgotten, [SESSION])
        self.clock.advance(20.0)
        source.expire()
        self.assertEqual(self.forgotten, [SESSION, OTHER_SESSION])

    def test_applying_expires(self) -> None:
        source = self.sessions(retention=30.0)
        self.verdicts(source, event(start()), event(complete(), NOW + 1))
        self.clock.advance(30.0)
        self.verdicts(source, event(start(OTHER_SESSION), NOW + 30))
        self.assertIsNone(self.known(source))

    def test_listeners_hear_of_the_forgetting(self) -> None:
        source = self.sessions(retention=30.0)
        listener = SessionRecorder()
        source.watch(SESSION, listener)
        self.verdicts(source, event(start()), event(complete(), NOW + 1))
        self.clock.advance(30.0)
        source.expire()
        self.assertEqual(listener.versions, [1, 2])
        self.assertIsNone(listener.heard[-1])
        self.assertEqual(len(listener.heard), 3)

    def test_forgotten_session_may_start_again(self) -> None:
        source = self.sessions(retention=30.0)
        self.verdicts(source, event(start()), event(complete(), NOW + 1))
        self.clock.advance(30.0)
        self.assertEqual(self.verdicts(source, event(start(), NOW + 30)), [ACCEPTED])
        state = self.known(source)
        assert state is not None
        self.assertEqual(state.version, 1)
        self.clock.advance(30.0)
        source.expire()
        self.assertIsNotNone(self.known(source))

    def test_full_of_running_sessions(self) -> None:
        """No running session is given up for a new one."""
        source = self.sessions(capacity=1)
        other = event(start(OTHER_SESSION))
        self.assertEqual(self.verdicts(source, event(start()), other), [ACCEPTED, REJECTED])
        self.assertEqual(self.verdicts(source, event(progress(1.0), NOW + 1)), [ACCEPTED])
        self.assertEqual(self.verdicts(source, event(complete(), NOW + 2), other), [ACCEPTED, ACCEPTED])

    def test_oldest_finished_makes_room(self) -> None:
        source = self.sessions(capacity=2)
        third = UUID(int=3)
        self.verdicts(source, event(start()), event(start(OTHER_SESSION)))
        self.verdicts(source, event(complete(OTHER_SESSION), NOW + 1), event(complete(), NOW + 2))
        self.assertEqual(self.verdicts(source, event(start(third), NOW + 3)), [ACCEPTED])
        self.assertEqual(self.forgotten, [OTHER_SESSION])
        self.assertEqual(self.successResultOf(source.count()), 2)

    def test_duplicate_window(self) -> None:
        """As many event ids are remembered as asked for; older ones are judged by the state alone."""
        source = self.sessions(remembered=2)
        begun, first, second = event(start()), event(progress(1.0), NOW + 1), event(progress(2.0), NOW + 2)
        self.verdicts(source, begun, first, second)
        self.assertEqual(self.verdicts(source, first, second), [DUPLICATE, DUPLICATE])
        self.assertEqual(self.verdicts(source, begun), [REJECTED])

    def test_listener_that_leaves_during_delivery(self) -> None:
        source = self.sessions()
        leaving, other = LeavingListener(source), SessionRecorder()
        source.watch(SESSION, leaving)
        source.watch(SESSION, other)
        self.verdicts(source, event(start()), event(progress(1.0), NOW + 1))
        self.assertEqual((leaving.updated, other.versions), (1, [1, 2]))

    def test_listener_added_during_delivery(self) -> None:
        """It has the state from `watch`, and hears what follows."""
        source = self.sessions()
        adding = AddingListener(source)
        source.watch(SESSION, adding)
        self.verdicts(source, event(start()), event(progress(1.0), NOW + 1))
        self.assertEqual(adding.friend.versions, [2])


@implementer(ISessionListener)
class LeavingListener:
    """Stops watching after the first change."""

    def __init__(self, source: ISessionSource) -> None:
        self._source = source
        self.updated = 0

    def session_changed(self, state: SessionState | None) -> None:
        self.updated += 1
        self._source.unwatch(SESSION, self)


@implementer(ISessionListener)
class AddingListener:
    """Adds another listener at the first change."""

    def __init__(self, source: ISessionSource) -> None:
        self._source = source
        self.friend = SessionRecorder()

    def session_changed(self, state: SessionState | None) -> None:
        self._source.watch(SESSION, self.friend)


class MaterialsTests(SourceTestCase):
    def test_capacity(self) -> None:
        """The session unchanged for longest goes."""
        source = MemoryMaterials(capacity=2, remembered_events=10)
        third = UUID(int=3)
        self.verdicts(source, event(start()), event(start(OTHER_SESSION)), event(quantity(1), NOW + 1))
        self.verdicts(source, event(start(third), NOW + 2))
        versions = [self.successResultOf(source.get(key)).version for key in (SESSION, OTHER_SESSION, third)]
        self.assertEqual(versions, [2, 0, 1])

    def test_forgetting(self) -> None:
        source = MemoryMaterials(capacity=2, remembered_events=10)
        self.verdicts(source, event(start()))
        source.forget(SESSION)
        source.forget(OTHER_SESSION)
        self.assertEqual(self.successResultOf(source.get(SESSION)), MaterialsState(SESSION))

    def test_duplicate_window(self) -> None:
        source = MemoryMaterials(capacity=2, remembered_events=1)
        begun, update = event(start()), event(quantity(1), NOW + 1)
        self.verdicts(source, begun, update)
        self.assertEqual(self.verdicts(source, update, begun), [DUPLICATE, REJECTED])

    def test_event_without_a_session(self) -> None:
        source = MemoryMaterials(capacity=2, remembered_events=1)
        self.assertEqual(self.verdicts(source, event(queued(1))), [REJECTED])


class QueuesTests(SourceTestCase):
    def test_capacity(self) -> None:
        """The longest unchanged player is evicted, and no longer found by session."""
        source = MemoryQueues(capacity=1, remembered_events=10)
        self.verdicts(source, event(queued(1), session_id=SESSION))
        self.verdicts(source, event(queued(1, player_id=OTHER_PLAYER), session_id=OTHER_SESSION))
        self.assertEqual(self.successResultOf(source.get(PLAYER)).entries, ())
        self.assertIsNone(self.successResultOf(source.find(SESSION)))
        self.assertIsNotNone(self.successResultOf(source.find(OTHER_SESSION)))

    def test_leaving_makes_room(self) -> None:
        source = MemoryQueues(capacity=1, remembered_events=10)
        self.verdicts(source, event(queued(1)), event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1))
        self.verdicts(source, event(queued(1, player_id=OTHER_PLAYER), NOW + 2))
        self.assertEqual(len(self.successResultOf(source.get(OTHER_PLAYER)).entries), 1)

    def test_entries_that_left_take_no_room(self) -> None:
        source = MemoryQueues(capacity=1, remembered_events=10)
        self.verdicts(source, event(queued(1)))
        for player_id in (OTHER_PLAYER, UUID(int=9)):
            self.verdicts(source, event(queued(1, QueueMessageType.QUEUE_TIMEOUT, player_id=player_id)))
        self.assertEqual(len(self.successResultOf(source.get(PLAYER)).entries), 1)

    def test_forgotten_players_go_on_counting(self) -> None:
        source = MemoryQueues(capacity=1, remembered_events=10)
        self.verdicts(source, event(queued(3)), event(queued(2), NOW + 1), event(queued(1), NOW + 2))
        self.verdicts(source, event(queued(1, player_id=OTHER_PLAYER)))
        self.assertEqual(self.successResultOf(source.get(PLAYER)), QueueState(PLAYER, 3))
        self.verdicts(source, event(queued(1), NOW + 3))
        self.assertEqual(self.successResultOf(source.get(PLAYER)).version, 4)

    def test_find_follows_the_newest(self) -> None:
        source = MemoryQueues(capacity=1, remembered_events=10)
        self.verdicts(source, event(queued(3), session_id=SESSION), event(queued(2), NOW + 1, session_id=SESSION))
        entry = self.successResultOf(source.find(SESSION))
        assert entry is not None
        self.assertEqual(entry.status.queue_position, 2)

    def test_duplicate_window(self) -> None:
        source = MemoryQueues(capacity=1, remembered_events=1)
        first, second = event(queued(2)), event(queued(1), NOW + 1)
        self.verdicts(source, first, second)
        self.assertEqual(self.verdicts(source, second, first), [DUPLICATE, REJECTED])

    def test_leaving_news_reaches_listeners(self) -> None:
        source = MemoryQueues(capacity=1, remembered_events=1)
        listener = QueueRecorder()
        source.watch(PLAYER, listener)
        self.verdicts(source, event(queued(1, QueueMessageType.QUEUE_TIMEOUT)))
        self.assertEqual([change.waiting for change in listener.heard], [False])


class RecentIdsTests(SynchronousTestCase):
    def test_bounded_oldest_first(self) -> None:
        recent = RecentIds(2)
        for number in (1, 2, 3):
            recent.add(UUID(int=number))
        self.assertEqual(len(recent), 2)
        self.assertEqual([UUID(int=number) in recent for number in (1, 2, 3)], [False, True, True])
