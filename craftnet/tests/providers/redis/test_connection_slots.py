"""Players' connection slots in a real Redis: what remains of them after any fault."""

from __future__ import annotations

import contextlib
from collections import Counter
from random import Random
from uuid import UUID

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from craftnet.providers.redis import backend
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import OTHER_PLAYER, PLAYER

PLAYERS = (PLAYER, OTHER_PLAYER, UUID(int=7))
LIMIT = 6


class SlotTestCase(RedisTestCase):
    async def node(self) -> RedisBackend:
        """One that has its lease."""
        node = self.backend(timeout=1)
        await self.joined(node)
        return node

    async def joined(self, node: RedisBackend) -> None:
        """Waits until the node has its lease, and has reported everything."""
        await node.connection_slots.renew()
        while (
            node.connection_slots.name is None
            or not node.connection_slots.settled
            or not node.connection_slots.complete
        ):
            await deferLater(reactor, 0.01)
            await node.connection_slots.renew()

    def kept(self, node: RedisBackend) -> dict[UUID, int]:
        """Redis' content about it."""
        lines = self.server.command("HGETALL", f"test:places:{node.connection_slots.name}").decode().split("\r\n")[2::2]
        return {UUID(player): int(number) for player, number in zip(lines[::2], lines[1::2], strict=True)}

    def cut(self) -> None:
        """Every connection is lost."""
        self.server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


class SlotTests(SlotTestCase):
    async def test_given_back_when_stopped(self) -> None:
        node, other = await self.node(), await self.node()
        await node.connection_slots.enter(PLAYER, LIMIT)
        name = node.connection_slots.name
        await node.service.stopService()
        await until(lambda: self.server.command("EXISTS", f"test:places:{name}") == b":0\r\n")
        self.assertEqual(self.server.command("ZCARD", "test:nodes"), b":1\r\n")
        self.assertEqual([await other.connection_slots.enter(PLAYER, 1)], [True])

    async def test_a_lease_runs_out(self) -> None:
        """By Redis' own clock, and nothing of the dead stays."""
        brief = self.patch(backend, "LEASE_SECONDS", 0.3)
        node = await self.node()
        brief.restore()
        other = await self.node()
        await node.connection_slots.enter(PLAYER, LIMIT)
        name, node.connection_slots.name = node.connection_slots.name, None
        await node.connection_slots.stopService()
        self.assertFalse(await other.connection_slots.enter(PLAYER, 1))
        while not await other.connection_slots.enter(PLAYER, 1):
            await deferLater(reactor, 0.02)
        await other.connection_slots.renew()
        self.assertEqual(self.server.command("EXISTS", f"test:places:{name}"), b":0\r\n")
        self.assertEqual(self.server.command("ZCARD", "test:nodes"), b":1\r\n")

    async def test_expires_without_any_node(self) -> None:
        node = await self.node()
        await node.connection_slots.enter(PLAYER, LIMIT)
        left = int(self.server.command("PTTL", f"test:places:{node.connection_slots.name}")[1:])
        self.assertTrue(15_000 < left <= 30_000, left)

    async def test_hung_up_while_asking(self) -> None:
        node = await self.node()
        asked = [node.connection_slots.enter(PLAYER, LIMIT) for _ in range(4)]
        for number in (0, 2):
            asked[number].cancel()
            await self.assertFailure(asked[number], CancelledError)
        self.assertEqual([await asked[number] for number in (1, 3)], [True, True])
        await self.joined(node)
        self.assertEqual(self.kept(node), {PLAYER: 2})

    async def test_cut_while_asking(self) -> None:
        """Who asked gets in, and counts afterwards, under another name."""
        node = await self.node()
        name = node.connection_slots.name
        await node.connection_slots.enter(PLAYER, LIMIT)
        asked = [node.connection_slots.enter(PLAYER, LIMIT) for _ in range(3)]
        self.cut()
        self.assertEqual([await taken for taken in asked], [True] * 3)
        await until(lambda: node.asking.generation > 1)
        await self.joined(node)
        self.assertNotEqual(node.connection_slots.name, name)
        self.assertEqual(self.kept(node), {PLAYER: 4})
        self.assertEqual(self.server.command("EXISTS", f"test:places:{name}"), b":0\r\n")

    async def test_many(self) -> None:
        """More than one report covers."""
        node = await self.node()
        players = [UUID(int=number) for number in range(1, 1201)]
        taken = [node.connection_slots.enter(player, LIMIT) for player in players]
        self.assertEqual({await each for each in taken}, {True})
        assert node.connection_slots.name is not None
        self.server.command("ZADD", "test:nodes", "1", node.connection_slots.name)
        await self.joined(node)
        self.assertEqual(self.server.command("HLEN", f"test:places:{node.connection_slots.name}"), b":1200\r\n")
        for player in players:
            node.connection_slots.leave(player)
        await self.joined(node)
        self.assertEqual(self.kept(node), {})

    async def test_redis_is_full(self) -> None:
        """A player that comes meanwhile gets a slot, which counts when there is memory again."""
        node = await self.node()
        await node.connection_slots.enter(PLAYER, LIMIT)
        self.server.command("CONFIG", "SET", "maxmemory", "1")
        self.assertTrue(await node.connection_slots.enter(PLAYER, LIMIT))
        self.assertFalse(node.connection_slots.complete)
        self.assertEqual(self.kept(node), {PLAYER: 1})
        self.server.command("CONFIG", "SET", "maxmemory", "0")
        await self.joined(node)
        self.assertEqual(self.kept(node), {PLAYER: 2})

    async def test_gone_at_the_start(self) -> None:
        self.server.kill()
        node = self.backend(timeout=1)
        self.assertTrue(await node.connection_slots.enter(PLAYER, 1))
        self.assertTrue(await node.connection_slots.enter(PLAYER, 1))
        self.assertFalse(node.connection_slots.complete)
        self.server.start()
        await self.joined(node)
        self.assertEqual(self.kept(node), {PLAYER: 2})


class HistoryTests(SlotTestCase):
    """Whatever happens, Redis knows the slots in the end."""

    timeout = 120

    async def test_random_histories(self) -> None:
        for seed in range(12):
            await self.history(Random(seed))

    async def history(self, random: Random) -> None:
        """Players come and go, nodes die, lapse and lose their connections, Redis forgets."""
        nodes = [await self.node() for _ in range(3)]
        truth: list[Counter[UUID]] = [Counter() for _ in nodes]
        asked: list[tuple[int, UUID, Deferred[bool]]] = []

        async def answers() -> None:
            for index, player, taken in asked:
                with contextlib.suppress(CancelledError):
                    truth[index][player] += await taken
            asked.clear()

        for _ in range(60):
            index, player = random.randrange(len(nodes)), random.choice(PLAYERS)
            node = nodes[index]
            match random.choices(
                ["enter", "hang up", "leave", "wait", "lapse", "die", "cut", "forget", "scripts"],
                [40, 5, 25, 20, 3, 2, 2, 1, 2],
            )[0]:
                case "enter":
                    asked.append((index, player, node.connection_slots.enter(player, LIMIT)))
                case "hang up":
                    asked.append((index, player, node.connection_slots.enter(player, LIMIT)))
                    asked[-1][2].addErrback(lambda failure: failure).cancel()
                case "leave" if truth[index][player]:
                    truth[index][player] -= 1
                    node.connection_slots.leave(player)
                case "wait":
                    await answers()
                case "lapse" if node.connection_slots.name is not None:
                    self.server.command("ZADD", "test:nodes", "XX", "1", node.connection_slots.name)
                case "die" if node.connection_slots.name is not None:
                    await answers()
                    self.server.command("ZADD", "test:nodes", "1", node.connection_slots.name)
                    node.connection_slots.name = None
                    await node.service.stopService()
                    nodes[index], truth[index] = await self.node(), Counter()
                case "cut":
                    self.cut()
                case "forget":
                    self.server.command("FLUSHALL")
                case "scripts":
                    self.server.command("SCRIPT", "FLUSH")
        await answers()
        for node in nodes:
            await self.joined(node)
        self.assertEqual([self.kept(node) for node in nodes], [dict(+each) for each in truth])
        names = self.server.command("ZRANGE", "test:nodes", "0", "-1").decode().split("\r\n")[2::2]
        self.assertEqual(set(names), {str(node.connection_slots.name) for node in nodes})
        for player in PLAYERS:
            room = max(0, LIMIT - sum(each[player] for each in truth))
            taken = [await random.choice(nodes).connection_slots.enter(player, LIMIT) for _ in range(room + 2)]
            self.assertEqual(taken, [True] * room + [False] * 2)
        for node in nodes:
            await node.service.stopService()
        self.server.command("FLUSHALL")
