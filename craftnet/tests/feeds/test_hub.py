"""The hub: feeds open and close, figures add up, refreshes are spread."""

from __future__ import annotations

from gc import collect
from itertools import pairwise
from uuid import UUID
from weakref import ref

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import Event
from craftnet.errors import NotFound
from craftnet.feeds.hub import REFRESH_SLOTS, Hub
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.source import complete, pause, progress, queued
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.late import LateMaterials, LateQueues, LateSessions
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, event, start


class _HubTestCase(SynchronousTestCase):
    linger = 0.0

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.metrics = Metrics()
        self.memory = MemoryBackend(self.clock, MemorySettings(retention=30.0))
        self.sessions = LateSessions(self.memory.sessions, lambda act: act())
        self.materials = LateMaterials(self.memory.materials, lambda act: act())
        self.queues = LateQueues(self.memory.queues, lambda act: act())
        sources = Sources(self.sessions, self.materials, self.queues)
        self.hub = Hub(sources, self.clock, self.metrics, refresh=5.0, linger=self.linger)

    def happen(self, *events: Event) -> None:
        """Apply events of sessions."""
        self.successResultOf(self.memory.sessions.apply(events))

    def watching(self, session_id: UUID = SESSION) -> RecordingWatcher:
        """A new watcher of a session."""
        watcher = RecordingWatcher()
        self.successResultOf(self.hub.subscribe_session(session_id, watcher))
        return watcher

    def queueing(self, player_id: UUID = PLAYER) -> RecordingWatcher:
        """A new watcher of a player's queues."""
        watcher = RecordingWatcher()
        self.successResultOf(self.hub.subscribe_queue(player_id, watcher))
        return watcher

    def figure(self, feed: str) -> float | None:
        """How many watchers the metrics show."""
        return self.metrics.registry.get_sample_value("craftnet_watchers", {"feed": feed})

    def assert_no_listeners(self) -> None:
        self.assertEqual([source.listening for source in (self.sessions, self.materials, self.queues)], [set()] * 3)


class WatchingTests(_HubTestCase):
    def test_one_feed_for_all_watchers(self) -> None:
        self.happen(event(start()))
        first, second = self.watching(), self.watching()
        self.assertEqual(len(self.sessions.listening), 1)
        self.happen(event(pause(), NOW))
        self.assertEqual([len(watcher.updates) for watcher in (first, second)], [2, 2])

    def test_one_encoding_for_all_watchers(self) -> None:
        self.happen(event(start()))
        first, second = self.watching(), self.watching()
        self.happen(event(pause(), NOW))
        self.assertIs(first.updates[-1], second.updates[-1])

    def test_sessions_apart(self) -> None:
        self.happen(event(start()), event(start(OTHER_SESSION)))
        first, second = self.watching(), self.watching(OTHER_SESSION)
        self.happen(event(pause(), NOW))
        self.assertEqual([len(watcher.updates) for watcher in (first, second)], [2, 1])

    def test_feed_closes_after_the_last(self) -> None:
        self.happen(event(start()))
        first, second = self.watching(), self.watching()
        self.hub.unsubscribe_session(SESSION, first)
        self.assertEqual(len(self.sessions.listening), 1)
        self.hub.unsubscribe_session(SESSION, second)
        self.assert_no_listeners()
        self.happen(event(pause(), NOW))
        self.assertEqual(len(second.updates), 1)

    def test_feed_opens_again(self) -> None:
        self.happen(event(start()))
        self.hub.unsubscribe_session(SESSION, self.watching())
        watcher = self.watching()
        self.happen(event(pause(), NOW))
        self.assertEqual(len(watcher.updates), 2)

    def test_unwatching_the_unknown(self) -> None:
        self.hub.unsubscribe_session(SESSION, RecordingWatcher())
        self.hub.unsubscribe_queue(PLAYER, RecordingWatcher())
        self.happen(event(start()))
        self.watching()
        self.hub.unsubscribe_session(SESSION, RecordingWatcher())
        self.assertEqual(self.figure("crafting"), 1)

    def test_queue_feed(self) -> None:
        watcher, other = self.queueing(), self.queueing(OTHER_PLAYER)
        self.successResultOf(self.memory.queues.apply([event(queued(2))]))
        self.assertEqual((watcher.types, other.types), (["queue_position"], []))
        self.hub.unsubscribe_queue(PLAYER, watcher)
        self.hub.unsubscribe_queue(OTHER_PLAYER, other)
        self.assert_no_listeners()


class MetricsTests(_HubTestCase):
    def test_coming_and_going(self) -> None:
        self.happen(event(start()))
        watchers: list[ISubscriber] = [self.watching(), self.watching()]
        queue_status = self.queueing()
        self.assertEqual((self.figure("crafting"), self.figure("queue")), (2, 1))
        for watcher in watchers:
            self.hub.unsubscribe_session(SESSION, watcher)
            self.hub.unsubscribe_session(SESSION, watcher)
        self.hub.unsubscribe_queue(PLAYER, queue_status)
        self.assertEqual((self.figure("crafting"), self.figure("queue")), (0, 0))

    def test_no_such_session(self) -> None:
        self.failureResultOf(self.hub.subscribe_session(SESSION, RecordingWatcher()), NotFound)
        self.assertEqual(self.figure("crafting"), 0)
        self.assert_no_listeners()

    def test_forgotten_session(self) -> None:
        self.happen(event(start()))
        watchers = [self.watching(), self.watching()]
        self.happen(event(complete(), NOW + 1))
        self.clock.advance(30.0)
        self.memory.sessions.expire()
        self.assertEqual([watcher.codes for watcher in watchers], [[CloseCode.NORMAL]] * 2)
        self.assertEqual(self.figure("crafting"), 0)
        for watcher in watchers:
            self.hub.unsubscribe_session(SESSION, watcher)
        self.assertEqual(self.figure("crafting"), 0)
        self.assert_no_listeners()


class RefreshTests(_HubTestCase):
    COUNT = 200

    def setUp(self) -> None:
        super().setUp()
        # ids that are spread as random ones are, the same in every run.
        self.ids = [UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128) for n in range(1, self.COUNT + 1)]
        self.happen(*(event(start(session_id)) for session_id in self.ids))
        self.watchers = [self.watching(session_id) for session_id in self.ids]
        for watcher in self.watchers:
            watcher.updates.clear()

    def updated(self) -> int:
        return sum(len(watcher.updates) for watcher in self.watchers)

    def turn(self) -> None:
        """Advances to the wheel's next turn."""
        self.clock.advance(self.hub.turn_interval)
        self.hub.turn()

    def test_each_once_in_a_period(self) -> None:
        for _ in range(REFRESH_SLOTS):
            self.turn()
        self.assertEqual([len(watcher.updates) for watcher in self.watchers], [1] * self.COUNT)

    def test_frequently_updated_sessions_are_not_refreshed(self) -> None:
        """Every second something happens to every other session; the others progress as before."""
        for number in range(4 * REFRESH_SLOTS):
            if number % 20 == 5:
                reports = [progress(number / 5, session_id=each) for each in self.ids[::2]]
                self.happen(*(event(each, self.clock.seconds()) for each in reports))
            self.turn()
        for quiet, watcher in enumerate(self.watchers):
            refreshed = [update for update in watcher.updates if update.accepted is None]
            self.assertEqual(len(refreshed), 4 if quiet % 2 else 0)

    def test_turns_make_a_period(self) -> None:
        self.assertAlmostEqual(self.hub.turn_interval * REFRESH_SLOTS, 5.0)

    def test_spread_over_the_turns(self) -> None:
        counts = []
        for _ in range(REFRESH_SLOTS):
            before = self.updated()
            self.turn()
            counts.append(self.updated() - before)
        self.assertLess(max(counts), self.COUNT // 5)
        self.assertGreater(sum(count > 0 for count in counts), REFRESH_SLOTS // 3)

    def test_unwatched_sessions_come_round_no_more(self) -> None:
        for session_id, watcher in zip(self.ids, self.watchers, strict=True):
            self.hub.unsubscribe_session(session_id, watcher)
        for _ in range(REFRESH_SLOTS):
            self.turn()
        self.assertEqual(self.updated(), 0)
        again = self.watching(self.ids[0])
        for _ in range(REFRESH_SLOTS):
            self.turn()
        self.assertEqual(len(again.updates), 2)

    def test_unwatched_sessions_are_not_kept(self) -> None:
        session_id = UUID(int=17)
        kept = ref(session_id)
        self.failureResultOf(self.hub.subscribe_session(session_id, RecordingWatcher()), NotFound)
        del session_id
        for _ in range(REFRESH_SLOTS):
            self.hub.turn()
        collect()
        self.assertIsNone(kept())


class WaitingTests(_HubTestCase):
    @settings(deadline=None, derandomize=True, max_examples=50)
    @given(st.lists(st.tuples(st.floats(0.01, 4.0), st.floats(0.0, 1.0)), max_size=30), st.integers(0, 2**128 - 1))
    def test_every_watcher_receives_an_update_each_period(
        self, reports: list[tuple[float, float]], number: int
    ) -> None:
        """Whenever the authority reports something, whether it is sent or not, and whichever turn the session has."""
        self.setUp()
        session_id = UUID(int=number)
        self.happen(event(start(session_id, seconds=3600.0)))
        watcher, percent = self.watching(session_id), 0.0
        times, next_turn = [NOW], NOW + self.hub.turn_interval
        for wait, step in [*reports, (6.0, 1.0), (6.0, 1.0)]:
            due = self.clock.seconds() + wait
            while next_turn < due:
                self.clock.advance(next_turn - self.clock.seconds())
                self.hub.turn()
                times += [next_turn for _ in watcher.updates]
                watcher.updates.clear()
                next_turn += self.hub.turn_interval
            self.clock.advance(due - self.clock.seconds())
            percent += step
            self.happen(event(progress(percent, session_id=session_id), due))
            times += [due for _ in watcher.updates]
            watcher.updates.clear()
        self.assertLess(max(later - earlier for earlier, later in pairwise(times)), 5.0 + 1e-3)
