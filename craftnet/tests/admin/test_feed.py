"""Tests for `craftnet.admin.feed`: over transports in memory, for clients that do not read."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import ADMIN, Principal
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import Revocations
from craftnet.admin.actions import OperatorActions
from craftnet.admin.feed import MAX_BACKLOG, AdminFeed
from craftnet.admin.this_node import ThisNode
from craftnet.admin.tracing import FLUSH_SECONDS, Traces
from craftnet.admin.views import Views
from craftnet.clocks import moment
from craftnet.contract.admin.overview import DashboardMode
from craftnet.contract.events import SessionPause, SessionResume
from craftnet.crafting.updates import Update
from craftnet.nodes.node_group import NodeGroup
from craftnet.protocols.feed.server.inspection import FeedConnectionTable
from craftnet.tests.support.feed_wire import FeedServer
from craftnet.tests.support.samples import NOW, SESSION, start

GARBAGE = settings(max_examples=100, derandomize=True, deadline=None)

BEARER = Principal(None, frozenset({ADMIN}), NOW + 1e6)


class Client:
    """A client that may stop reading: what it was given, and what waits."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.backlog = 0

    def deliver(self, update: Update) -> None:
        """Keep it."""
        self.messages += [msgspec.json.decode(message) for message in update.json]

    def take(self, kind: str) -> list[dict[str, Any]]:
        """The messages of a type, which are removed with all others."""
        messages, self.messages = self.messages, []
        return [message for message in messages if message["type"] == kind]


class AdminFeedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = server = FeedServer()
        clock = server.clock
        node = ThisNode(
            *("one", server.sources, server.hub, server.metrics, server.monitor),
            [FeedConnectionTable(server.connections.open)],
            clock,
            backend="memory",
            shared=True,
            version="1",
            security=lambda limit: [],
        )
        group = NodeGroup("one", None, clock)
        views, traces = Views(node, group), Traces(node, group)
        actions = OperatorActions(
            node, group, Enforcement(Revocations(), [], lambda: moment(clock)), DashboardMode.ON, "1"
        )
        self.feed = AdminFeed(views, traces, actions, clock)
        for service in (node, group, traces, self.feed):
            service.startService()
            self.addCleanup(service.stopService)
        self.client = Client()
        self.successResultOf(self.feed.subscribe(BEARER, self.client))

    def ask(self, **message: Any) -> None:
        self.feed.receive(self.client, msgspec.json.encode(message))

    def test_nothing_comes_without_a_client(self) -> None:
        """No timer of the feed runs."""
        self.feed.unsubscribe(self.client)
        self.client.take("overview")
        self.server.turn(3)
        self.assertEqual(self.client.messages, [])

    def test_a_view_comes_when_it_changes(self) -> None:
        self.server.apply(start(SESSION))
        self.ask(type="subscribe", id="s", view="sessions")
        self.assertEqual(len(self.client.take("view")), 1)
        self.server.turn(5)
        self.assertEqual(self.client.take("view"), [])
        self.server.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        self.server.turn(1)
        (view,) = self.client.take("view")
        self.assertEqual(view["data"]["sessions"][0]["progress"]["status"], "paused")
        self.ask(type="unsubscribe", id="s")
        self.server.apply(SessionResume(session_id=SESSION))
        self.server.turn(2)
        self.assertEqual(self.client.take("view"), [])

    def test_a_trace_is_dropped_for_a_client_that_does_not_read(self) -> None:
        self.server.apply(start(SESSION))
        self.ask(type="trace", id="t", session_id=str(SESSION))
        self.client.backlog = MAX_BACKLOG + 1
        self.server.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
        self.server.clock.advance(FLUSH_SECONDS)
        self.assertEqual(self.client.take("trace"), [])
        self.client.backlog = 0
        self.server.apply(SessionResume(session_id=SESSION))
        self.server.clock.advance(FLUSH_SECONDS)
        (trace,) = self.client.take("trace")
        self.assertEqual((len(trace["entries"]), trace["dropped"]), (1, 1))

    def test_a_trace_is_bounded(self) -> None:
        self.server.apply(start(SESSION))
        self.ask(type="trace", id="t", session_id=str(SESSION))
        for _ in range(75):
            self.server.apply(SessionPause(session_id=SESSION, pause_reason="player_afk"))
            self.server.apply(SessionResume(session_id=SESSION))
        self.server.clock.advance(FLUSH_SECONDS)
        (trace,) = self.client.take("trace")
        self.assertEqual((len(trace["entries"]), trace["dropped"]), (100, 50))

    def test_a_socket_that_is_not_read(self) -> None:
        """What waits is the newest of each kind, not a backlog; the client is not closed."""
        self.server.connections.subscriptions.admin = self.feed
        self.server.factory.routes = self.server.factory.routes.ALL
        wire = self.server.wire("/ws/admin", "admin")
        wire.head()
        wire.protocol.pauseProducing()
        wire.clear()
        self.server.turn(400)
        self.assertEqual(wire.frames(), [])
        self.assertLess(wire.protocol.backlog, 65_536)
        wire.protocol.resumeProducing()
        kinds = [message["type"] for message in wire.messages()]
        self.assertEqual(kinds, ["overview"])

    @GARBAGE
    @given(st.binary(max_size=200) | st.recursive(st.none() | st.text(max_size=9) | st.integers(),
           lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3))
           .map(msgspec.json.encode))  # fmt: skip
    def test_garbage(self, payload: bytes) -> None:
        """Each is refused, and nothing else happens."""
        self.client.take("error")
        self.feed.receive(self.client, payload)
        (error,) = self.client.take("error")
        self.assertEqual(error["code"], 400)
