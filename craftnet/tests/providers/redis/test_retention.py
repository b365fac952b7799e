"""Tests how long the Redis back end keeps sessions, materials and queues."""

from __future__ import annotations

from uuid import uuid4

from twisted.logger import capturedLogs, formatEvent

from craftnet.crafting.state import QueueState
from craftnet.errors import Unavailable
from craftnet.providers.redis import sweeper
from craftnet.providers.redis.key_names import PARTITIONS, partition_of
from craftnet.tests.contracts.source import (
    DUPLICATE,
    REJECTED,
    QueueRecorder,
    SessionRecorder,
    complete,
    progress,
    queued,
)
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION, event, start


class KeepingTests(RedisTestCase):
    """How long things are kept."""

    async def test_finished_sessions_are_forgotten(self) -> None:
        node, other = self.backend(retention=0.2), self.backend(retention=0.2)
        listener = SessionRecorder()
        begun = event(start())
        await node.sessions.apply([begun, event(complete(), NOW + 1), event(start(OTHER_SESSION))])
        await node.materials.apply([begun])
        await other.sessions.watch(SESSION, listener)
        while not listener.heard:
            await node.sweeper.sweep()
        self.assertEqual(listener.heard, [None])
        self.assertEqual((await node.sessions.get(SESSION), await node.sessions.count()), (None, 1))
        await node.sweeper.sweep()
        self.assertEqual((await node.materials.get(SESSION)).version, 0)
        # It was removed: its repeated start is a duplicate, another event of it is not.
        again = await node.sessions.apply([begun, event(progress(5.0), NOW + 2)])
        self.assertEqual([outcome.verdict for outcome in again], [DUPLICATE, REJECTED])

    async def test_forgotten_players_go_on(self) -> None:
        """A player's version never returns, and no watcher receives a lower one."""
        node, listener = self.backend(idle=0.2), QueueRecorder()
        await node.queues.apply([event(queued(2), session_id=SESSION), event(queued(1), NOW + 1, session_id=SESSION)])
        await node.queues.watch(PLAYER, listener)
        while (await node.queues.get(PLAYER)).entries:
            await node.sweeper.sweep()
        self.assertEqual(await node.queues.get(PLAYER), QueueState(PLAYER, 2))
        self.assertIsNone(await node.queues.find(SESSION))
        await node.queues.apply([event(queued(3), NOW + 2)])
        self.assertEqual((await node.queues.get(PLAYER)).version, 3)
        await until(lambda: listener.heard[-1:] and listener.heard[-1].state.entries)
        self.assertEqual([change.state.version for change in listener.heard], [2, 3])

    async def test_everything_has_a_bound(self) -> None:
        node = self.backend(remembered=10, backlog=100)
        await node.sessions.apply([event(start()), *(event(progress(0.0), NOW + number) for number in range(1000))])
        seen = self.server.command("ZCARD", f"test:seen:session:{SESSION}")
        self.assertEqual(seen, b":10\r\n")
        kept = self.server.command("XLEN", f"test:changes:{partition_of(SESSION)}")
        self.assertLess(int(kept[1:]), 300)
        self.assertGreater(int(self.server.command("TTL", f"test:seen:session:{SESSION}")[1:]), 3000)

    async def test_nothing_stays_of_a_life(self) -> None:
        """Every key that is left is one of a fixed number, or expires."""
        node = self.backend(retention=0.0, idle=0.0)
        begun = event(start())
        await node.sessions.apply([begun, event(complete(), NOW + 1)])
        await node.materials.apply([begun])
        await node.queues.apply([event(queued(1), session_id=SESSION)])
        await node.connection_slots.enter(PLAYER, 1)
        await node.sweeper.sweep()
        keys = self.server.command("KEYS", "*").decode().split("\r\n")[2::2]
        lasting = {key for key in keys if self.server.command("TTL", key) == b":-1\r\n"}
        partitions = {f"test:changes:{number}" for number in range(PARTITIONS)}
        fixed = {"test:epoch", "test:era", "test:events", "test:nodes", "test:floor:queue", "test:numbers"}
        self.assertLessEqual(lasting - partitions, fixed)
        self.assertIn(f"test:seen:session:{SESSION}", keys)

    async def test_forgotten_when_memory_is_out(self) -> None:
        """Nothing else would make room."""
        node = self.backend(retention=0.2, idle=0.2)
        await node.sessions.apply([event(start()), event(complete(), NOW + 1)])
        await node.materials.apply([event(start())])
        await node.queues.apply([event(queued(1), session_id=SESSION)])
        self.server.command("CONFIG", "SET", "maxmemory", "1")
        kept = [f"test:session:{SESSION}", f"test:materials:{SESSION}", f"test:queue:{PLAYER}"]
        while self.server.command("EXISTS", *kept) != b":0\r\n":
            await node.sweeper.sweep()
        await until(lambda: self.server.command("EXISTS", "test:waiters") == b":0\r\n")
        self.assertEqual((await node.queues.get(PLAYER)).version, 1)

    async def test_more_than_are_read_at_once(self) -> None:
        """All that is due is forgotten, and an id that is none is passed over."""
        self.patch(sweeper, "MAX_PER_SWEEP", 2)
        node = self.backend(idle=0.0, sweeps=False)
        await node.sessions.apply([event(start(uuid4())) for _ in range(7)])
        self.server.command("ZADD", "test:due:session", "1", "not-ours")
        with capturedLogs() as logged:
            await node.sweeper.sweep()
        self.assertEqual(await node.sessions.count(), 0)
        self.assertIn("not-ours", " ".join(formatEvent(one) for one in logged))

    async def test_not_ours(self) -> None:
        """An unreadable value is unavailable, and does not stop the rest."""
        node = self.backend()
        listener = SessionRecorder()
        await node.sessions.watch(SESSION, listener)
        self.server.command("HSET", f"test:session:{OTHER_SESSION}", "version", "1", "state", "junk")
        stream = f"test:changes:{partition_of(SESSION)}"
        with capturedLogs() as logged:
            self.server.command("XADD", stream, "*", "something", "else")
            self.server.command("XADD", stream, "*", "kind", "session", "id", str(SESSION), "version", "junk")
            self.server.command("XADD", stream, "*", "kind", "queue", "id", str(PLAYER), "version", "junk")
            await self.assertFailure(node.sessions.get(OTHER_SESSION), Unavailable)
            await node.sessions.apply([event(start())])
            await until(lambda: listener.heard)
        self.assertEqual(len(self.flushLoggedErrors()), 0)
        lines = [one for one in logged if formatEvent(one).startswith("a change in Redis is not ours")]
        ids = [{name: one[name] for name in ("session_id", "player_id") if name in one} for one in lines]
        self.assertEqual(ids, [{}, {"session_id": str(SESSION)}, {"player_id": str(PLAYER)}])
