"""Players' connection slots on all nodes: each node keeps its own in Redis under a lease."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import Any
from uuid import UUID, uuid4

from twisted.application.internet import TimerService
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.interfaces import ISharedConnectionSlots
from craftnet.providers.redis import cluster_scripts as scripts
from craftnet.providers.redis.connection import RedisConnection, Value
from craftnet.providers.redis.key_names import KeyNames
from craftnet.runtime.deferreds import Waiters


class SlotCounts:
    """The slots of this node."""

    def __init__(self) -> None:
        self._slots: Counter[UUID] = Counter()
        self._unconfirmed: dict[UUID, None] = {}

    def __getitem__(self, player_id: UUID) -> int:
        return self._slots[player_id]

    def __len__(self) -> int:
        """The number of players whose slots must be reported to the cluster."""
        return len(self._unconfirmed)

    def take(self, player_id: UUID) -> int:
        """Adds a slot; returns the player's number of slots. The cluster is asked about it separately."""
        self._slots[player_id] += 1
        return self._slots[player_id]

    def release(self, player_id: UUID) -> None:
        """Removes a slot."""
        self._slots[player_id] -= 1
        if not self._slots[player_id]:
            del self._slots[player_id]
        self.doubt(player_id)

    def doubt(self, player_id: UUID) -> None:
        """Marks a player whose reported number is uncertain."""
        self._unconfirmed[player_id] = None

    def confirmed(self, player_id: UUID, number: int) -> None:
        """Records that the cluster has this number."""
        if self._slots[player_id] != number:
            self.doubt(player_id)

    def forgotten(self) -> None:
        """Records that the cluster has lost everything of this node."""
        self._unconfirmed = dict.fromkeys(self._slots)

    def unconfirmed(self, most: int) -> list[tuple[UUID, int]]:
        """Up to `most` unreported players with their numbers, which count as reported from now on."""
        some = list(islice(self._unconfirmed, most))
        for player_id in some:
            del self._unconfirmed[player_id]
        return [(player_id, self._slots[player_id]) for player_id in some]


LEASE_SECONDS = 15.0
"""Seconds after which the slots of a silent node are released."""

RENEWALS_PER_LEASE = 3
"""Renewals of the lease within its duration."""

PLAYERS_PER_REPORT = 500
"""Players in one report to the cluster."""


@implementer(ISharedConnectionSlots)
class RedisConnectionSlots(TimerService):
    """One node's side.

    Arguments:
        lease: seconds.

    Attributes:
        name: of this node, while it has one.
    """

    _log = Logger()

    def __init__(self, link: RedisConnection, keys: KeyNames, reactor: Any, *, lease: float = LEASE_SECONDS) -> None:
        super().__init__(lease / RENEWALS_PER_LEASE, self._turn)
        self.clock = reactor
        self._link = link
        self._keys = keys
        self._lease = round(lease * 1000)
        self._counts = SlotCounts()
        self._generation = 0
        self._joining = False
        self._waiting: Waiters[str] = Waiters()
        self._reporting: Deferred[None] | None = None
        self._former = ""  # the previous name, under which Redis may still keep slots.
        self.name: str | None = None
        self.complete = True  # there are none yet.

    def stopService(self) -> Deferred[None]:
        """Releases all slots."""
        name, self.name = self.name, None
        self.complete = False
        if self._reporting is not None:
            self._reporting.cancel()
        if name is not None and self._link.generation == self._generation:
            # No script: one that Redis has forgotten would need a second request.
            for command in (("ZREM", self._keys.nodes, name), ("DEL", self._keys.slots(name))):
                asked = Deferred.fromCoroutine(self._link.ask(*command, generation=self._generation))
                asked.addErrback(lambda failure: failure.trap(Unavailable) and None)  # the lease expires by itself.
        stopped: Deferred[None] = super().stopService()
        return stopped

    @property
    def settled(self) -> bool:
        """Whether everything was reported to the cluster."""
        return self._reporting is None and not len(self._counts)

    def held(self, player_id: UUID) -> int:
        """The number of the player's slots on this node."""
        return self._counts[player_id]

    def enter(self, player_id: UUID, limit: int) -> Deferred[bool]:
        """As in `ISharedConnectionSlots`."""
        return Deferred.fromCoroutine(self._enter(player_id, limit, self._counts.take(player_id)))

    def leave(self, player_id: UUID) -> None:
        """As in `ISharedConnectionSlots`."""
        self._counts.release(player_id)
        self._report()

    async def _enter(self, player_id: UUID, limit: int, number: int) -> bool:
        try:
            taken = await self._ask(player_id, limit, number)
        except CancelledError:
            self.leave(player_id)
            raise
        if not taken:
            self.leave(player_id)
        return taken

    async def _ask(self, player_id: UUID, limit: int, number: int) -> bool:
        """Whether there is room; also when the cluster cannot be asked."""
        try:
            for _ in range(2):  # an expired lease is replaced once.
                name = await self._joined()
                number = min(number, self._counts[player_id])
                answer = await self._run(scripts.ENTER, name, str(player_id), number, limit)
                if answer >= 0:
                    self._counts.confirmed(player_id, number)
                    return bool(answer)
                self._lapsed(name)
        except Unavailable:
            self.complete = False
        self._counts.doubt(player_id)
        return True

    def _run(self, script: bytes, name: str, *arguments: Value) -> Any:
        common = (name, self._keys.slots(""), self._lease)
        return self._link.run(script, [self._keys.nodes], (*common, *arguments), generation=self._generation)

    def _joined(self) -> Deferred[str]:
        """The name of this node, once it has a lease. Fails as `RedisConnection.run` does."""
        if self.name is not None and self._generation == self._link.generation:
            return succeed(self.name)
        waiting = self._waiting.wait()
        if not self._joining:
            self._joining = True
            Deferred.fromCoroutine(self._join()).addCallbacks(self._has_joined, self._not_joined)
        return waiting

    async def _join(self) -> str:
        await self._link.ask("PING")  # so that there is a connection, and it is known which.
        name, self._generation = uuid4().hex, self._link.generation
        self.name = None  # nothing more is reported under it.
        await self._run(scripts.JOIN, name, self._former)
        self.name = self._former = name
        self._counts.forgotten()
        return name

    def _has_joined(self, name: str) -> None:
        self._joining = False
        self._waiting.release(name)
        self._report()

    def _not_joined(self, failure: Failure) -> None:
        self._joining = False
        self._waiting.release(failure)

    def _lapsed(self, name: str) -> None:
        if self.name == name:
            self._log.warn("the lease of this node expired: its connections are reported again")
            self.name = None

    def _turn(self) -> Deferred[None]:
        renewed = Deferred.fromCoroutine(self.renew())
        # An error here is a bug; the renewals must go on.
        return renewed.addErrback(lambda failure: self._log.failure("a lease could not be renewed", failure))

    async def renew(self) -> None:
        """Renews the lease, or takes a new one, and reports what is unreported."""
        try:
            name = await self._joined()
            if await self._run(scripts.RENEW, name) < 0:
                self._lapsed(name)
                await self._joined()
            self.complete = True
        except Unavailable:
            self.complete = False  # shown by the health check.
            return
        self._report()

    def _report(self) -> None:
        """Reports what is unreported, one request at a time."""
        if self._reporting is None and self.name is not None and self.running:
            self._reporting = Deferred.fromCoroutine(self._report_all(self.name))
            self._reporting.addErrback(self._not_reported)
            self._reporting.addBoth(self._reported)

    async def _report_all(self, name: str) -> None:
        while name == self.name and (some := self._counts.unconfirmed(PLAYERS_PER_REPORT)):
            pairs = [value for player_id, number in some for value in (str(player_id), number)]
            try:
                taken = await self._run(scripts.REPORT, name, *pairs) > 0
            except Unavailable:
                for player_id, _ in some:
                    self._counts.doubt(player_id)
                self.complete = False
                return
            if not taken:
                self._lapsed(name)
                for player_id, _ in some:
                    self._counts.doubt(player_id)
                return
            for player_id, number in some:
                self._counts.confirmed(player_id, number)

    def _not_reported(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("the cluster could not be informed of slots", failure)

    def _reported(self, _: None) -> None:
        self._reporting = None
