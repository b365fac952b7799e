"""How nodes meet in Redis: the entry of each under a lease, and streams of messages, one for all and one for each."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.providers.inspection import INodeBus, INodeRegistry
from craftnet.providers.redis import cluster_scripts as scripts
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.interruptible_read import BLOCK_SECONDS
from craftnet.providers.redis.key_names import KeyNames
from craftnet.runtime.deferreds import RestartedTask

MAX_MESSAGES = 1000
"""Messages of a stream: a node that is further behind misses some."""

EXPIRY_SECONDS = 60
"""Seconds after which the stream of a node that is gone is removed."""

ENTRY_LIFETIME = 5.0
"""Seconds after which the entry of a silent node is removed."""

RETRY_DELAY = 1.0
"""Seconds until Redis is asked again."""


@implementer(INodeBus)
class RedisNodeBus(Service):
    """One node's side. It reads only once it has a follower.

    Arguments:
        blocking: a connection that nothing else uses, whose timeout is longer than `BLOCK_SECONDS`.
        asking: the connection for everything else.
    """

    def __init__(self, blocking: RedisConnection, asking: RedisConnection, keys: KeyNames, reactor: Any) -> None:
        self.name = self._own = f"{socket.gethostname()}:{os.getpid()}"
        self._blocking = blocking
        self._asking = asking
        self._keys = keys
        self._reactor = reactor
        self._heard: Callable[[str, bytes], None] | None = None
        self._following = RestartedTask(
            self._follow_on, "following other nodes in Redis", RETRY_DELAY, reactor, expected=(Unavailable,)
        )

    def startService(self) -> None:
        """Starts following, if there is a follower."""
        super().startService()
        if self._heard is not None:
            self._blocking.startService()
            self._following.start()

    def stopService(self) -> Deferred[None] | None:
        """Stops following."""
        super().stopService()
        self._following.stop()
        stopped: Deferred[None] | None = self._blocking.stopService() if self._blocking.running else None
        return stopped

    def follow(self, heard: Callable[[str, bytes], None]) -> None:
        """As in `INodeBus`; called before the service starts."""
        self._heard = heard

    def send(self, node: str, message: bytes) -> None:
        """As in `INodeBus`."""
        self._add(self._keys.messages(node), message)

    def broadcast(self, message: bytes) -> None:
        """As in `INodeBus`."""
        self._add(self._keys.messages(""), message)

    def _add(self, key: str, message: bytes) -> None:
        adding = Deferred.fromCoroutine(self._added(key, message))
        adding.addErrback(lambda failure: failure.trap(Unavailable) and None)  # health checks show it.

    async def _added(self, key: str, message: bytes) -> None:
        await self._asking.ask("XADD", key, "MAXLEN", "~", MAX_MESSAGES, "*", "node", self._own, "message", message)
        await self._asking.ask("EXPIRE", key, EXPIRY_SECONDS)

    async def _follow_on(self) -> None:
        await self._blocking.connected()
        positions = {self._keys.messages(""): b"$", self._keys.messages(self._own): b"$"}
        while self.running:
            await self._read(positions)

    async def _read(self, positions: dict[str, bytes]) -> None:
        """Waits for messages, and passes them on; moves the positions on."""
        if b"$" in positions.values():  # what arrives between two reads must not be missed.
            for key in positions:
                newest = await self._blocking.ask("XREVRANGE", key, "+", "-", "COUNT", 1)
                positions[key] = newest[0][0] if newest else b"0-0"
        block = int(BLOCK_SECONDS * 1000)
        answer = await self._blocking.ask("XREAD", "BLOCK", block, "STREAMS", *positions, *positions.values())
        for key, entries in answer or ():
            for position, fields in entries:
                positions[key.decode()] = position
                entry = dict(zip(fields[::2], fields[1::2], strict=False))
                if self._heard is not None and b"node" in entry and b"message" in entry:
                    self._heard(entry[b"node"].decode(errors="replace"), entry[b"message"])


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
