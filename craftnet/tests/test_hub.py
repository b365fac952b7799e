"""The hub: feeds open and close, figures add up, refreshes are spread."""

from __future__ import annotations

from gc import collect
from uuid import UUID
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from craftnet.closecodes import CloseCode
from craftnet.errors import NotFound
from craftnet.events import Event
from craftnet.hub import REFRESH_SLOTS, Hub
from craftnet.interfaces import IWatcher
from craftnet.observe.metrics import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.sources import Sources
from craftnet.tests.contracts import complete, pause, queued
from craftnet.tests.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.late import LateMaterials, LateQueues, LateSessions
from craftnet.tests.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, event, start


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
        self.successResultOf(self.hub.watch_session(session_id, watcher))
        return watcher

    def queueing(self, player_id: UUID = PLAYER) -> RecordingWatcher:
        """A new watcher of a player's queues."""
        watcher = RecordingWatcher()
        self.successResultOf(self.hub.watch_queue(player_id, watcher))
        return watcher

    def figure(self, feed: str) -> float | None:
        """How many watchers the metrics show."""
        return self.metrics.registry.get_sample_value("craftnet_watchers", {"feed": feed})

    def assert_nobody_listens(self) -> None:
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
        self.hub.unwatch_session(SESSION, first)
        self.assertEqual(len(self.sessions.listening), 1)
        self.hub.unwatch_session(SESSION, second)
        self.assert_nobody_listens()
        self.happen(event(pause(), NOW))
        self.assertEqual(len(second.updates), 1)

    def test_feed_opens_again(self) -> None:
        self.happen(event(start()))
        self.hub.unwatch_session(SESSION, self.watching())
        watcher = self.watching()
        self.happen(event(pause(), NOW))
        self.assertEqual(len(watcher.updates), 2)

    def test_unwatching_the_unknown(self) -> None:
        self.hub.unwatch_session(SESSION, RecordingWatcher())
        self.hub.unwatch_queue(PLAYER, RecordingWatcher())
        self.happen(event(start()))
        self.watching()
        self.hub.unwatch_session(SESSION, RecordingWatcher())
        self.assertEqual(self.figure("crafting"), 1)

    def test_queue_feed(self) -> None:
        watcher, other = self.queueing(), self.queueing(OTHER_PLAYER)
        self.successResultOf(self.memory.queues.apply([event(queued(2))]))
        self.assertEqual((watcher.types, other.types), (["queue_position"], []))
        self.hub.unwatch_queue(PLAYER, watcher)
        self.hub.unwatch_queue(OTHER_PLAYER, other)
        self.assert_nobody_listens()


class MetricsTests(_HubTestCase):
    def test_coming_and_going(self) -> None:
        self.happen(event(start()))
        watchers: list[IWatcher] = [self.watching(), self.watching()]
        place = self.queueing()
        self.assertEqual((self.figure("crafting"), self.figure("queue")), (2, 1))
        for watcher in watchers:
            self.hub.unwatch_session(SESSION, watcher)
            self.hub.unwatch_session(SESSION, watcher)
        self.hub.unwatch_queue(PLAYER, place)
        self.assertEqual((self.figure("crafting"), self.figure("queue")), (0, 0))

    def test_no_such_session(self) -> None:
        self.failureResultOf(self.hub.watch_session(SESSION, RecordingWatcher()), NotFound)
        self.assertEqual(self.figure("crafting"), 0)
        self.assert_nobody_listens()

    def test_forgotten_session(self) -> None:
        self.happen(event(start()))
        watchers = [self.watching(), self.watching()]
        self.happen(event(complete(), NOW + 1))
        self.clock.advance(30.0)
        self.memory.sessions.expire()
        self.assertEqual([watcher.codes for watcher in watchers], [[CloseCode.NORMAL]] * 2)
        self.assertEqual(self.figure("crafting"), 0)
        for watcher in watchers:
            self.hub.unwatch_session(SESSION, watcher)
        self.assertEqual(self.figure("crafting"), 0)
        self.assert_nobody_listens()


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

    def told(self) -> int:
        return sum(len(watcher.updates) for watcher in self.watchers)

    def test_each_once_in_a_period(self) -> None:
        for _ in range(REFRESH_SLOTS):
            self.hub.turn()
        self.assertEqual([len(watcher.updates) for watcher in self.watchers], [1] * self.COUNT)

    def test_turns_make_a_period(self) -> None:
        self.assertAlmostEqual(self.hub.turn_interval * REFRESH_SLOTS, 5.0)

    def test_spread_over_the_turns(self) -> None:
        counts = []
        for _ in range(REFRESH_SLOTS):
            before = self.told()
            self.hub.turn()
            counts.append(self.told() - before)
        self.assertLess(max(counts), self.COUNT // 5)
        self.assertGreater(sum(count > 0 for count in counts), REFRESH_SLOTS // 2)

    def test_unwatched_sessions_come_round_no_more(self) -> None:
        for session_id, watcher in zip(self.ids, self.watchers, strict=True):
            self.hub.unwatch_session(session_id, watcher)
        for _ in range(REFRESH_SLOTS):
            self.hub.turn()
        self.assertEqual(self.told(), 0)
        again = self.watching(self.ids[0])
        for _ in range(REFRESH_SLOTS):
            self.hub.turn()
        self.assertEqual(len(again.updates), 2)

    def test_nothing_is_kept_of_what_nobody_watches(self) -> None:
        session_id = UUID(int=17)
        kept = ref(session_id)
        self.failureResultOf(self.hub.watch_session(session_id, RecordingWatcher()), NotFound)
        del session_id
        for _ in range(REFRESH_SLOTS):
            self.hub.turn()
        collect()
        self.assertIsNone(kept())
