"""What workers share about their clients: revocations, and each player's number of connections."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, DeferredList, succeed
from zope.interface import implementer

from craftnet.access.revocation.revocations import Revocation
from craftnet.errors import Unavailable
from craftnet.interfaces import ICluster, IRevocationListener, ISharedConnectionSlots, ISharedRevocations
from craftnet.providers.shards import Shards
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.links import Links

REVOKE: Operation[list[Revocation], None] = Operation("revoke", list[Revocation], None)
IN_FORCE: Operation[list[Revocation], list[Revocation]] = Operation("in force", list[Revocation], list[Revocation])
TAKE_SLOT: Operation[tuple[UUID, int], bool] = Operation("enter", tuple[UUID, int], bool)
RELEASE_SLOT: Operation[UUID, None] = Operation("leave", UUID, None)
SLOT_COUNTS: Operation[dict[UUID, int], None] = Operation("places", dict[UUID, int], None)


@implementer(ISharedRevocations)
class ShardRevocations:
    """Every worker has all revocations. A starting worker exchanges them with the others."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._listener: IRevocationListener | None = None
        links.handle(REVOKE, self._hear)
        links.handle(IN_FORCE, self._exchange)
        links.on_connected(self._report)

    @property
    def complete(self) -> bool:
        """As in `ISharedRevocations`."""
        return self._links.complete

    def follow(self, listener: IRevocationListener) -> None:
        """As in `ISharedRevocations`."""
        self._listener = listener

    def loaded(self) -> Deferred[None]:
        """As in `ISharedRevocations`. A worker that is not listening yet knows nothing that others do not."""
        return Deferred.fromCoroutine(self._links.first_contacts())

    def publish(self, revocation: Revocation) -> Deferred[None]:
        """As in `ISharedRevocations`. A worker that ended has no connections, and learns of it when it starts."""
        return Deferred.fromCoroutine(self._publish(revocation))

    async def _publish(self, revocation: Revocation) -> None:
        calls = {number: self._links.call(number, REVOKE, [revocation]) for number in self._links.connected}
        results: Sequence[Any] = await DeferredList(list(calls.values()), consumeErrors=True)
        for number, (succeeded, result) in zip(calls, results, strict=True):
            if not succeeded and number in self._links.connected:
                result.raiseException()

    def _hear(self, _: Caller, revocations: list[Revocation]) -> None:
        if self._listener is not None:
            self._listener.revoked(revocations)

    def _exchange(self, caller: Caller, revocations: list[Revocation]) -> list[Revocation]:
        own = self._in_force()
        self._hear(caller, revocations)
        return own

    async def _report(self, number: int) -> None:
        heard = await self._links.call(number, IN_FORCE, self._in_force())
        if self._listener is not None:
            self._listener.revoked(heard)

    def _in_force(self) -> list[Revocation]:
        return [] if self._listener is None else list(self._listener.in_force())


@implementer(ISharedConnectionSlots)
class ShardConnectionSlots:
    """The worker that keeps a player's state counts the player's slots on all workers; nearly all are its own."""

    def __init__(self, links: Links, shards: Shards) -> None:
        self._links = links
        self._shards = shards
        self._taken: dict[int, Counter[UUID]] = {number: Counter() for number in range(shards.count)}  # by worker.
        self._remote_slots: Counter[UUID] = Counter()  # slots here of players whom other workers count.
        links.handle(TAKE_SLOT, lambda caller, asked: self._enter(caller.number, *asked))
        links.handle(RELEASE_SLOT, lambda caller, player_id: _decrement(self._taken[caller.number], player_id))
        links.handle(SLOT_COUNTS, self._restate)
        links.on_connected(self._report)
        links.on_lost(lambda number: self._taken[number].clear())

    @property
    def complete(self) -> bool:
        """As in `ISharedConnectionSlots`."""
        return self._links.complete

    def enter(self, player_id: UUID, limit: int) -> Deferred[bool]:
        """As in `ISharedConnectionSlots`."""
        if self._shards.owns(player_id):
            return succeed(self._enter(self._shards.number, player_id, limit))
        asked = Deferred.fromCoroutine(self._ask(player_id, limit))
        answered: Deferred[bool] = Deferred()  # separate: a slot that is no longer wanted is released.

        def answer_taken(taken: bool) -> None:
            if not answered.called:
                answered.callback(taken)
            elif taken:
                self.leave(player_id)

        asked.addCallbacks(answer_taken, answered.errback)
        return answered

    def leave(self, player_id: UUID) -> None:
        """As in `ISharedConnectionSlots`."""
        if self._shards.owns(player_id):
            _decrement(self._taken[self._shards.number], player_id)
            return
        _decrement(self._remote_slots, player_id)
        counts = self._shards.of(player_id)
        if counts in self._links.connected:  # else it receives all of them when it is connected again.
            self._links.call(counts, RELEASE_SLOT, player_id).addErrback(lambda failure: failure.trap(Unavailable))

    def _enter(self, number: int, player_id: UUID, limit: int) -> bool:
        if sum(taken[player_id] for taken in self._taken.values()) >= limit:
            return False
        self._taken[number][player_id] += 1
        return True

    async def _ask(self, player_id: UUID, limit: int) -> bool:
        taken = True
        with suppress(Unavailable):
            taken = await self._links.call(self._shards.of(player_id), TAKE_SLOT, (player_id, limit))
        self._remote_slots[player_id] += taken
        return taken

    async def _report(self, number: int) -> None:
        counts = {
            player_id: count for player_id, count in self._remote_slots.items() if self._shards.of(player_id) == number
        }
        await self._links.call(number, SLOT_COUNTS, counts)

    def _restate(self, caller: Caller, counts: dict[UUID, int]) -> None:
        self._taken[caller.number] = Counter(counts)


@implementer(ICluster)
class ShardCluster:
    """Both. As in `ICluster`."""

    def __init__(self, links: Links, shards: Shards) -> None:
        self.revocations = ShardRevocations(links)
        self.connection_slots = ShardConnectionSlots(links, shards)


def _decrement(counter: Counter[UUID], player_id: UUID) -> None:
    counter[player_id] -= 1
    if counter[player_id] <= 0:
        del counter[player_id]
