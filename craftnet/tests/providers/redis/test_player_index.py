"""A player's sessions in Redis: on every node, after losses, and beside nodes of an earlier version."""

from __future__ import annotations

from uuid import UUID

from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.key_names import partition_of
from craftnet.tests.contracts.player_sessions import PlayerRecorder
from craftnet.tests.contracts.source import complete
from craftnet.tests.faults.relay import Stall
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase, insist_on
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION, event, start

INDEX = f"test:player:{PLAYER}"


class PlayerIndexTests(RedisTestCase):
    """`IPlayerSessions` on one Redis."""

    async def listed(self, node: RedisBackend) -> list[UUID]:
        """Her sessions, as a new listener finds them."""
        return list(await node.sessions.watch_player(PLAYER, PlayerRecorder()))

    async def test_on_every_node(self) -> None:
        """A node hears of a session that another one starts, in whatever partition, and finds it later."""
        one, other = self.backend(), self.backend()
        listener = PlayerRecorder()
        await other.sessions.watch_player(PLAYER, listener)
        sessions = [UUID(int=number) for number in range(1, 33)]
        await one.sessions.apply([event(start(session)) for session in sessions])
        await until(lambda: len(listener.started) >= len(sessions))
        self.assertEqual(sorted(listener.started), sessions)
        self.assertEqual(sorted(await self.listed(other)), sessions)

    async def test_expires(self) -> None:
        """The index is kept for as long as the player's newest session."""
        node = self.backend(idle=500.0)
        await node.sessions.apply([event(start())])
        self.assertTrue(490 <= await node.asking.ask("TTL", INDEX) <= 501)
        await node.sessions.apply([event(complete(), NOW + 1)])
        self.assertEqual(await node.asking.ask("EXISTS", INDEX), 0)

    async def test_ended_by_an_earlier_version(self) -> None:
        """Such a node leaves a session in the index that has ended, or is gone. It is removed when it is found."""
        node = self.backend()
        await node.sessions.apply([event(start()), event(complete(), NOW + 1)])
        await node.asking.ask("ZADD", INDEX, 1, str(SESSION), 2, str(OTHER_SESSION))
        self.assertEqual(await self.listed(node), [])
        self.assertEqual(await node.asking.ask("EXISTS", INDEX), 0)

    async def test_missed(self) -> None:
        """After the connection was lost, listeners hear of what started meanwhile."""
        relay, port = self.relayed()
        node, other = self.backend(port=port), self.backend()
        listener = PlayerRecorder()
        await node.sessions.watch_player(PLAYER, listener)
        relay.hold(Stall(asking=True))
        relay.cut()
        await insist_on(other, [event(start())])
        await other.asking.ask("XTRIM", f"test:changes:{partition_of(SESSION)}", "MAXLEN", 0)
        relay.release()
        await until(lambda: SESSION in listener.started)

    async def test_foreign(self) -> None:
        """A value of another program under the name of an index: the player's events are rejected, others are not."""
        node = self.backend()
        await node.asking.ask("SET", INDEX, "x")
        outcomes = await node.sessions.apply([event(start()), event(start(OTHER_SESSION, UUID(int=7)))])
        self.assertEqual([outcome.verdict.value for outcome in outcomes], ["rejected", "accepted"])
        self.assertEqual(await node.asking.ask("EXISTS", f"test:session:{SESSION}"), 0)
