"""The revocations of all nodes: stored in a sorted set by their end, and announced in a stream that every node follows.

A node first notes the end of the stream, then loads the set, then reads the stream from there, so that it misses
nothing. It does so again after every interruption.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Any
from uuid import UUID

from twisted.application.service import Service
from twisted.internet.defer import Deferred, TimeoutError, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.access.revocation.revocations import Revocation
from craftnet.errors import TooManyRequests, Unavailable, revocations_full
from craftnet.interfaces import IRevocationListener, ISharedRevocations
from craftnet.providers.redis import cluster_scripts as scripts
from craftnet.providers.redis.connection import RedisConnection, Value
from craftnet.providers.redis.interruptible_read import BLOCK_SECONDS
from craftnet.providers.redis.key_names import KeyNames
from craftnet.providers.redis.server_clock import ServerClock
from craftnet.runtime.deferreds import RestartedTask, Waiters

MAX_REVOCATIONS = 100_000
"""Maximum number of stored entries: as many as a node has room for."""

STREAM_LENGTH = 10_000
"""Entries of the stream. A node that lags further loads everything again."""

ENTRIES_PER_READ = 1000
"""Entries that one read returns."""

ENTRIES_PER_CALL = 200
"""Entries that are published at once."""

RETRY_DELAY = 0.2
"""Seconds until Redis is asked again."""

LOAD_TIMEOUT = 5.0
"""Seconds to wait for the list to be loaded."""

CLOCK_LEEWAY = 60.0
"""Seconds for which an entry is kept after its end, since clocks differ."""

RETRY_AFTER = 60
"""Seconds after which there may be room again."""


@implementer(ISharedRevocations)
class RedisRevocations(Service):
    """One node's side.

    Arguments:
        blocking: a connection that nothing else uses, whose timeout is longer than `BLOCK_SECONDS`.
        asking: the connection for everything else.
        time: Redis' clock, which decides when entries end.
        capacity: see `MAX_REVOCATIONS`.

    Attributes:
        loads: how often everything was loaded.
        position: the number of the newest entry of the stream that was received.
    """

    _log = Logger()

    def __init__(
        self,
        blocking: RedisConnection,
        asking: RedisConnection,
        keys: KeyNames,
        time: ServerClock,
        reactor: Any,
        *,
        capacity: int = MAX_REVOCATIONS,
        backlog: int = STREAM_LENGTH,
    ) -> None:
        self._blocking = blocking
        self._asking = asking
        self._names = [keys.revoked, keys.revoked_players, keys.revocations]
        self._time = time
        self._reactor = reactor
        self._capacity = capacity
        self._backlog = backlog
        self._listener: IRevocationListener | None = None
        self._following = RestartedTask(
            self._follow_on, "following the revocations in Redis", RETRY_DELAY, reactor, self._failed, (Unavailable,)
        )
        self._loading: Waiters[None] = Waiters()
        self.complete = False
        self.loads = 0
        self.position = 0

    def startService(self) -> None:
        """Starts following."""
        super().startService()
        self._following.start()

    def stopService(self) -> None:
        """Stops following."""
        super().stopService()
        self.complete = False
        self._following.stop()

    def follow(self, listener: IRevocationListener) -> None:
        """As in `ISharedRevocations`."""
        self._listener = listener

    def loaded(self) -> Deferred[None]:
        """As in `ISharedRevocations`."""
        return succeed(None) if self.loads else Deferred.fromCoroutine(self._load_awaited())

    def publish(self, revocation: Revocation) -> Deferred[None]:
        """As in `ISharedRevocations`."""
        return Deferred.fromCoroutine(self._publish([revocation]))

    async def _publish(self, revocations: Sequence[Revocation]) -> None:
        arguments: list[Value] = [repr(self._time.now().wall - CLOCK_LEEWAY), self._capacity, self._backlog]
        for one in revocations:
            player = "" if one.player_id is None else str(one.player_id)
            arguments += (one.token_id or "", player, repr(one.issued), repr(one.until))
        if await self._asking.run(scripts.REVOKE, self._names, arguments) < len(revocations):
            raise revocations_full(RETRY_AFTER, self._capacity)

    async def _load_awaited(self) -> None:
        await self._asking.ask("PING")  # without Redis, waiting is pointless.
        if self.loads:
            return
        try:
            await self._loading.wait().addTimeout(LOAD_TIMEOUT, self._reactor)
        except TimeoutError:
            raise Unavailable("The revocations are not known yet.") from None

    async def _follow_on(self) -> None:
        await self._blocking.connected()
        generation = self._blocking.generation
        while self.running:
            await self._follow_gapless(generation)

    async def _follow_gapless(self, generation: int) -> None:
        """Loads, and reads on until something was missed."""
        self.position = await self._newest(generation)
        known = await self._load(generation)
        await self._publish_missing(known)
        self.loads += 1
        self.complete = True
        self._loading.release(None)
        while self.running:
            entries = await self._read(generation)
            if entries and _number(entries[0][0]) != self.position + 1:
                self._log.warn("revocations came faster than this node reads; all are loaded again")
                self.complete = False
                return
            if entries:
                self._hear([_from_stream(fields) for _, fields in entries])
                self.position = _number(entries[-1][0])
            else:
                await self._publish(())  # removes what has ended.
                if await self._newest(generation) < self.position:
                    self._log.warn("Redis has lost the stream of revocations; all are loaded again")
                    self.complete = False
                    return

    async def _newest(self, generation: int) -> int:
        """The number of the last entry of the stream."""
        newest = await self._blocking.ask("XREVRANGE", self._names[2], "+", "-", "COUNT", 1, generation=generation)
        return _number(newest[0][0]) if newest else 0

    async def _load(self, generation: int) -> set[Revocation]:
        """Loads the whole set."""
        known: set[Revocation] = set()
        async for revocations in self._stored(partial(self._blocking.ask, generation=generation)):
            self._hear(revocations)
            known.update(revocation for revocation in revocations if revocation is not None)
        return known

    async def stored(self) -> list[Revocation]:
        """All revocations that are stored; needs the connection for everything else alone."""
        pages = [page async for page in self._stored(self._asking.ask)]
        return [revocation for page in pages for revocation in page if revocation is not None]

    async def _stored(self, ask: Callable[..., Awaitable[Any]]) -> AsyncIterator[list[Revocation | None]]:
        """The set, page by page."""
        cursor = b"0"
        while True:
            cursor, page = await ask("ZSCAN", self._names[0], cursor, "COUNT", ENTRIES_PER_READ)
            entries = list(zip(page[::2], page[1::2], strict=True))
            players = [member[1:] for member, _ in entries if member.startswith(b"p")]
            # There is always one field: HMGET without fields is an error.
            answer = await ask("HMGET", self._names[1], b"", *players)
            issued = dict(zip(players, answer[1:], strict=True))
            yield [_from_set(member, until, issued.get(member[1:])) for member, until in entries]
            if cursor == b"0":
                return

    async def _publish_missing(self, known: set[Revocation]) -> None:
        """Publishes what this node learned while Redis was away, and what Redis has lost."""
        if self._listener is None:
            return
        missing = (revocation for revocation in self._listener.in_force() if revocation not in known)
        try:
            while some := list(islice(missing, ENTRIES_PER_CALL)):
                await self._publish(some)
        except TooManyRequests:
            self._log.error("there is no room in Redis for all revocations that this node knows")

    async def _read(self, generation: int) -> Sequence[Any]:
        question = ("XREAD", "COUNT", ENTRIES_PER_READ, "BLOCK", round(BLOCK_SECONDS * 1000), "STREAMS", self._names[2])
        answer = await self._blocking.ask(*question, f"{self.position}-0", generation=generation)
        return answer[0][1] if answer else ()

    def _hear(self, revocations: Sequence[Revocation | None]) -> None:
        understood = [revocation for revocation in revocations if revocation is not None]
        if len(understood) < len(revocations):
            self._log.warn(
                "{number} revocations in Redis are not craftnet's", number=len(revocations) - len(understood)
            )
        if understood and self._listener is not None:
            self._listener.revoked(understood)

    def _failed(self, failure: Failure) -> None:
        self.complete = False
        if failure.check(Unavailable):
            self._loading.release(failure)


def _number(entry: bytes) -> int:
    """The number of an entry in the stream."""
    return int(entry.partition(b"-")[0])


def _from_stream(fields: Sequence[bytes]) -> Revocation | None:
    """An entry of the stream; None when it is not craftnet's."""
    entry = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        token, player = entry[b"token"].decode(), entry[b"player"].decode()
        issued, until = float(entry[b"issued"]), float(entry[b"until"])
        return Revocation(token or None, UUID(player) if player else None, issued, until)
    except (KeyError, ValueError):
        return None


def _from_set(member: bytes, until: bytes, issued: bytes | None) -> Revocation | None:
    """An entry of the sorted set, with the player's issue time; None when it is not craftnet's, or just removed."""
    try:
        if member.startswith(b"t"):
            return Revocation(member[1:].decode(), None, 0.0, float(until))
        return None if issued is None else Revocation(None, UUID(member[1:].decode()), float(issued), float(until))
    except ValueError:
        return None
