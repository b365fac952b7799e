"""Tests Python's collector of cycles in a running service."""

from __future__ import annotations

import gc
from weakref import ref

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.tcp import Server

from craftnet.protocols.websocket.server.connection import FeedProtocol
from craftnet.server.gc_tuning import THRESHOLDS, GcTuner
from craftnet.tests.support.live import LiveTestCase, started, token
from craftnet.tests.support.samples import PLAYER, SESSION

CRAFTING = f"/ws/crafting/{SESSION}?player_id={PLAYER}"


def connections() -> list[object]:
    """Every connection of a WebSocket, and every TCP connection below one, that is still in memory."""
    return [each for each in gc.get_objects() if issubclass(type(each), (FeedProtocol, Server))]


class CollectorTests(LiveTestCase):
    """A service that runs has set Python's collector of cycles for its needs."""

    def test_while_it_runs(self) -> None:
        self.assertEqual(gc.get_threshold(), THRESHOLDS)
        self.assertGreater(gc.get_freeze_count(), 0)

    async def test_a_connection_leaves_no_cycle(self) -> None:
        """One that lived when it was frozen, and became a cycle later, would stay until everything is looked at."""
        for part in tuple(self.service):
            if isinstance(part, GcTuner):
                part.disownServiceParent()
        await self.publish(started())
        gc.unfreeze()  # what is frozen is not found.
        earlier = connections()  # of other tests.
        peers = [await self.open(CRAFTING, token()) for _ in range(3)]
        for peer in peers:
            await peer.receive()
        gc.disable()
        self.addCleanup(gc.enable)
        gc.unfreeze()
        left = [ref(each) for each in connections() if not any(each is other for other in earlier)]
        del earlier
        self.assertGreaterEqual(len(left), 2 * len(peers))
        for peer in peers:
            await peer.close()
        while left:  # until the test takes too long.
            await deferLater(reactor, 0.01, lambda: None)
            left = [each for each in left if each() is not None]
