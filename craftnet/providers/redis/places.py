"""Players' places on all nodes: every node keeps its own in Redis, under a lease, without which they go away.

A node has a name for as long as it holds its lease over one connection. After anything else, it begins anew under
another name: what was still on its way under the old one is not heeded then.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

from twisted.application.internet import TimerService
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.deferreds import Waiters
from craftnet.errors import Unavailable
from craftnet.interfaces import ISharedPlaces
from craftnet.providers.redis import clusterscripts as scripts
from craftnet.providers.redis.keys import Keys
from craftnet.providers.redis.link import Link, Value
from craftnet.providers.redis.tally import Tally

LEASE = 15.0
"""Seconds after which the places of a node that is not heard of are free."""

RENEWALS = 3
"""How often the lease is renewed before it would run out."""

AT_ONCE = 500
"""Players about whom the cluster is told at once."""


@implementer(ISharedPlaces)
class RedisPlaces(TimerService):
    """A node's part.

    Arguments:
        lease: seconds.

    Attributes:
        name: of this node, while it has one.
    """

    _log = Logger()

    def __init__(self, link: Link, keys: Keys, reactor: Any, *, lease: float = LEASE) -> None:
        super().__init__(lease / RENEWALS, self._turn)
        self.clock = reactor
        self._link = link
        self._keys = keys
        self._lease = round(lease * 1000)
        self._tally = Tally()
        self._generation = 0
        self._joining = False
        self._waiting: Waiters[str] = Waiters()
        self._telling: Deferred[None] | None = None
        self._former = ""  # the name of before, under which Redis may still have something.
        self.name: str | None = None
        self.complete = True  # there are none yet.

    def stopService(self) -> Deferred[None]:
        """Give all places back."""
        name, self.name = self.name, None
        self.complete = False
        if self._telling is not None:
            self._telling.cancel()
        if name is not None and self._link.generation == self._generation:
            # No script: one that Redis has forgotten would need a second question.
            for command in (("ZREM", self._keys.nodes, name), ("DEL", self._keys.places(name))):
                asked = Deferred.fromCoroutine(self._link.ask(*command, generation=self._generation))
                asked.addErrback(lambda failure: failure.trap(Unavailable) and None)  # the lease runs out by itself.
        stopped: Deferred[None] = super().stopService()
        return stopped

    @property
    def settled(self) -> bool:
        """Whether the cluster was told everything."""
        return self._telling is None and not len(self._tally)

    def held(self, player_id: UUID) -> int:
        """How many places of the player this node holds."""
        return self._tally[player_id]

    def enter(self, player_id: UUID, limit: int) -> Deferred[bool]:
        """As in `ISharedPlaces`."""
        return Deferred.fromCoroutine(self._enter(player_id, limit, self._tally.enter(player_id)))

    def leave(self, player_id: UUID) -> None:
        """As in `ISharedPlaces`."""
        self._tally.leave(player_id)
        self._tell()

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
        """Whether there is room; also when nobody can say."""
        try:
            for _ in range(2):  # a lease that lapsed is taken anew once.
                name = await self._joined()
                number = min(number, self._tally[player_id])
                answer = await self._run(scripts.ENTER, name, str(player_id), number, limit)
                if answer >= 0:
                    self._tally.told(player_id, number)
                    return bool(answer)
                self._lapsed(name)
        except Unavailable:
            self.complete = False
        self._tally.doubt(player_id)
        return True

    def _run(self, script: bytes, name: str, *arguments: Value) -> Any:
        common = (name, self._keys.places(""), self._lease)
        return self._link.run(script, [self._keys.nodes], (*common, *arguments), generation=self._generation)

    def _joined(self) -> Deferred[str]:
        """The name of this node, once it has a lease. Fails as `Link.run` does."""
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
        self.name = None  # nothing more is said under it.
        await self._run(scripts.JOIN, name, self._former)
        self.name = self._former = name
        self._tally.forgotten()
        return name

    def _has_joined(self, name: str) -> None:
        self._joining = False
        self._waiting.release(name)
        self._tell()

    def _not_joined(self, failure: Failure) -> None:
        self._joining = False
        self._waiting.release(failure)

    def _lapsed(self, name: str) -> None:
        if self.name == name:
            self._log.warn("the lease of this node ran out: its connections are counted anew")
            self.name = None

    def _turn(self) -> Deferred[None]:
        renewed = Deferred.fromCoroutine(self.renew())
        # An error here is a bug of ours; the renewals must not stop for it.
        return renewed.addErrback(lambda failure: self._log.failure("a lease could not be renewed", failure))

    async def renew(self) -> None:
        """Renew the lease, or take a new one, and tell what is untold."""
        try:
            name = await self._joined()
            if await self._run(scripts.RENEW, name) < 0:
                self._lapsed(name)
                await self._joined()
            self.complete = True
        except Unavailable:
            self.complete = False  # health says so.
            return
        self._tell()

    def _tell(self) -> None:
        """Tell what is untold, one question at a time."""
        if self._telling is None and self.name is not None and self.running:
            self._telling = Deferred.fromCoroutine(self._tell_all(self.name))
            self._telling.addErrback(self._untold)
            self._telling.addBoth(self._has_told)

    async def _tell_all(self, name: str) -> None:
        while name == self.name and (some := self._tally.untold(AT_ONCE)):
            pairs = [value for player_id, number in some for value in (str(player_id), number)]
            try:
                taken = await self._run(scripts.TELL, name, *pairs) > 0
            except Unavailable:
                for player_id, _ in some:
                    self._tally.doubt(player_id)
                self.complete = False
                return
            if not taken:
                self._lapsed(name)
                for player_id, _ in some:
                    self._tally.doubt(player_id)
                return
            for player_id, number in some:
                self._tally.told(player_id, number)

    def _untold(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._log.failure("the cluster could not be told of places", failure)

    def _has_told(self, _: None) -> None:
        self._telling = None
