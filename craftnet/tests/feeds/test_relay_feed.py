"""The relay feed: what an edge receives, and watchers that move between the core and an edge."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import Revocation, Revocations
from craftnet.clocks import moment
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import EventData
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Expectation
from craftnet.crafting.state import SessionState
from craftnet.feeds.hub import Hub
from craftnet.feeds.relay_feed import REVOCATIONS_IN_MESSAGE
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.relay.messages import (
    PROTOCOL,
    CatchUp,
    Find,
    Follow,
    Followed,
    FollowRefused,
    RelayAnswer,
    RelayedForecast,
    RelayedProgress,
    RelayedSession,
    RelayHello,
    RelayMessage,
    Revoked,
    Subject,
    Unfollow,
    read_message,
)
from craftnet.tests.contracts.source import complete, pause, progress, queued
from craftnet.tests.support.edges import EDGE, Core, Edge
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.returning import Returning, short
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION, event, start

FOLLOW = Follow(Subject.SESSION, SESSION)


class RelayTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.core = Core(MemoryBackend(self.clock, MemorySettings()), self.clock)
        self.happen(start())

    def happen(self, *data: EventData) -> None:
        """Events in the core, one second apart."""
        for each in data:
            self.clock.advance(1.0)
            (outcome,) = self.successResultOf(
                _applied(self.core.sources, event(each, self.clock.seconds(), session_id=SESSION))
            )
            self.assertEqual(outcome.reason, "")


def _applied(sources: Sources, *events: Any) -> Any:
    return Deferred.fromCoroutine(sources.apply(events))


class FeedTestCase(RelayTestCase):
    """An edge that records what it receives."""

    def setUp(self) -> None:
        """The edge is connected."""
        super().setUp()
        self.edge = RecordingWatcher()
        self.successResultOf(self.core.relay.subscribe(EDGE, self.edge))
        self._read = 0

    def ask(self, *requests: object) -> None:
        """The edge sends requests."""
        self.core.relay.receive(self.edge, msgspec.json.encode(requests))

    def read(self) -> list[RelayMessage]:
        """What the edge has received since."""
        updates = self.edge.updates[self._read :]
        self._read += len(updates)
        return [read_message.decode(octets) for update in updates for octets in update.json]


class FeedTests(FeedTestCase):
    def test_first_messages(self) -> None:
        hello, revoked = self.read()
        self.assertEqual(hello, RelayHello(PROTOCOL, self.core.hub.epoch, devices=True))
        self.assertEqual(revoked, Revoked((), complete=True))

    def test_state_and_changes(self) -> None:
        self.read()
        self.ask(FOLLOW)
        (followed,) = self.read()
        assert isinstance(followed, Followed) and followed.session is not None and followed.materials is not None
        self.assertEqual((followed.session.version, followed.materials.version), (1, 1))
        self.assertEqual(followed.session.stamps, ())
        self.happen(pause())
        (message,) = self.read()
        assert isinstance(message, RelayedProgress)
        self.assertEqual((message.version, message.status), (2, Status.PAUSED))
        state = self.successResultOf(self.core.sources.sessions.get(SESSION))
        assert state is not None
        after = message.after(followed.session, 0.0)
        exact = replace(after.progress, percent=round(state.progress.percent, 6))
        self.assertEqual(after, replace(state, stamps=(), progress=exact))
        self.ask(Unfollow(Subject.SESSION, SESSION))
        self.happen(complete())
        self.assertEqual(self.read(), [])

    def test_confirmations_are_withheld(self) -> None:
        """They reach the edge before a watcher does, whose position may have them."""
        self.ask(FOLLOW)
        self.read()
        for percent in (1, 2, 3):
            self.happen(progress(percent * 100 / 60))
        self.assertEqual(self.read(), [])
        self.ask(CatchUp(7, Subject.SESSION, SESSION))
        sent, answer = self.read()
        assert isinstance(sent, RelayedProgress)
        self.assertEqual((sent.version, answer), (4, RelayAnswer(7)))
        self.ask(CatchUp(8, Subject.SESSION, SESSION))
        self.assertEqual(self.read(), [RelayAnswer(8)])
        self.happen(progress(40.0))
        self.assertEqual(len(self.read()), 1)

    def test_session_that_starts_later(self) -> None:
        self.ask(Follow(Subject.SESSION, OTHER_SESSION))
        self.read()
        self.successResultOf(_applied(self.core.sources, event(start(OTHER_SESSION), self.clock.seconds())))
        started, *_ = self.read()
        assert isinstance(started, RelayedSession) and started.state is not None
        self.assertEqual(started.state.version, 1)

    def test_queue_entry_of_a_session(self) -> None:
        self.read()
        self.ask(Find(1, SESSION), Find(2, uuid4()))
        self.assertEqual(self.read(), [RelayAnswer(1), RelayAnswer(2)])
        self.happen(queued(3))
        self.ask(Find(3, SESSION))
        (answer,) = self.read()
        assert isinstance(answer, RelayAnswer) and answer.entry is not None
        self.assertEqual(answer.entry.player_id, PLAYER)

    def test_history_is_kept_for_watchers_of_the_edge(self) -> None:
        """As long as the edge follows the session, and no longer than for any watcher."""
        self.ask(FOLLOW)
        self.assertEqual(len(self.core.hub.session_subscribers(SESSION)), 1)
        self.core.relay.unsubscribe(self.edge)
        self.assertEqual(self.core.hub.session_subscribers(SESSION), ())

    def test_not_requests(self) -> None:
        for octets in (b"", b"{}", b'[["jump"]]', b'[["follow","session"]]', b"\xff"):
            edge = RecordingWatcher()
            self.core.relay.subscribe(EDGE, edge)
            self.core.relay.receive(edge, octets)
            self.assertEqual(edge.codes, [CloseCode.POLICY_VIOLATION], octets)

    def test_unknown_edges_are_ignored(self) -> None:
        self.core.relay.receive(RecordingWatcher(), msgspec.json.encode([FOLLOW]))
        self.core.relay.unsubscribe(RecordingWatcher())

    def test_player_of_a_source_that_does_not_know(self) -> None:
        self.read()
        backend = MemoryBackend(self.clock, MemorySettings())
        sources = Sources(backend.queues, backend.materials, backend.queues)  # type: ignore[arg-type]  # no `IPlayerSessions`.
        self.core.relay.sources = sources
        edge = RecordingWatcher()
        self.core.relay.subscribe(EDGE, edge)
        self.core.relay.receive(edge, msgspec.json.encode([Follow(Subject.PLAYER, PLAYER)]))
        refused = read_message.decode(edge.updates[-1].json[0])
        assert isinstance(refused, FollowRefused)
        self.assertEqual(refused.status, 404)

    def test_revocations(self) -> None:
        """All that are in force at first, then each new one."""
        enforcement = Enforcement(Revocations(), [], lambda: moment(self.clock))
        enforcement.follow(self.core.relay.revoked)
        self.core.relay.revocations = enforcement
        many = [Revocation(f"t-{number}", None, 0.0, NOW + 1e6) for number in range(REVOCATIONS_IN_MESSAGE + 1)]
        enforcement.revoked(many)
        (sent,) = [message for message in self.read() if isinstance(message, Revoked) and message.revocations]
        self.assertEqual(list(sent.revocations), many)
        edge = RecordingWatcher()
        self.core.relay.subscribe(EDGE, edge)
        messages = [read_message.decode(update.json[0]) for update in edge.updates]
        parts = [message for message in messages if isinstance(message, Revoked)]
        self.assertEqual([one for part in parts for one in part.revocations], many)
        self.assertEqual([part.complete for part in parts], [False, True])


class FollowBefore(msgspec.Struct, array_like=True, tag="follow"):
    """`Follow` without what was added later."""

    subject: Subject
    key: UUID


class FixedEnd:
    """Forecasts that half of all crafts have ended at a time, and nine in ten 9 seconds later."""

    def __init__(self, end: float) -> None:
        self.end = end

    def expectation(self, state: SessionState) -> Expectation | None:
        """As in `Forecaster`."""
        left = self.end - state.progress.anchor
        return Expectation(left, left + 9.0) if state.progress.moving else None


class ForecastTests(FeedTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.forecaster = self.core.relay.forecaster = FixedEnd(self.clock.seconds() + 60.0)
        self.core.relay.subscribe(EDGE, self.edge)

    def follow(self, expected: bool = True) -> Followed:
        """The answer to a request to follow the session."""
        self.ask(Follow(Subject.SESSION, SESSION, expected))
        *_, followed = self.read()
        assert isinstance(followed, Followed)
        return followed

    def test_forecasts_come_with_the_state(self) -> None:
        self.assertEqual(self.follow().expected, Expectation(60.0, 69.0))
        self.happen(progress(50.0))
        (message,) = self.read()
        assert isinstance(message, RelayedForecast)
        self.assertEqual(message.expected, Expectation(59.0, 68.0))
        self.happen(pause())
        (paused,) = self.read()
        self.assertIs(type(paused), RelayedProgress)

    def test_servers_of_the_version_before(self) -> None:
        """Their messages are shorter, and they ignore what is new at the end of ours."""
        self.core.relay.receive(self.edge, b'[["follow","session","%s"]]' % str(SESSION).encode())
        *_, followed = self.read()
        assert isinstance(followed, Followed)
        self.assertIsNone(followed.expected)
        hello = read_message.decode(b'["hello",1,"e1"]')
        self.assertEqual(hello, RelayHello(PROTOCOL, "e1", devices=False))
        request = msgspec.json.encode(Follow(Subject.SESSION, SESSION, expected=True))
        self.assertEqual(msgspec.json.decode(request, type=FollowBefore).key, SESSION)

    def test_not_for_edges_that_do_not_ask(self) -> None:
        self.assertIsNone(self.follow(expected=False).expected)
        self.happen(progress(50.0))
        (message,) = self.read()
        self.assertIs(type(message), RelayedProgress)

    def test_another_forecast_is_not_withheld(self) -> None:
        """The state alone confirms what the edge extrapolates; the expectation does not."""
        self.follow()
        self.happen(progress(100 / 60))
        self.assertEqual(self.read(), [])
        self.forecaster.end += 5.0
        self.happen(progress(200 / 60))
        (message,) = self.read()
        assert isinstance(message, RelayedForecast)
        self.assertEqual(message.expected, Expectation(63.0, 72.0))


class Wire:
    """Calls in the order in which they were made, as far as a test lets them happen."""

    def __init__(self) -> None:
        self._calls: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()

    def later(self, function: Callable[..., object], *arguments: object) -> None:
        """Keeps a call."""
        self._calls.append((function, arguments))

    def carry(self, number: int = 1_000_000) -> None:
        """Makes up to this number of the waiting calls."""
        while self._calls and number:
            function, arguments = self._calls.popleft()
            function(*arguments)
            number -= 1


STEPS = st.lists(st.sampled_from(["shortage", "confirm", "pause", "wait", "core", "edge", "carry", "cut"]), max_size=25)


class MovingTests(RelayTestCase):
    """A watcher that continues at the other server misses nothing and receives nothing twice."""

    def setUp(self) -> None:
        super().setUp()
        self.wire = Wire()
        self.edge = Edge(self.core, self.clock, later=self.wire.later)
        self.wire.carry()
        sources = Sources(self.edge.sessions, self.edge.materials, self.edge.queues)
        self.hub = Hub(sources, self.clock, Metrics(), linger=0.0)
        self.client = Returning(self.core.hub)
        self.shortages: list[int] = []

    def shortage(self) -> None:
        """One more."""
        self.shortages.append(len(self.shortages) + 1)
        self.happen(short(self.shortages[-1]))

    def move(self, hub: Hub) -> None:
        """The client loses its connection and continues at a server."""
        self.client.read()
        self.client.go()
        self.client.hub = hub
        coming = self.client.come()
        self.wire.carry()
        self.successResultOf(coming)
        self.client.read()

    def test_there_and_back(self) -> None:
        self.move(self.core.hub)
        for hub in (self.hub, self.core.hub, self.hub):
            self.client.go()
            self.shortage()
            self.happen(progress(10.0 + len(self.shortages)))
            self.move(hub)
            self.wire.carry()
        self.assertEqual(self.client.recoveries, [True, True, True])
        self.assertEqual(self.client.shortages, self.shortages)

    def test_same_epoch(self) -> None:
        self.assertEqual(self.hub.epoch, self.core.hub.epoch)
        before = self.hub.epoch
        self.edge.disconnect()
        self.assertEqual(self.hub.epoch, before)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(STEPS)
    def test_any_path(self, steps: list[str]) -> None:
        self.setUp()
        self.move(self.core.hub)
        returns = 0
        for step in steps:
            match step:
                case "shortage":
                    self.shortage()
                case "confirm":
                    state = self.successResultOf(self.core.sources.sessions.get(SESSION))
                    assert state is not None
                    self.happen(progress(min(99.0, state.progress.percent + 1.0), state.progress.status))
                case "pause":
                    self.happen(progress(50.0, Status.PAUSED))
                case "wait":
                    self.clock.advance(5.0)
                case "core" | "edge":
                    self.move(self.core.hub if step == "core" else self.hub)
                    returns += 1
                case "carry":
                    self.wire.carry(2)
                case "cut":
                    self.client.cut(1)
        self.move(self.hub)
        self.wire.carry()
        self.client.read()
        self.assertEqual(self.client.recoveries, [True] * (returns + 1))
        self.assertEqual(self.client.shortages, self.shortages)
        state = self.successResultOf(self.core.sources.sessions.get(SESSION))
        assert state is not None
        self.assertIs(self.client.status, state.progress.status)
        self.client.go()
