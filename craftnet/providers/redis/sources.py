"""The three sources: each a store, and the topics of this node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic
from uuid import UUID

from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.contract.events import Event, EventOutcome
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.interfaces import (
    IAtomicStart,
    IMaterialListener,
    IMaterialSource,
    IPlayerListener,
    IPlayerSessions,
    IQueueListener,
    IQueueSource,
    IRecallingSource,
    ISessionListener,
    ISessionSource,
    ISharedSource,
)
from craftnet.providers.inspection import IEventTap, IListing, ITimedSessions, Page, Tap, Wanted
from craftnet.providers.redis.aggregates import TIMED_SESSIONS, Change, Listener, State
from craftnet.providers.redis.change_reader import ChangeReader
from craftnet.providers.redis.event_writer import EventWriter
from craftnet.providers.redis.key_names import partition_of
from craftnet.providers.redis.player_index import PlayerIndex
from craftnet.providers.redis.store import Store
from craftnet.providers.redis.topics import Topics


class _RedisSource(Generic[State, Change, Listener]):
    """The common part. Every Deferred fails with `craftnet.errors.Unavailable`."""

    def __init__(
        self,
        store: Store[State, Change, Listener],
        topics: Topics[State, Change, Listener],
        reader: ChangeReader,
    ) -> None:
        self._store = store
        self._writer = EventWriter(store)
        self._topics = topics
        self._reader = reader
        self.tap: Tap | None = None

    @property
    def epoch(self) -> str | None:
        """As in `ISharedSource`."""
        return self._reader.epoch

    @property
    def stalled(self) -> str:
        """As in `ISharedSource`."""
        return self._reader.lag.stalled

    def caught_up(self, key: UUID) -> Deferred[None]:
        """As in `ISharedSource`."""
        return self._reader.lag.caught_up(partition_of(key))

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in the interfaces."""
        return self._shown(events, Deferred.fromCoroutine(self._writer.apply(events)))

    def page(self, cursor: str | None, limit: int, wanted: Wanted | None) -> Deferred[Page]:
        """As in `IListing`, where that is provided."""
        return Deferred.fromCoroutine(self._store.page(cursor, limit, wanted))

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
        """As in `IRecallingSource`, where that is provided."""
        return Deferred.fromCoroutine(self._recall(key, version))

    def _shown(self, events: Sequence[Event], applied: Deferred[list[EventOutcome]]) -> Deferred[list[EventOutcome]]:
        """As in `IEventTap`."""
        if self.tap is None:
            return applied
        tap = self.tap
        return applied.addCallback(lambda outcomes: (tap(events, outcomes), outcomes)[1])

    async def _recall(self, key: UUID, version: int) -> Sequence[Change]:
        await self._reader.settled()
        connections = self._reader.connections()
        data_set, changes = await self._store.recall(key, version)
        return changes if self._reader.holds(connections, data_set) else []

    async def _get(self, key: UUID) -> State:
        return (await self._store.look(key)).state

    async def _watch(self, key: UUID, listener: Listener) -> State:
        try:
            kept = await self._reader.look(self._store, key)
        except BaseException:
            self._topics.remove(key, listener)
            raise
        if key in self._topics:
            self._reader.follow(key, kept.end)
        return self._topics.answered(key, listener, kept.state, kept.end)


@implementer(ISessionSource, ISharedSource, IAtomicStart, IListing, IEventTap, IPlayerSessions, ITimedSessions)
class RedisSessions(_RedisSource[SessionState | None, SessionState | None, ISessionListener]):
    """Sessions."""

    def __init__(
        self,
        store: Store[SessionState | None, SessionState | None, ISessionListener],
        topics: Topics[SessionState | None, SessionState | None, ISessionListener],
        reader: ChangeReader,
        materials: RedisMaterials,
        players: PlayerIndex,
    ) -> None:
        super().__init__(store, topics, reader)
        self.materials = materials
        self._players = players

    def time_crafts(self) -> None:
        """As in `ITimedSessions`."""
        self._store.subject = TIMED_SESSIONS
        self._writer = EventWriter(self._store)

    def apply_with_materials(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in `IAtomicStart`."""
        return self._shown(events, Deferred.fromCoroutine(self._writer.apply(events, self.materials._writer)))

    def watch_player(self, player_id: UUID, listener: IPlayerListener) -> Deferred[Sequence[UUID]]:
        """As in `IPlayerSessions`."""
        self._players.add(player_id, listener)
        return Deferred.fromCoroutine(self._watch_player(player_id, listener))

    async def _watch_player(self, player_id: UUID, listener: IPlayerListener) -> Sequence[UUID]:
        try:
            await self._reader.follow_all()  # first, so that no start is missed between the two.
            return await self._players.under_way(player_id)
        except BaseException:
            self._players.remove(player_id, listener)
            raise

    def unwatch_player(self, player_id: UUID, listener: IPlayerListener) -> None:
        """As in `IPlayerSessions`."""
        self._players.remove(player_id, listener)

    def count(self) -> Deferred[int]:
        """As in `ISessionSource`."""
        return Deferred.fromCoroutine(self._store.count())


@implementer(IMaterialSource, ISharedSource, IRecallingSource, IEventTap)
class RedisMaterials(_RedisSource[MaterialsState, MaterialsChange, IMaterialListener]):
    """Materials."""


@implementer(IQueueSource, ISharedSource, IRecallingSource, IListing, IEventTap)
class RedisQueues(_RedisSource[QueueState, QueueChange, IQueueListener]):
    """Queue entries."""

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """As in `IQueueSource`."""
        return Deferred.fromCoroutine(self._store.place(session_id))
