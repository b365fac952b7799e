"""The way of an event to the frames of its watchers: how much it calls, so that it stays short."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.admin.this_node import ThisNode
from craftnet.admin.tracing import FLUSH_SECONDS, LEASE_SECONDS, Traces
from craftnet.clocks import moment
from craftnet.contract.admin.feed import TraceEntry
from craftnet.contract.events import Event, EventOutcome
from craftnet.contract.messages import rfc3339
from craftnet.feeds.ingest import Ingest
from craftnet.nodes.node_group import NodeGroup
from craftnet.protocols.feed.server.inspection import FeedConnectionTable
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.feed_wire import FeedServer
from craftnet.tests.support.samples import PLAYER, start

MOST_CALLS = 50
"""Calls of Python functions for one event and its one watcher, from the body to the transport."""

MOST_CALLS_WITHOUT_DELIVERY = 30
"""The same when the watcher's copy is still good enough."""


class HotPathTests(SynchronousTestCase):
    COUNT = 50

    def setUp(self) -> None:
        self.server = FeedServer()
        self.ingest = Ingest(self.server.sources, self.server.metrics)
        self.sessions = [UUID(int=number + 1) for number in range(self.COUNT)]
        self.server.apply(*(start(session, seconds=3600.0) for session in self.sessions))
        targets = [f"/ws/crafting/{session}?player_id={PLAYER}" for session in self.sessions]
        self.wires = [self.server.opened(target) for target in targets]
        for percent in (10.0, 30.0):  # fills the caches.
            self.publish(self.body(percent))

    def body(self, percent: float) -> bytes:
        """Every session's progress, as the authority posts it."""
        self.server.clock.advance(1.0)
        now = rfc3339(self.server.clock.wall())
        return b"\n".join(
            msgspec.json.encode(
                {
                    "event_id": UUID(int=int(percent * 1000) * 1000 + session.int),
                    "event_type": "crafting.session.progress",
                    "timestamp": now,
                    "version": "1.0.0",
                    "source": "crafting.session",
                    "data": {
                        "session_id": session,
                        "progress_percentage": percent,
                        "status": "active",
                        "remaining_time_seconds": 3600 - 36 * percent,
                    },
                }
            )
            for session in self.sessions
        )

    def publish(self, body: bytes) -> None:
        """Post it, and see that each event is accepted."""
        published: Deferred[list[EventOutcome]] = Deferred.fromCoroutine(
            self.ingest.publish(body, newline_delimited=True, now=moment(self.server.clock))
        )
        self.assertEqual(len(self.successResultOf(published)), self.COUNT)

    def calls(self, body: bytes) -> Counter[str]:
        """The calls per event while a body is applied, by name."""
        with counted() as called:
            self.publish(body)
        return called

    def assert_calls(self, called: Counter[str], most: int) -> None:
        usual = {name: number / self.COUNT for name, number in called.items() if number >= self.COUNT}
        self.assertLessEqual(called.total() / self.COUNT, most, usual)

    def frames(self) -> list[int]:
        """How many each watcher was sent since the last time."""
        return [len(wire.frames()) for wire in self.wires]

    def test_delivered(self) -> None:
        self.frames()
        called = self.calls(self.body(50.0))
        self.assertEqual(self.frames(), [1] * self.COUNT)
        self.assert_calls(called, MOST_CALLS)

    def test_within_the_tolerance(self) -> None:
        self.frames()
        called = self.calls(self.body(30.03))
        self.assertEqual(self.frames(), [0] * self.COUNT)
        self.assert_calls(called, MOST_CALLS_WITHOUT_DELIVERY)

    def test_each_of_them_is_counted(self) -> None:
        """The test itself sees calls."""
        called = self.calls(self.body(50.0))
        self.assertEqual(called["craftnet.crafting.session_rules.advance_session"], self.COUNT)
        self.assertIn(Event.__module__ + ".Event.occurred", called)


class AdministeredTests(HotPathTests):
    """The same, while administrators may look: what they do not trace costs no more."""

    def setUp(self) -> None:
        super().setUp()
        server = self.server
        self.node = ThisNode(
            "one",
            server.sources,
            server.hub,
            server.metrics,
            server.monitor,
            [FeedConnectionTable(server.connections.open)],
            server.clock,
            backend="memory",
            shared=True,
            version="1",
            security=lambda limit: [],
        )
        group = NodeGroup("one", None, server.clock)
        self.traces = Traces(self.node, group)
        for service in (self.node, group, self.traces):
            service.startService()
            self.addCleanup(service.stopService)

    def test_traced_and_not_traced_any_more(self) -> None:
        """A trace has each event and each frame, of its session alone; when it ends, all is as it was."""
        entries: list[TraceEntry] = []
        following = Deferred.fromCoroutine(
            self.traces.follow(self.sessions[0], lambda found, dropped: entries.extend(found))
        )
        stop = self.successResultOf(following)
        self.publish(self.body(50.0))
        self.server.clock.advance(FLUSH_SECONDS)
        self.assertEqual([(entry.direction, entry.kind) for entry in entries], [("out", "frame"), ("in", "event")])
        sizes = [len(frame) for frame in self.wires[0].frames()[-1:]]
        self.assertTrue(sizes)
        stop()
        for _ in range(4):
            self.server.clock.advance(LEASE_SECONDS / 2)
        self.assertEqual(self.server.hub.traced, {})
        self.frames()
        called = self.calls(self.body(70.0))
        self.assertEqual(self.frames(), [1] * self.COUNT)
        self.assert_calls(called, MOST_CALLS)
        self.assertNotIn("craftnet.admin.tracing", str(called))
        self.assertEqual(len(entries), 2)
