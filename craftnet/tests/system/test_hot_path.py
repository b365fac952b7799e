"""The way of an event to the frames of its watchers: how much it calls, so that it stays short."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from types import FrameType
from typing import Any
from uuid import UUID

import msgspec
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.admin.this_node import ThisNode
from craftnet.admin.tracing import FLUSH_SECONDS, LEASE_SECONDS, Traces
from craftnet.clocks import moment
from craftnet.contract.admin.feed import TraceEntry
from craftnet.contract.events import Event, EventOutcome, SessionProgress
from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.contract.messages import Status, rfc3339
from craftnet.feeds.ingest import Ingest
from craftnet.nodes.node_group import NodeGroup
from craftnet.protocols.feed.server.inspection import FeedConnectionTable
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import agreed
from craftnet.protocols.udp.server.service import UdpService
from craftnet.runtime.addresses import HostPort
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.feed_wire import FeedServer, FeedWire
from craftnet.tests.support.samples import PLAYER, SESSION, start
from craftnet.tests.support.udp_lab import CLIENT, FakeTransport

MOST_CALLS = 50
"""Calls of Python functions for one event and its one watcher, from the body to the transport."""

MOST_CALLS_WITHOUT_DELIVERY = 30
"""The same when the watcher's copy is still good enough."""

MOST_HANDSHAKE_CALLS = 280
"""Calls of Python functions for a handshake and a snapshot, without those that verify a signature."""

MOST_UDP_MODULES = 10
"""Modules of the UDP protocol from an update to its datagram."""


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


class HandshakeTests(SynchronousTestCase):
    def test_calls(self) -> None:
        """From the parsed head of a handshake to the 101 and the snapshot, of a session without other watchers."""
        server = FeedServer()
        sessions = [UUID(int=number + 1) for number in range(3)]
        server.apply(*(start(session) for session in sessions))
        targets = [f"/ws/crafting/{session}?player_id={PLAYER}" for session in sessions]
        for target in targets[:-1]:  # fills the caches.
            server.opened(target)
        head, wire = server.head(targets[-1]), FeedWire(server.factory)
        with counted() as called:
            wire.protocol.handshake(head)
        self.assertEqual((wire.head(), len(wire.frames())), ("HTTP/1.1 101 Switching Protocols", 1))
        self.assertLessEqual(called.total(), MOST_HANDSHAKE_CALLS, called.most_common())


class UdpSendPathTests(SynchronousTestCase):
    """From an update to its datagram: few modules, and none calls back into one that called it."""

    PROTOCOL = "craftnet.protocols.udp."

    def setUp(self) -> None:
        self.server = FeedServer()
        self.server.apply(start(SESSION, seconds=3600.0))
        now = self.server.clock.seconds()
        clock: Any = self.server.clock  # enough of a reactor: no socket is opened.
        self.udp = UdpService(HostPort("", 8082), None, self.server.hub, self.server.metrics, clock)
        request = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0")
        bearer = Principal(PLAYER, frozenset(), now + 600)
        answer = self.udp.connect(SESSION, PLAYER, request, now + 600, now, bearer=bearer)
        token = SessionToken.parse(answer.session_token)
        self.client = ClientConnection(token, {0: SESSION}, heartbeat=5.0, agreement=agreed(answer))
        self.transport = FakeTransport()
        self.udp.server.makeConnection(self.transport)
        self.carry(self.client.start(now).datagrams)
        self.live(2.0)

    def carry(self, outgoing: Sequence[bytes]) -> None:
        """Runs until both sides are silent."""
        while outgoing:
            for datagram in outgoing:
                self.udp.server.datagramReceived(datagram, CLIENT)
            now, arrived = self.server.clock.seconds(), self.transport.taken()
            outgoing = [answer for octets in arrived for answer in self.client.receive(octets, now).datagrams]

    def live(self, seconds: float) -> None:
        """Time passes at both ends."""
        for _ in range(round(seconds * 20)):
            self.server.clock.advance(0.05)
            self.carry(self.client.tick(self.server.clock.seconds()).datagrams)

    def calls(self, percent: float) -> list[tuple[str, str]]:
        """The calls between two modules of the UDP protocol while an event is applied, callers first."""
        found = []

        def profile(frame: FrameType, what: str, _: object) -> None:
            called, caller = (each.f_globals.get("__name__", "") for each in (frame, frame.f_back or frame))
            if what == "call" and caller != called and called.startswith(self.PROTOCOL):
                found.append((caller, called))

        before = sys.getprofile()
        sys.setprofile(profile)
        try:
            self.server.apply(SessionProgress(session_id=SESSION, progress_percentage=percent, status=Status.ACTIVE))
            self.server.clock.advance(0.0)
        finally:
            sys.setprofile(before)
        self.assertEqual(len(self.transport.taken()), 1)
        return found

    def test_modules(self) -> None:
        for percent in (10.0, 20.0):  # the first is the fast path, the second the general one: a record is in flight.
            with self.subTest(percent=percent):
                self.server.clock.advance(0.1)
                calls = self.calls(percent)
                self.assertLessEqual(len({called for _, called in calls}), MOST_UDP_MODULES, calls)
                downwards = {call for call in calls if call[0].startswith(self.PROTOCOL)}
                self.assertEqual({(called, caller) for caller, called in downwards} & downwards, set())


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
