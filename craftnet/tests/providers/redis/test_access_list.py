"""The Redis user of docs/reference/redis.md: it may do what nodes do, and little else."""

from __future__ import annotations

import re
import shlex
import socket
from pathlib import Path

import msgspec

import craftnet
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.contracts.cluster import LOGIN, RevocationRecorder
from craftnet.tests.contracts.source import MaterialRecorder, SessionRecorder
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import started
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import OTHER_SESSION, PLAYER, SESSION, event, start

DOCUMENT = Path(craftnet.__file__).parent.parent / "docs" / "reference" / "redis.md"
PASSWORD = "the-password"


class AccessListTests(RedisTestCase):
    prefix = "craftnet"

    def setUp(self) -> None:
        super().setUp()
        text = DOCUMENT.read_text(encoding="utf-8").replace("\\\n", "")
        found = re.search(r"^\$ redis-cli (ACL SETUSER .*)$", text, re.M)
        assert found is not None
        self.assertEqual(self.server.command(*shlex.split(found[1])), b"+OK\r\n")

    def node(self) -> RedisBackend:
        """One with that user."""
        return self.backend(PASSWORD, RevocationRecorder(), user="craftnet")

    async def test_nothing_is_refused_to_nodes(self) -> None:
        node, other = self.node(), self.node()
        session, materials = SessionRecorder(), MaterialRecorder()
        await other.sessions.watch(SESSION, session)
        await node.sessions.apply([event(start())])
        await node.materials.apply([event(start())])
        await until(lambda: session.versions == [1])
        await other.materials.watch(SESSION, materials)  # which makes the reader look at more partitions.
        await until(lambda: node.epoch and node.epoch == other.epoch)
        await node.revocations.loaded()
        await until(lambda: node.connection_slots.name)
        await node.revocations.publish(LOGIN)
        await node.node_registry.announce("here", b"entry")
        self.assertTrue(await node.connection_slots.enter(PLAYER, 1))
        self.assertFalse(await other.connection_slots.enter(PLAYER, 1))
        self.server.command("XADD", "craftnet:events", "*", "event", msgspec.json.encode(started(OTHER_SESSION)))
        await until(lambda: self.server.command("ZCARD", "craftnet:due:session") == b":2\r\n")
        await self.heard(other)
        await node.service.stopService()
        self.assertEqual(self.server.command("ACL", "LOG"), b"*0\r\n")

    def test_what_else_is(self) -> None:
        for line in ("FLUSHALL", "KEYS *", "CONFIG GET *", "CLIENT LIST", "SHUTDOWN", "GET another:key"):
            self.assertRegex(self.asked(line), b"^-NOPERM", line)

    def asked(self, line: str) -> bytes:
        """The answer to that user, with or without the rights in `line`."""
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=5) as connection:
            connection.sendall(f"AUTH craftnet {PASSWORD}\r\n{line}\r\n".encode())
            answers = connection.makefile("rb")
            self.assertEqual(answers.readline(), b"+OK\r\n")
            return answers.readline()
