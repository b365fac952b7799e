"""The three sources: each a ledger, and the topics of this node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic
from uuid import UUID

from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.events import Event, Outcome
from craftnet.interfaces import (
    IMaterialListener,
    IMaterialSource,
    IQueueListener,
    IQueueSource,
    IRecall,
    ISessionListener,
    ISessionSource,
    IShared,
    IWhole,
)
from craftnet.providers.redis.follower import Follower
from craftnet.providers.redis.keys import partition_of
from craftnet.providers.redis.ledger import Ledger
from craftnet.providers.redis.subjects import Change, Listener, State
from craftnet.providers.redis.topics import Topics
from craftnet.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState


class _RedisSource(Generic[State, Change, Listener]):
    """What the three share. Everything that answers fails with `craftnet.errors.Unavailable`."""

    def __init__(
        self,
        ledger: Ledger[State, Change, Listener],
        topics: Topics[State, Change, Listener],
        follower: Follower,
    ) -> None:
        self._ledger = ledger
        self._topics = topics
        self._follower = follower

    @property
    def epoch(self) -> str | None:
        """As in `IShared`."""
        return self._follower.epoch

    @property
    def stalled(self) -> str:
        """As in `IShared`."""
        return self._follower.lag.stalled

    def caught_up(self, key: UUID) -> Deferred[None]:
        """As in `IShared`."""
        return self._follower.lag.caught_up(partition_of(key))

    def apply(self, events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """As in the interfaces."""
        return Deferred.fromCoroutine(self._ledger.apply(events))

    def get(self, key: UUID) -> Deferred[State]:
        """As in the interfaces."""
        return Deferred.fromCoroutine(self._get(key))

    def watch(self, key: UUID, listener: Listener) -> Deferred[State]:
        """As in the interfaces."""
        self._topics.add(key, listener)
        return Deferred.fromCoroutine(self._watch(key, listener))

    def unwatch(self, key: UUID, listener: Listener) -> None:
        """As in the interfaces."""
        self._topics.remove(key, listener)

    def recall(self, key: UUID, version: int) -> Deferred[Sequence[Change]]:
        """As in `IRecall`, where that is provided."""
        return Deferred.fromCoroutine(self._recall(key, version))

    async def _recall(self, key: UUID, version: int) -> Sequence[Change]:
        await self._follower.settled()
        connections = self._follower.connections()
        data_set, changes = await self._ledger.recall(key, version)
        return changes if self._follower.holds(connections, data_set) else []

    async def _get(self, key: UUID) -> State:
        return (await self._ledger.look(key)).state

    async def _watch(self, key: UUID, listener: Listener) -> State:
        try:
            kept = await self._follower.look(self._ledger, key)
        except BaseException:
            self._topics.remove(key, listener)
            raise
        if key in self._topics:
            self._follower.follow(key, kept.end)
        return self._topics.answered(key, listener, kept.state, kept.end)


@implementer(ISessionSource, IShared, IWhole)
class RedisSessions(_RedisSource[SessionState | None, SessionState | None, ISessionListener]):
    """Sessions."""

    def __init__(
        self,
        ledger: Ledger[SessionState | None, SessionState | None, ISessionListener],
        topics: Topics[SessionState | None, SessionState | None, ISessionListener],
        follower: Follower,
        materials: RedisMaterials,
    ) -> None:
        super().__init__(ledger, topics, follower)
        self.materials = materials

    def apply_whole(self, events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """As in `IWhole`."""
        return Deferred.fromCoroutine(self._ledger.apply(events, self.materials._ledger))

    def count(self) -> Deferred[int]:
        """As in `ISessionSource`."""
        return Deferred.fromCoroutine(self._ledger.count())


@implementer(IMaterialSource, IShared, IRecall)
class RedisMaterials(_RedisSource[MaterialsState, MaterialsChange, IMaterialListener]):
    """Materials."""


@implementer(IQueueSource, IShared, IRecall)
class RedisQueues(_RedisSource[QueueState, QueueChange, IQueueListener]):
    """Queue entries."""

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """As in `IQueueSource`."""
        return Deferred.fromCoroutine(self._ledger.place(session_id))
