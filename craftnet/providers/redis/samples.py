"""The samples of all nodes' completed crafts, and the model learned from them, in Redis."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.providers.inspection import ISharedSamples
from craftnet.providers.redis import cluster_scripts as scripts
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.key_names import KeyNames
from craftnet.runtime.deferreds import gathered

MAX_SAMPLES = 20_000
"""Maximum length of the stream; a node that starts needs the samples since the model was stored, up to a minute ago."""


@implementer(ISharedSamples)
class RedisSamples:
    """The samples."""

    def __init__(self, link: RedisConnection, keys: KeyNames) -> None:
        self._link = link
        self._keys = keys

    def add(self, samples: Sequence[bytes]) -> Deferred[None]:
        """As in `ISharedSamples`."""
        return Deferred.fromCoroutine(self._add(samples))

    def read(self, after: str, limit: int) -> Deferred[tuple[str, Sequence[bytes]]]:
        """As in `ISharedSamples`."""
        return Deferred.fromCoroutine(self._read(after, limit))

    def kept(self) -> Deferred[tuple[str, bytes | None]]:
        """As in `ISharedSamples`."""
        return Deferred.fromCoroutine(self._get_kept())

    def keep(self, position: str, learned: bytes) -> Deferred[None]:
        """As in `ISharedSamples`."""
        return Deferred.fromCoroutine(self._keep(position, learned))

    async def _add(self, samples: Sequence[bytes]) -> None:
        key = self._keys.samples
        await gathered(
            self._link.ask("XADD", key, "MAXLEN", "~", MAX_SAMPLES, "*", "sample", sample) for sample in samples
        )

    async def _read(self, after: str, limit: int) -> tuple[str, Sequence[bytes]]:
        entries = await self._link.ask("XRANGE", self._keys.samples, f"({after}", "+", "COUNT", limit)
        found = [dict(zip(fields[::2], fields[1::2], strict=False)).get(b"sample", b"") for _, fields in entries]
        return entries[-1][0].decode() if entries else after, found

    async def _get_kept(self) -> tuple[str, bytes | None]:
        position, learned = await self._link.ask("HMGET", self._keys.learned, "position", "learned")
        return ("0-0", None) if position is None else (position.decode(), learned)

    async def _keep(self, position: str, learned: bytes) -> None:
        await self._link.run(scripts.KEEP_LEARNED, [self._keys.learned], (*position.split("-"), learned))
