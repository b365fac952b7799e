"""The three sources in memory, and the index they share: recently accepted event ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.contract.events import ACCEPTED, DUPLICATE, Event, EventOutcome, QueueUpdate, SessionData, rejected
from craftnet.crafting.material_rules import advance_materials
from craftnet.crafting.queue_rules import advance_queue, check_holder
from craftnet.crafting.session_rules import advance_session
from craftnet.crafting.state import MaterialsState, QueueEntry, QueueState, SessionState
from craftnet.crafting.timing import advance_timed
from craftnet.errors import BadRequest, EventRejected, misrouted, names_no_session
from craftnet.interfaces import (
    IMaterialListener,
    IMaterialSource,
    IPlayerListener,
    IPlayerSessions,
    IQueueListener,
    IQueueSource,
    ISessionListener,
    ISessionSource,
)
from craftnet.providers.inspection import IEventTap, IListing, ITimedSessions, Page, Tap, Wanted
from craftnet.runtime.multimap import Multimap

MAX_SCANNED = 5000
"""States that are looked at for one page: about a millisecond."""


def newest_page(states: dict[Any, Any], cursor: str | None, limit: int, wanted: Wanted | None) -> Deferred[Page]:
    """As `IListing.page`, the newest state first; a cursor is the number of older ones."""
    try:
        older = len(states) if cursor is None else min(int(cursor), len(states))
    except ValueError:
        return fail(BadRequest("cursor takes the `next` of another page."))
    skipped = len(states) - older
    found: list[Any] = []
    for state in islice(reversed(states.values()), skipped, skipped + MAX_SCANNED):
        older -= 1
        if wanted is None or wanted(state):
            found.append(state)
            if len(found) == limit:
                break
    return succeed((found, str(older) if older > 0 else None))


def _shown(tap: Tap | None, events: Sequence[Event], outcomes: list[EventOutcome]) -> list[EventOutcome]:
    """The outcomes, after they were shown to those who look."""
    if tap is not None:
        tap(events, outcomes)
    return outcomes


class RecentIds:
    """Remembers up to `capacity` ids."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Insertion order makes a dict the cheapest queue with membership; UUIDs are hashed and compared in Python.
        self._ids: dict[int, None] = {}

    def __contains__(self, event_id: UUID) -> bool:
        return event_id.int in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, event_id: UUID) -> None:
        """Adds an id and evicts the oldest when the set is full."""
        self._ids[event_id.int] = None
        if len(self._ids) > self._capacity:
            del self._ids[next(iter(self._ids))]


@implementer(ISessionSource, IPlayerSessions, IListing, IEventTap, ITimedSessions)
class MemorySessions:
    """Keeps at most `capacity` sessions, each for `retention` seconds after its end.

    Arguments:
        forgotten: called with the id of each session that was removed.
    """

    def __init__(
        self,
        clock: IReactorTime,
        *,
        capacity: int,
        retention: float,
        remembered_events: int,
        forgotten: Callable[[UUID], None] = lambda _: None,
    ) -> None:
        self._clock = clock
        self._capacity = capacity
        self._retention = retention
        self._forgotten = forgotten
        # Keyed by the integer of the id: UUIDs are hashed and compared in Python.
        self._states: dict[int, SessionState] = {}
        # Finished sessions in the order of their end, each with the time of its removal.
        self._finished: dict[int, float] = {}
        self._accepted = RecentIds(remembered_events)
        self._listeners: Multimap[ISessionListener] = Multimap()
        self._player_listeners: Multimap[IPlayerListener] = Multimap()
        self._under_way: Multimap[UUID] = Multimap()  # each player's sessions that have not ended, oldest first.
        self._advance: Callable[[SessionState | None, Event], SessionState] = advance_session
        self.tap: Tap | None = None

    def time_crafts(self) -> None:
        """As in `ITimedSessions`."""
        self._advance = lambda state, event: advance_timed(state, event, len(self._states) - len(self._finished))

    def page(self, cursor: str | None, limit: int, wanted: Wanted | None) -> Deferred[Page]:
        """As in `IListing`, the newest session first."""
        return newest_page(self._states, cursor, limit, wanted)

    def get(self, session_id: UUID) -> Deferred[SessionState | None]:
        """As in `ISessionSource`."""
        return succeed(self._states.get(session_id.int))

    def watch(self, session_id: UUID, listener: ISessionListener) -> Deferred[SessionState | None]:
        """As in `ISessionSource`."""
        self._listeners.add(session_id, listener)
        return self.get(session_id)

    def unwatch(self, session_id: UUID, listener: ISessionListener) -> None:
        """As in `ISessionSource`."""
        self._listeners.remove(session_id, listener)

    def watch_player(self, player_id: UUID, listener: IPlayerListener) -> Deferred[Sequence[UUID]]:
        """As in `IPlayerSessions`."""
        self._player_listeners.add(player_id, listener)
        return succeed(self._under_way.of(player_id))

    def unwatch_player(self, player_id: UUID, listener: IPlayerListener) -> None:
        """As in `IPlayerSessions`."""
        self._player_listeners.remove(player_id, listener)

    def count(self) -> Deferred[int]:
        """As in `ISessionSource`."""
        return succeed(len(self._states))

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in `ISessionSource`."""
        self.expire()
        return succeed(_shown(self.tap, events, [self._apply(event) for event in events]))

    def expire(self) -> None:
        """Removes the finished sessions whose retention has passed."""
        while self._finished:
            key, due = next(iter(self._finished.items()))
            if due > self._clock.seconds():
                break
            self._forget(key)

    def _apply(self, event: Event) -> EventOutcome:
        if event.event_id in self._accepted:
            return DUPLICATE
        data = event.data
        if not isinstance(data, SessionData):
            return rejected(str(misrouted(data, "session")))
        session_id = data.session_id
        key = session_id.int
        before = self._states.get(key)
        try:
            after = self._advance(before, event)
            if before is None:
                self._make_room()
        except EventRejected as error:
            return rejected(str(error))
        self._accepted.add(event.event_id)
        self._states[key] = after
        if after.progress.status.terminal:
            self._finished[key] = self._clock.seconds() + self._retention
            self._under_way.remove(after.player_id, session_id)
        elif before is None:
            self._under_way.add(after.player_id, session_id)
        for listener in self._listeners.of(session_id):
            listener.session_changed(after)
        if before is None:
            for player_listener in self._player_listeners.of(after.player_id):
                player_listener.session_started(session_id)
        return ACCEPTED

    def _make_room(self) -> None:
        if len(self._states) < self._capacity:
            return
        if not self._finished:
            raise EventRejected(f"no room: {self._capacity} sessions are running")
        self._forget(next(iter(self._finished)))

    def _forget(self, key: int) -> None:
        del self._finished[key]
        session_id = self._states.pop(key).session_id
        self._forgotten(session_id)
        for listener in self._listeners.of(session_id):
            listener.session_changed(None)


@implementer(IMaterialSource, IEventTap)
class MemoryMaterials:
    """Keeps the materials of at most `capacity` sessions and evicts the least recently changed."""

    def __init__(self, *, capacity: int, remembered_events: int) -> None:
        self._capacity = capacity
        # Keyed by the integer of the id, in the order of the last change.
        self._states: dict[int, MaterialsState] = {}
        self._accepted = RecentIds(remembered_events)
        self._listeners: Multimap[IMaterialListener] = Multimap()
        self.tap: Tap | None = None

    def get(self, session_id: UUID) -> Deferred[MaterialsState]:
        """As in `IMaterialSource`."""
        return succeed(self._states.get(session_id.int) or MaterialsState(session_id))

    def watch(self, session_id: UUID, listener: IMaterialListener) -> Deferred[MaterialsState]:
        """As in `IMaterialSource`."""
        self._listeners.add(session_id, listener)
        return self.get(session_id)

    def unwatch(self, session_id: UUID, listener: IMaterialListener) -> None:
        """As in `IMaterialSource`."""
        self._listeners.remove(session_id, listener)

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in `IMaterialSource`."""
        return succeed(_shown(self.tap, events, [self._apply(event) for event in events]))

    def forget(self, session_id: UUID) -> None:
        """Removes the materials of a session that was removed."""
        self._states.pop(session_id.int, None)

    def _apply(self, event: Event) -> EventOutcome:
        if event.event_id in self._accepted:
            return DUPLICATE
        session_id = event.session_id
        if session_id is None:
            return rejected(str(names_no_session()))
        try:
            change = advance_materials(self._states.get(session_id.int) or MaterialsState(session_id), event)
        except EventRejected as error:
            return rejected(str(error))
        self._accepted.add(event.event_id)
        self._states.pop(session_id.int, None)
        self._states[session_id.int] = change.state
        if len(self._states) > self._capacity:
            del self._states[next(iter(self._states))]
        for listener in self._listeners.of(session_id):
            listener.materials_changed(change)
        return ACCEPTED


@implementer(IQueueSource, IListing, IEventTap)
class MemoryQueues:
    """Keeps the entries of at most `capacity` waiting players, and as many who left; evicts the longest unchanged."""

    def __init__(self, *, capacity: int, remembered_events: int) -> None:
        self._capacity = capacity
        # Each in the order of the last change.
        self._waiting: dict[UUID, QueueState] = {}
        self._left: dict[UUID, QueueState] = {}
        # The highest version of an evicted player, from which such a player continues.
        self._forgotten = 0
        self._by_session: dict[UUID, QueueEntry] = {}
        self._accepted = RecentIds(remembered_events)
        self._listeners: Multimap[IQueueListener] = Multimap()
        self.tap: Tap | None = None

    def page(self, cursor: str | None, limit: int, wanted: Wanted | None) -> Deferred[Page]:
        """As in `IListing`: players who wait, the last change first."""
        return newest_page(self._waiting, cursor, limit, wanted)

    def get(self, player_id: UUID) -> Deferred[QueueState]:
        """As in `IQueueSource`."""
        return succeed(self._state(player_id))

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """As in `IQueueSource`."""
        return succeed(self._by_session.get(session_id))

    def watch(self, player_id: UUID, listener: IQueueListener) -> Deferred[QueueState]:
        """As in `IQueueSource`."""
        self._listeners.add(player_id, listener)
        return self.get(player_id)

    def unwatch(self, player_id: UUID, listener: IQueueListener) -> None:
        """As in `IQueueSource`."""
        self._listeners.remove(player_id, listener)

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in `IQueueSource`."""
        return succeed(_shown(self.tap, events, [self._apply(event) for event in events]))

    def _apply(self, event: Event) -> EventOutcome:
        if event.event_id in self._accepted:
            return DUPLICATE
        if not isinstance(event.data, QueueUpdate):
            return rejected(str(misrouted(event.data, "queue")))
        player_id = event.data.player_id
        try:
            check_holder(self._by_session.get(event.session_id) if event.session_id else None, event)
            change = advance_queue(self._state(player_id), event)
        except EventRejected as error:
            return rejected(str(error))
        self._accepted.add(event.event_id)
        self._keep(change.state)
        for listener in self._listeners.of(player_id):
            listener.queue_changed(change)
        return ACCEPTED

    def _state(self, player_id: UUID) -> QueueState:
        known = self._waiting.get(player_id) or self._left.get(player_id)
        return known or QueueState(player_id, self._forgotten)

    def _keep(self, state: QueueState) -> None:
        self._drop(state.player_id)
        kept = self._waiting if state.entries else self._left
        kept[state.player_id] = state
        self._by_session.update((entry.session_id, entry) for entry in state.entries if entry.session_id)
        if len(kept) > self._capacity:
            self._forgotten = max(self._forgotten, self._drop(next(iter(kept))).version)

    def _drop(self, player_id: UUID) -> QueueState:
        state = self._state(player_id)
        self._waiting.pop(player_id, None)
        self._left.pop(player_id, None)
        for entry in state.entries:
            if entry.session_id:
                self._by_session.pop(entry.session_id, None)
        return state
