"""What a connection writes when it opens."""

from __future__ import annotations

from twisted.internet.defer import fail
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import SessionStart
from craftnet.errors import Unavailable
from craftnet.tests.support.feed_wire import FeedServer, FeedWire
from craftnet.tests.support.samples import PLAYER, SESSION


class CountingWire(FeedWire):
    """Counts the writes."""

    writes = 0

    def write(self, data: bytes) -> None:
        """As of every transport."""
        self.writes += 1
        super().write(data)


class HandshakeTests(SynchronousTestCase):
    def open(self, target: str) -> CountingWire:
        """A handshake of a player."""
        server = FeedServer()
        server.apply(SessionStart(session_id=SESSION, recipe_id=SESSION, player_id=PLAYER))
        wire = CountingWire(server.factory)
        wire.protocol.handshake(server.head(target))
        return wire

    def test_the_answer_and_the_state_are_one_write(self) -> None:
        wire = self.open(f"/ws/crafting/{SESSION}?player_id={PLAYER}")
        self.assertEqual(wire.head(), "HTTP/1.1 101 Switching Protocols")
        self.assertEqual((wire.messages()[0]["type"], wire.writes), ("progress_update", 1))

    def test_an_end_follows_the_answer(self) -> None:
        """A feed that cannot be opened: the close frame follows the 101, and nothing follows the close frame."""
        server = FeedServer()
        server.hub.subscribe_queue = lambda *_: fail(Unavailable("no source"))  # type: ignore[method-assign]  # fails.
        wire = CountingWire(server.factory)
        wire.protocol.handshake(server.head(f"/ws/queue/{PLAYER}"))
        self.assertEqual(wire.head(), "HTTP/1.1 101 Switching Protocols")
        self.assertEqual(wire.closing()[0], CloseCode.INTERNAL_ERROR)
