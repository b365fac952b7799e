"""Another program writes to one key of the provider: that thing is unavailable, and everything else works."""

from __future__ import annotations

from uuid import UUID, uuid4

from twisted.logger import capturedLogs, formatEvent

from craftnet.errors import Unavailable
from craftnet.providers.redis import change_reader
from craftnet.providers.redis.backend import RedisBackend
from craftnet.providers.redis.connection import RedisConnection
from craftnet.tests.contracts.source import ACCEPTED, REJECTED, QueueRecorder, SessionRecorder, complete, queued
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase, looked
from craftnet.tests.support.samples import NOW, event, start

WAYS = ("another type", "another version", "no version", "no state")


class ForeignTests(RedisTestCase):
    def spoil(self, kind: str, key: UUID, way: str) -> None:
        """Replaces the stored value of a thing by a foreign one."""
        name = f"test:{kind}:{key}"
        if way == "another type":
            self.server.command("DEL", name)
            self.server.command("SET", name, "a string")
        elif way == "another version":
            self.server.command("HSET", name, "version", "17")
        elif way == "no version":
            self.server.command("HSET", name, "version", "first")
        else:
            self.server.command("HSET", name, "version", "1", "state", "junk")

    async def watched(self, node: RedisBackend) -> tuple[UUID, SessionRecorder]:
        """A session that has a watcher."""
        session, recorder = uuid4(), SessionRecorder()
        await node.sessions.apply([event(start(session))])
        await node.sessions.watch(session, recorder)
        return session, recorder

    async def reconnected(self, node: RedisBackend) -> None:
        """Replaces every connection of a node."""
        links = [part for part in node.service if isinstance(part, RedisConnection)]
        before = [link.generation for link in links]
        for link in links:
            link.renew()
        await until(lambda: all(link.generation > number for link, number in zip(links, before, strict=True)))
        await node.follower.settled()

    async def test_what_is_watched(self) -> None:
        """After a reconnection the others are compared, and followed."""
        self.patch(change_reader, "CHECK_INTERVAL", 0.1)
        relay, port = self.relayed()
        node = self.backend(port=port)
        damaged = [await self.watched(node) for _ in WAYS]
        sound, heard = await self.watched(node)
        await until(lambda: node.epoch)
        for (session, _), way in zip(damaged, WAYS, strict=True):
            self.spoil("session", session, way)
        with capturedLogs() as logged:
            await self.reconnected(node)
            await node.sessions.apply([event(complete(sound), NOW + 1)])
            await until(lambda: heard.versions == [2])
            await looked(relay)
        # Compared once for each connection, and not again and again.
        self.assertLess(sum("is not ours" in formatEvent(one) for one in logged), 4 * len(WAYS))
        for session, updates in damaged:
            self.assertEqual(updates.heard, [])
            await self.assertFailure(node.sessions.get(session), Unavailable)

    async def test_events(self) -> None:
        """They are rejected, whatever is wrong: waiting does not help."""
        node = self.backend()
        for way in WAYS:
            session = uuid4()
            self.spoil("session", session, way)
            outcomes = await node.sessions.apply([event(start(session)), event(start(uuid4()))])
            self.assertEqual([outcome.verdict for outcome in outcomes], [REJECTED, ACCEPTED], way)

    async def test_what_is_due(self) -> None:
        """It is removed like anything else, and its watchers learn of it."""
        node = self.backend(idle=0.0, sweeps=False)
        damaged = [await self.watched(node) for _ in WAYS]
        queues: list[QueueRecorder] = []
        for (session, _), way in zip(damaged, WAYS, strict=True):
            self.spoil("session", session, way)
            player, heard = uuid4(), QueueRecorder()
            queues.append(heard)
            await node.queues.watch(player, heard)
            await node.queues.apply([event(queued(1, player_id=player))])
            self.spoil("queue", player, way)
        await node.sweeper.sweep()
        await until(lambda: all(heard.heard == [None] for _, heard in damaged))
        await until(lambda: all([one.waiting for one in heard.heard] == [True, False] for heard in queues))
        for kind in ("session", "queue"):
            self.assertEqual(self.server.command("ZCARD", f"test:due:{kind}"), b":0\r\n")

    async def test_what_is_due_of_one_kind(self) -> None:
        """Its state is unknown; other kinds treat it as removed."""
        node = self.backend(idle=0.0, sweeps=False)
        await node.queues.apply([event(queued(1))])
        self.server.command("SET", "test:due:session", "a string")
        await node.sweeper.sweep()
        self.assertEqual(self.server.command("ZCARD", "test:due:queue"), b":0\r\n")
