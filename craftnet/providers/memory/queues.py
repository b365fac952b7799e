"""Queue entries in memory."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from craftnet.errors import EventRejected, misrouted
from craftnet.events import ACCEPTED, DUPLICATE, Event, Outcome, QueueUpdate, rejected
from craftnet.interfaces import IQueueListener, IQueueSource
from craftnet.providers.memory.listeners import Listeners
from craftnet.providers.memory.recent import RecentIds
from craftnet.state import QueueEntry, QueueState
from craftnet.waiting import advance, check_holder


@implementer(IQueueSource)
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
        self._listeners: Listeners[IQueueListener] = Listeners()

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

    def apply(self, events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """As in `IQueueSource`."""
        return succeed([self._apply(event) for event in events])

    def _apply(self, event: Event) -> Outcome:
        if event.event_id in self._accepted:
            return DUPLICATE
        if not isinstance(event.data, QueueUpdate):
            return rejected(str(misrouted(event.data, "queue")))
        player_id = event.data.player_id
        try:
            check_holder(self._by_session.get(event.session_id) if event.session_id else None, event)
            change = advance(self._state(player_id), event)
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
