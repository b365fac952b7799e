"""What nodes say of themselves in a real Redis."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater

from craftnet.errors import Unavailable
from craftnet.providers.redis.key_names import KeyNames
from craftnet.providers.redis.node_bus import RedisNodeRegistry
from craftnet.tests.support.redis_nodes import RedisTestCase


class RegistryTests(RedisTestCase):
    async def test_shared_until_withdrawn(self) -> None:
        one, other = self.backend().node_registry, self.backend().node_registry
        self.assertEqual(await one.announce("a", b"\x00first"), {"a": b"\x00first"})
        self.assertEqual(await other.announce("b", b"second"), {"a": b"\x00first", "b": b"second"})
        self.assertEqual(await one.announce("a", b"third"), {"a": b"third", "b": b"second"})
        self.assertEqual(await one.announce("a", None), {"b": b"second"})
        self.assertEqual(await one.announce("a", None), {"b": b"second"})

    async def test_silent_nodes_expire(self) -> None:
        backend = self.backend()
        short = RedisNodeRegistry(backend.asking, KeyNames("test"), lifetime=0.05)
        await short.announce("dead", b"entry")
        await backend.node_registry.announce("alive", b"entry")
        while "dead" in await backend.node_registry.announce("other", None):
            await deferLater(reactor, 0.01)
        self.assertEqual(await backend.node_registry.announce("other", None), {"alive": b"entry"})
        self.assertEqual(self.server.command("ZCARD", "test:entries:due"), b":1\r\n")

    async def test_unreachable(self) -> None:
        backend = self.backend(timeout=1)
        await backend.node_registry.announce("a", b"entry")
        self.server.stop()
        await self.assertFailure(backend.node_registry.announce("a", b"entry"), Unavailable)
