"""The epoch of versions in Redis: one server, as long as it runs and is the master."""

from __future__ import annotations

import re

from twisted.internet import reactor
from twisted.internet.task import deferLater

from craftnet.providers.redis import backend, change_reader
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.contracts.source import SessionRecorder
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import SESSION, event, start


class EpochTests(RedisTestCase):
    async def epoch(self, node: RedisBackend) -> str:
        """As a node calls it."""
        await until(lambda: node.epoch)
        return str(node.epoch)

    async def test_of_a_full_server(self) -> None:
        """It is known, although it cannot be kept."""
        epoch = await self.epoch(self.backend())
        self.server.command("SET", "test:era", "another-server another-name")
        self.server.command("CONFIG", "SET", "maxmemory", "1")
        self.assertEqual([await self.epoch(self.backend()) for _ in range(2)], [epoch, epoch])

    async def test_of_a_server_that_keeps_running(self) -> None:
        """It may get another replication id after losing its replica; the epoch is the same."""
        epoch = await self.epoch(self.backend())
        before = self.replication_id()
        self.server.command("DEBUG", "CHANGE-REPL-ID")
        self.assertNotEqual(self.replication_id(), before)
        self.assertEqual(await self.epoch(self.backend()), epoch)

    async def test_without_the_epoch_key(self) -> None:
        """Everything works, but positions hold on one node only."""
        self.server.command("ACL", "SETUSER", "limited", "on", ">a-password-for-tests", "~*", "+@all", "-info")
        node, heard = self.backend("a-password-for-tests", user="limited"), SessionRecorder()
        await node.sessions.watch(SESSION, heard)
        other = self.backend()
        await other.sessions.apply([event(start())])
        await until(lambda: heard.versions == [1])
        self.assertNotEqual(await self.epoch(node), await self.epoch(other))

    async def test_another_connection(self) -> None:
        """Earlier deliveries are in the previous epoch; new watchers wait for the next one, which is soon known."""
        for module in (backend, change_reader):
            self.patch(module, "BLOCK_SECONDS", 1000.0)
        node = self.backend()
        await node.sessions.watch(SESSION, SessionRecorder())
        epoch = await self.epoch(node)
        seen = await self.reconnected(node)
        await node.sessions.watch(SESSION, SessionRecorder())
        self.assertEqual((seen, await self.epoch(node)), ([epoch], epoch))

    async def test_another_connection_without_a_watcher(self) -> None:
        """It is known soon all the same: an earlier watcher may return."""
        for module in (backend, change_reader):
            self.patch(module, "BLOCK_SECONDS", 1000.0)
        self.patch(change_reader, "CHECK_INTERVAL", 0.05)
        node = self.backend()
        await node.sessions.watch(SESSION, SessionRecorder())
        epoch = await self.epoch(node)
        self.assertEqual(await self.reconnected(node), [epoch])
        await until(lambda: node.follower.is_settled)

    async def reconnected(self, node: RedisBackend) -> list[str | None]:
        """The epoch after the connection for everything else was replaced."""
        node.asking.renew()
        while node.asking.up:
            await deferLater(reactor, 0)  # the connection ends in another turn of the reactor.
        await node.asking.connected()
        return [node.epoch]

    def replication_id(self) -> bytes:
        """The server's."""
        found = re.search(rb"master_replid:(\w+)", self.server.command("INFO", "replication"))
        assert found is not None
        return found[1]
