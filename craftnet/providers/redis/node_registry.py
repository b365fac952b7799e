"""What each node says of itself, in Redis, under a lease."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.providers.inspection import INodeRegistry
from craftnet.providers.redis import cluster_scripts as scripts
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.key_names import KeyNames

ENTRY_LIFETIME = 5.0
"""Seconds after which the entry of a silent node is removed."""


@implementer(INodeRegistry)
class RedisNodeRegistry:
    """All nodes' entries.

    Arguments:
        lifetime: seconds.
    """

    def __init__(self, link: RedisConnection, keys: KeyNames, *, lifetime: float = ENTRY_LIFETIME) -> None:
        self._link = link
        self._keys = keys
        self._lifetime = round(lifetime * 1000)

    def announce(self, node: str, entry: bytes | None) -> Deferred[dict[str, bytes]]:
        """As in `INodeRegistry`."""
        return Deferred.fromCoroutine(self._announce(node, entry))

    async def _announce(self, node: str, entry: bytes | None) -> dict[str, bytes]:
        keys = [self._keys.entries, self._keys.entry_ends]
        flat = await self._link.run(scripts.ANNOUNCE, keys, (node, self._lifetime, entry or b""))
        return {name.decode(errors="replace"): kept for name, kept in zip(flat[::2], flat[1::2], strict=True)}
