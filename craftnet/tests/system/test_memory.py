"""A session at rest and its one watcher over UDP: how much memory they take, so that it stays little."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.contract.events import SessionStart
from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.heartbeat import MAX_ACK_DELAY
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.server.service import UdpService
from craftnet.runtime.addresses import HostPort
from craftnet.tests.support.feed_wire import FeedServer
from craftnet.tests.support.samples import RECIPE
from craftnet.tests.support.udp_lab import FakeTransport

SESSIONS = 150

MOST_OF_A_SESSION = 700
"""Bytes of the state of one session, without its watcher."""

MOST_OF_A_WATCHER = 3400
"""Bytes of one connection over UDP and of the feed of its session."""

NO_SCOPES: frozenset[str] = frozenset()

PYMALLOC_STEP = 16
"""Python's allocator rounds up to multiples of it."""


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.server = FeedServer()
        clock: Any = self.server.clock  # enough of a reactor: no socket is opened.
        self.udp = UdpService(HostPort("", 8082), None, self.server.hub, self.server.metrics, clock)
        self.transport = FakeTransport()
        self.udp.server.makeConnection(self.transport)
        self.begin(range(5))  # fills the caches.
        self.watch(range(5))

    def begin(self, numbers: range) -> None:
        """Starts sessions, each of another player."""
        for number in numbers:
            session, player = ids(number)
            recipe = UUID(int=RECIPE.int)  # one object for each, as they are decoded.
            self.server.apply(SessionStart(session_id=session, recipe_id=recipe, player_id=player))

    def watch(self, numbers: range) -> None:
        """Opens a connection for each of the sessions, and acknowledges what arrives."""
        for number in numbers:
            now = self.server.clock.seconds()
            state = self.successResultOf(self.server.sources.sessions.get(ids(number)[0]))
            assert state is not None
            session, player = state.session_id, state.player_id  # as the route does: the ids are kept once.
            bearer = Principal(player, NO_SCOPES, now + 600.0)
            request = UdpConnectRequest(player_id=player, client_version="1.0.0")
            answer = self.udp.connect(session, player, request, now + 600.0, now, bearer=bearer)
            client = ClientConnection(SessionToken.parse(answer.session_token), {0: session}, heartbeat=5.0)
            waiting = client.start(now).datagrams
            while waiting:
                for datagram in waiting:
                    self.udp.server.datagramReceived(datagram, (f"192.0.2.{number}", 40_000 + number))
                waiting = [each for sent in self.transport.taken() for each in client.receive(sent, now).datagrams]
                waiting = waiting or client.tick(now + MAX_ACK_DELAY).datagrams

    def test_per_session(self) -> None:
        numbers = range(5, 5 + SESSIONS)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before = kept()
        self.begin(numbers)
        begun = kept()
        self.watch(numbers)
        watched = kept()
        self.assertEqual(len(self.udp.endpoint), 5 + SESSIONS)
        self.assertTrue(all(peer.send_queue.empty for peer in self.udp.endpoint.peers.values()))
        self.assertLess((begun - before) / SESSIONS, MOST_OF_A_SESSION)
        self.assertLess((watched - begun) / SESSIONS, MOST_OF_A_WATCHER)


def ids(number: int) -> tuple[UUID, UUID]:
    """Those of a session and of its player, as long as real ones."""
    return UUID(int=1 << 127 | number), UUID(int=1 << 126 | number)


def kept() -> int:
    """Bytes of everything that is kept since tracing began."""
    gc.collect()
    sizes = (trace.size for trace in tracemalloc.take_snapshot().traces)
    return sum(-(-size // PYMALLOC_STEP) * PYMALLOC_STEP for size in sizes)
