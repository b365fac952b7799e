"""Watchers that come back: nothing missed, nothing twice, nothing older after something newer."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import Event
from craftnet.contract.messages import QueueMessageType, Status, WebSocketCraftingMessage, WebSocketQueueMessage
from craftnet.contract.position import HISTORY_LENGTH, HISTORY_SECONDS, NOTHING, Position
from craftnet.feeds.hub import Hub
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.source import complete, pause, progress, queued
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.late import LateSessions
from craftnet.tests.support.returning import Returning, short
from craftnet.tests.support.samples import NOW, PLAYER, SESSION, event, start


class _RecoveryTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.sources = self.made()
        self.hub = self.restarted()
        self.updated: list[int] = []
        self.happen(event(start()))

    def made(self) -> Sources:
        """In memory."""
        return Sources.of(MemoryBackend(self.clock, MemorySettings()))

    def restarted(self) -> Hub:
        """A hub, as another process has it, that knows nothing of earlier ones."""
        self.metrics = Metrics()
        return Hub(self.sources, self.clock, self.metrics, refresh=5.0)

    def happen(self, *events: Event) -> None:
        """Apply events."""
        for event_ in events:
            source = self.sources.responsible(event_)
            (outcome,) = self.successResultOf(source.apply([event_]))
            self.assertEqual(outcome.reason, "")
            if event_.data == start():
                self.successResultOf(self.sources.materials.apply([event_]))

    def shortage(self) -> None:
        """One more."""
        self.updated.append(len(self.updated) + 1)
        self.happen(event(short(self.updated[-1]), self.clock.seconds()))

    def returning(self) -> Returning:
        """A client that has the current state."""
        client = Returning(self.hub)
        client.come()
        client.read()
        return client


class SessionRecoveryTests(_RecoveryTestCase):
    def test_what_was_missed(self) -> None:
        client = self.returning()
        self.shortage()
        client.read()
        client.go()
        self.shortage()
        self.shortage()
        self.happen(event(pause(), NOW + 1))
        client.come()
        client.read()
        self.assertEqual((client.recoveries, client.shortages, client.status), ([True], [1, 2, 3], Status.PAUSED))

    def test_nothing_was_missed(self) -> None:
        """The answer says so, and the progress is repeated, because it moves."""
        client = self.returning()
        before = client.position
        client.go()
        watcher = RecordingWatcher()
        self.hub.subscribe_session(SESSION, watcher, before)
        first, second = [message for update in watcher.updates for message in update.messages]
        assert isinstance(first, WebSocketCraftingMessage) and isinstance(second, WebSocketCraftingMessage)
        self.assertEqual((first.type, first.recovered, first.queue_data), ("queue_status", True, None))
        self.assertEqual((second.type, second.recovered), ("progress_update", None))

    def test_from_udp(self) -> None:
        """UDP carries no queues: what was missed, then the player's entries, then the position."""
        client = self.returning()
        self.happen(event(queued(3)))
        client.read()
        client.go()
        assert client.position is not None
        self.shortage()
        delivered = {}
        for over_udp in (False, True):
            watcher = RecordingWatcher()
            self.hub.subscribe_session(SESSION, watcher, replace(client.position, over_udp=over_udp))
            delivered[over_udp] = watcher.types[1:]
        self.assertEqual(delivered[False], ["material_notification", "progress_update"])
        self.assertEqual(delivered[True], [*delivered[False], "queue_status", "progress_update"])

    def test_without_a_position_nothing_is_said_of_recovery(self) -> None:
        self.assertEqual(self.returning().recoveries, [])

    def test_another_epoch(self) -> None:
        client = self.returning()
        self.shortage()
        client.read()
        client.go()
        client.hub = self.restarted()
        self.shortage()
        client.come()
        client.read()
        self.assertEqual((client.recoveries, client.shortages), ([False], [2]))

    def test_counted(self) -> None:
        """Those who stayed to hear it; not a client that has nothing yet and asks for a first position."""
        client = self.returning()
        for position in (None, Position("another", 1), Position("0", NOTHING), None):
            if position is not None:
                client.position = position
            client.go()
            client.come()
            client.read()
        figures = self.metrics.registry
        names = {"feed": "crafting", "recovered": "true"}, {"feed": "crafting", "recovered": "false"}
        self.assertEqual([figures.get_sample_value("craftnet_returns_total", labels) for labels in names], [2, 1])

    def test_from_the_future(self) -> None:
        client = self.returning()
        client.go()
        assert client.position is not None
        client.position = Position(client.position.epoch, client.position.version + 1)
        watcher = RecordingWatcher()
        self.hub.subscribe_session(SESSION, watcher, client.position)
        (first,) = watcher.updates[0].messages
        assert isinstance(first, WebSocketCraftingMessage)
        self.assertIs(first.recovered, False)

    def test_too_much_was_missed(self) -> None:
        client = self.returning()
        client.go()
        for _ in range(HISTORY_LENGTH + 1):
            self.shortage()
        client.come()
        client.read()
        self.assertEqual((client.recoveries, client.shortages), ([False], [HISTORY_LENGTH + 1]))

    def test_too_long_ago(self) -> None:
        """The feed was closed meanwhile, and opened again: what it delivered in between is lost."""
        client = self.returning()
        client.go()
        self.shortage()
        self.clock.advance(HISTORY_SECONDS + 1)
        self.hub.turn()
        client.come()
        client.read()
        self.assertEqual((client.recoveries, client.shortages), ([False], [1]))

    def test_lost_connections_during_the_answer(self) -> None:
        """After any number of messages: the client returns once more, and knows everything."""
        self.shortage()
        self.happen(event(queued(3), session_id=SESSION))
        here = Returning(self.hub)
        here.come()
        here.read()
        assert here.position is not None
        new, lost, over_udp = None, Position("another", 1), replace(here.position, over_udp=True)
        for resume in (new, lost, over_udp):
            for count in range(5):
                with self.subTest(resume=resume, count=count):
                    client = Returning(self.hub)
                    client.position, client.shortages = resume, [1] if resume is over_udp else []
                    client.come()
                    client.cut(count)
                    client.come()
                    client.read()
                    known = client.shortages, client.positions, client.status
                    self.assertEqual(known, ([1], [3], Status.ACTIVE))

    def test_long_ago_but_nothing_happened(self) -> None:
        """Equal positions are equal states, even when the feed was closed in between."""
        client = self.returning()
        client.go()
        self.clock.advance(HISTORY_SECONDS + 1)
        self.hub.turn()
        client.come()
        client.read()
        self.assertEqual(client.recoveries, [True])


STEPS = (
    *("shortage", "pause or resume", "wait", "queue"),
    *("go", "cut", "come", "come back elsewhere", "come over from UDP", "read", "refresh"),
)


class AnyHistoryTests(_RecoveryTestCase):
    @settings(deadline=None, derandomize=True, max_examples=120)
    @given(st.lists(st.sampled_from(STEPS), max_size=40), st.integers(0, 2**32))
    def test_the_client_knows_what_is(self, steps: list[str], seed: int) -> None:
        """Whatever happens and whenever the client is away: when it is back it knows all, each thing once."""
        self.setUp()
        client = self.returning()
        position = 0
        for number, step in enumerate([*steps, "go", "come", "read"]):
            now = self.clock.seconds()
            match step:
                case "shortage":
                    self.shortage()
                case "pause or resume":
                    status = Status.PAUSED if number % 2 else Status.ACTIVE
                    self.happen(event(progress(10.0, status), now))
                case "wait":
                    self.clock.advance((seed >> number % 32) % 40)
                    self.hub.turn()
                case "queue":
                    position = number + 1
                    self.happen(event(queued(position), now, session_id=SESSION))
                case "go":
                    client.read()
                    client.go()
                case "cut":
                    client.cut(seed >> number % 32 & 3)
                case "come":
                    client.go()
                    client.come()
                case "come over from UDP":
                    client.go()
                    client.come(over_udp=True)
                case "come back elsewhere":
                    client.read()
                    client.go()
                    client.hub = self.hub = self.restarted()
                    client.come()
                case "read":
                    client.read()
                case _:
                    self.hub.turn()
        state = self.successResultOf(self.sources.sessions.get(SESSION))
        assert state is not None
        self.assertIs(client.status, state.progress.status)
        self.assertEqual(client.positions[-1:], [position] if position else [])
        self.assertEqual(client.shortages[-1:], self.updated[-1:])
        # Since the last whole state, every shortage was delivered exactly once.
        self.assertEqual(client.shortages, self.updated[len(self.updated) - len(client.shortages) :])


class QueueRecoveryTests(_RecoveryTestCase):
    def messages(self, resume: Position | None) -> list[WebSocketQueueMessage]:
        """What a watcher receives at once."""
        watcher = RecordingWatcher()
        self.successResultOf(self.hub.subscribe_queue(PLAYER, watcher, resume))
        self.hub.unsubscribe_queue(PLAYER, watcher)
        messages = [message for update in watcher.updates for message in update.messages]
        assert all(isinstance(message, WebSocketQueueMessage) for message in messages)
        return messages  # type: ignore[return-value]  # as was just checked.

    def position(self, messages: list[WebSocketQueueMessage]) -> Position:
        """The last one."""
        assert messages[-1].epoch is not None and messages[-1].version is not None
        return Position(messages[-1].epoch, messages[-1].version)

    def test_what_was_missed(self) -> None:
        self.happen(event(queued(3)))
        here = self.position(self.messages(None))
        self.happen(event(queued(2), NOW + 1), event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 2))
        delivered = [(message.type, message.queue_position, message.recovered) for message in self.messages(here)]
        self.assertEqual(
            delivered,
            [
                (QueueMessageType.QUEUE_POSITION, None, True),
                (QueueMessageType.QUEUE_POSITION, 2, None),
                (QueueMessageType.STATION_AVAILABLE, 1, None),
            ],
        )

    def test_an_empty_state_is_delivered_too(self) -> None:
        """A client that thinks it waits learns that it does not, or no longer."""
        (message,) = self.messages(Position("another", 7))
        self.assertEqual((message.type, message.queue_position, message.recovered), ("queue_position", None, False))


class LingeringTests(_RecoveryTestCase):
    def made(self) -> Sources:
        """Sources that know who listens, and have room for two sessions."""
        backend = MemoryBackend(self.clock, MemorySettings(capacity=2))
        self.watched = LateSessions(backend.sessions, lambda answer: answer())
        return Sources(self.watched, backend.materials, backend.queues)

    def listening(self, session_id: UUID) -> int:
        """How many feeds the sources know of this session."""
        return sum(key == session_id for key, _ in self.watched.listening)

    def test_closed_in_time(self) -> None:
        client = self.returning()
        client.go()
        self.clock.advance(HISTORY_SECONDS - 1)
        self.hub.turn()
        self.assertEqual(self.listening(SESSION), 1)
        self.clock.advance(1)
        self.hub.turn()
        self.assertEqual(self.listening(SESSION), 0)

    def test_not_closed_after_a_watcher_returns(self) -> None:
        client = self.returning()
        client.go()
        client.come()
        self.clock.advance(HISTORY_SECONDS + 1)
        self.hub.turn()
        self.assertEqual(self.listening(SESSION), 1)

    def test_bounded_in_number(self) -> None:
        """The one that was left first goes."""
        self.patch(__import__("craftnet.feeds.hub", fromlist=["hub"]), "MAX_IDLE_FEEDS", 1)
        other = UUID(int=77)
        self.happen(event(start(other)))
        for session_id in (SESSION, other):
            watcher = RecordingWatcher()
            self.hub.subscribe_session(session_id, watcher)
            partial(self.hub.unsubscribe_session, session_id)(watcher)
        self.assertEqual([self.listening(session_id) for session_id in (SESSION, other)], [0, 1])

    def test_a_feed_that_is_over_is_not_kept(self) -> None:
        """A session that is removed while it has no watcher is gone for the next watcher."""
        client = self.returning()
        client.go()
        self.happen(event(complete(), NOW + 1))
        self.assertEqual(self.listening(SESSION), 1)
        self.happen(*(event(start(UUID(int=number))) for number in range(2)))
        self.assertEqual(self.listening(SESSION), 0)
