"""Tests for `craftnet.client.transports.player_stream`, on a real service."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from craftnet.client.core.address import Address
from craftnet.client.core.api_requests import Requests
from craftnet.client.core.endings import Ending
from craftnet.client.core.player_watch import sessions_under_way
from craftnet.client.transports.player_stream import PlayerStream
from craftnet.clocks import steady
from craftnet.tests.support.live import LiveTestCase, envelope, started, token
from craftnet.tests.support.samples import OTHER_SESSION, PLAYER, SESSION

NEVER = 3600.0


class PlayerStreamTests(LiveTestCase):
    def stream(self, bearer: str = "", path: str = "") -> PlayerStream:
        """The stream of the player."""

        async def current() -> str:
            return bearer or token()

        return PlayerStream(steady(reactor), path or Address(self.url).player(PLAYER, "sse"), current)

    async def test_next_session(self) -> None:
        """Waits for one that is not known, whether it starts later or has started."""
        await self.publish(started())
        waiting = Deferred.fromCoroutine(self.stream().wait({SESSION}, NEVER))
        await deferLater(reactor, 0.05)
        self.assertNoResult(waiting)
        await self.publish(started(OTHER_SESSION))
        await waiting
        await self.stream().wait({SESSION}, NEVER)

    async def test_cannot_be_read(self) -> None:
        """Then the caller asks again after a while."""
        for stream in (self.stream("a.b.c"), self.stream(path=f"{self.url}/sse/nothing")):
            await stream.wait((), 0.01)
            await stream.wait((), 0.01)

    async def test_cancelled(self) -> None:
        """The connection ends with the wait."""
        waiting = Deferred.fromCoroutine(self.stream().wait((), NEVER))
        await deferLater(reactor, 0.05)
        waiting.addErrback(lambda failure: None)
        waiting.cancel()
        await waiting


class SessionsTests(LiveTestCase):
    async def test_of_the_memory_back_end(self) -> None:
        """From the current state of the feed: those under way, without the one that has ended."""
        await self.publish(started(), started(OTHER_SESSION))
        ended = {"session_id": str(SESSION), "result_item_id": str(SESSION), "duration_seconds": 1}
        await self.publish(envelope("crafting.session.complete", ended))
        address, requests = Address(self.url), Requests(steady(reactor))
        found = await sessions_under_way(requests, address.player(PLAYER), address.sessions(PLAYER), token())
        self.assertEqual(found, [OTHER_SESSION])

    async def test_without_the_feed(self) -> None:
        """As with an earlier server: the list is asked for, whose refusal is the answer."""
        address, requests = Address(self.url), Requests(steady(reactor))
        found = await sessions_under_way(requests, f"{self.url}/ws/nothing", address.sessions(PLAYER), token())
        assert isinstance(found, Ending)
        self.assertIn("name a session", found.reason)
