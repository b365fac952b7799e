"""Revocations in a real Redis: what is stored, for how long, and what a node loads."""

from __future__ import annotations

from uuid import UUID

from twisted.internet import reactor
from twisted.logger import capturedLogs

from craftnet.access.revocation.revocations import Revocation
from craftnet.errors import TooManyRequests, Unavailable
from craftnet.providers.redis import backend, revocations
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.contracts.cluster import END, LOGIN, TOKEN, RevocationRecorder
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER


def tokens(number: int) -> list[Revocation]:
    """This many revocations."""
    return [Revocation(f"t-{index}", None, 0.0, END + index) for index in range(number)]


class RevocationsTests(RedisTestCase):
    async def node(self, listener: RevocationRecorder | None = None) -> RedisBackend:
        """One that has loaded."""
        node = self.backend(listener=listener or RevocationRecorder())
        await node.revocations.loaded()
        return node

    def number(self, *command: str) -> int:
        """Redis' answer."""
        return int(self.server.command(*command)[1:])

    async def test_more_than_one_page(self) -> None:
        """The other nodes learn what one node knows, and a starting node loads it."""
        players = [Revocation(None, UUID(int=index), NOW + index / 7, END) for index in range(1, 1200)]
        known = {*tokens(2500), *players}
        here, late = RevocationRecorder(), RevocationRecorder()
        await self.node(here)
        await self.node(RevocationRecorder(*known))
        await until(lambda: here.heard == known)
        await self.node(late)
        self.assertEqual(late.heard, known)

    async def test_a_gap(self) -> None:
        """Entries that were trimmed before they were read are loaded."""
        heard = RevocationRecorder()
        node = await self.node(heard)
        self.server.command("ZADD", "test:revoked", str(END), "tt-1")
        self.server.command("XADD", "test:revocations", "7-0", "token", "", "player", "", "issued", "0", "until", "0")
        await until(lambda: node.revocations.loads == 2 and node.revocations.complete)
        self.assertEqual({one.token_id for one in heard.heard}, {"t-1"})
        await node.revocations.publish(LOGIN)
        await until(lambda: LOGIN in heard.heard)
        self.assertEqual((node.revocations.loads, node.revocations.position), (2, 8))

    async def test_the_stream_is_lost(self) -> None:
        """Though the connection is not: numbers begin again, and nothing new would be heard of."""
        self.patch(revocations, "BLOCK_SECONDS", 0.05)
        heard = RevocationRecorder()
        node, other = await self.node(heard), await self.node()
        for one in tokens(3):
            await other.revocations.publish(one)
        await until(lambda: node.revocations.position == 3)
        self.server.command("FLUSHALL")
        await other.revocations.publish(LOGIN)
        await until(lambda: LOGIN in heard.heard)
        await until(lambda: self.number("ZCARD", "test:revoked") == 4)  # the nodes know the others.

    async def test_only_ever_more(self) -> None:
        """A revocation that adds nothing is not published, either."""
        node = await self.node()
        for one in (TOKEN, LOGIN, TOKEN, LOGIN, Revocation("t-1", None, 0.0, NOW), Revocation(None, PLAYER, 1.0, NOW)):
            await node.revocations.publish(one)
        self.assertEqual(self.number("XLEN", "test:revocations"), 2)
        later = Revocation(None, PLAYER, NOW + 0.125, NOW)
        await node.revocations.publish(later)
        self.assertEqual(self.number("XLEN", "test:revocations"), 3)
        heard = RevocationRecorder()
        await self.node(heard)
        self.assertEqual(heard.heard, {TOKEN, Revocation(None, PLAYER, NOW + 0.125, END)})

    async def test_what_is_over_is_forgotten(self) -> None:
        node = await self.node()
        over = reactor.seconds() - 61
        await node.revocations.publish(Revocation("t-0", PLAYER, NOW, over))
        await node.revocations.publish(Revocation(None, OTHER_PLAYER, NOW, over + 30))
        await node.revocations.publish(TOKEN)
        self.assertEqual((self.number("ZCARD", "test:revoked"), self.number("HLEN", "test:revoked:players")), (2, 1))

    async def test_bounded(self) -> None:
        self.patch(backend, "MAX_REVOCATIONS", 3)
        node = await self.node()
        for one in tokens(3):
            await node.revocations.publish(one)
        with self.assertRaises(TooManyRequests) as caught:
            await node.revocations.publish(LOGIN)
        assert isinstance(caught.exception, TooManyRequests)
        self.assertEqual(caught.exception.headers["X-RateLimit-Limit"], "3")
        await node.revocations.publish(tokens(3)[0])  # it is there already.
        self.assertEqual(self.number("ZCARD", "test:revoked"), 3)

    async def test_the_stream_is_trimmed(self) -> None:
        self.patch(backend, "STREAM_LENGTH", 100)
        node = await self.node(RevocationRecorder(*tokens(5000)))
        await node.revocations.publish(LOGIN)
        self.assertLess(self.number("XLEN", "test:revocations"), 300)

    async def test_not_ours(self) -> None:
        """Unreadable entries are left out, and stop nothing."""
        for member in ("pnobody", "t\xff", "x"):
            self.server.command("ZADD", "test:revoked", "5", member.encode("latin-1"))
        self.server.command("XADD", "test:revocations", "1-0", "something", "else")
        heard = RevocationRecorder()
        with capturedLogs() as logged:
            node = await self.node(heard)
            self.server.command("XADD", "test:revocations", "2-0", "something", "else")
            await node.revocations.publish(TOKEN)
            await until(lambda: TOKEN in heard.heard)
        self.assertEqual(node.revocations.loads, 1)
        self.assertEqual(sum("not craftnet's" in str(one.get("log_format")) for one in logged), 2)

    async def test_gone_at_the_start(self) -> None:
        """No token is accepted then, and no caller waits long."""
        self.server.kill()
        node = self.backend(listener=RevocationRecorder(), timeout=1)
        await self.assertFailure(node.revocations.loaded(), Unavailable)
        await self.assertFailure(node.revocations.publish(TOKEN), Unavailable)
        self.assertFalse(node.revocations.complete)
        self.server.start()
        await until(lambda: node.revocations.complete)
        await node.revocations.loaded()
