"""Queue entries in memory."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from craftnet.errors import EventRejected
from craftnet.events import ACCEPTED, DUPLICATE, Event, Outcome, QueueUpdate, rejected
from craftnet.interfaces import IQueueListener, IQueueSource
from craftnet.providers.memory.listeners import Listeners
from craftnet.providers.memory.recent import RecentIds
from craftnet.state import QueueChange, QueueEntry
from craftnet.waiting import advance


@implementer(IQueueSource)
class MemoryQueues:
    """Keeps the entries of at most `capacity` players; beyond that, those unchanged for longest go."""

    def __init__(self, *, capacity: int, remembered_events: int) -> None:
        self._capacity = capacity
        # In the order of their newest change.
        self._by_player: dict[UUID, tuple[QueueEntry, ...]] = {}
        self._by_session: dict[UUID, QueueEntry] = {}
        self._accepted = RecentIds(remembered_events)
        self._listeners: Listeners[IQueueListener] = Listeners()

    def get(self, player_id: UUID) -> Deferred[tuple[QueueEntry, ...]]:
        """As in `IQueueSource`."""
        return succeed(self._by_player.get(player_id, ()))

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """As in `IQueueSource`."""
        return succeed(self._by_session.get(session_id))

    def watch(self, player_id: UUID, listener: IQueueListener) -> Deferred[tuple[QueueEntry, ...]]:
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
            return rejected(f"not an event of a queue: {type(event.data).__name__}")
        player_id = event.data.player_id
        holder = self._by_session.get(event.session_id) if event.session_id else None
        if holder is not None and holder.player_id != player_id:
            return rejected("the session waits in the name of another player")
        try:
            after, change = advance(self._by_player.get(player_id, ()), event)
        except EventRejected as error:
            return rejected(str(error))
        self._accepted.add(event.event_id)
        self._keep(player_id, after, change)
        for listener in self._listeners.of(player_id):
            listener.queue_changed(change)
        return ACCEPTED

    def _keep(self, player_id: UUID, entries: tuple[QueueEntry, ...], change: QueueChange) -> None:
        self._drop(player_id)
        if entries:
            self._by_player[player_id] = entries
            self._by_session.update((entry.session_id, entry) for entry in entries if entry.session_id)
        if len(self._by_player) > self._capacity:
            self._drop(next(iter(self._by_player)))

    def _drop(self, player_id: UUID) -> None:
        for entry in self._by_player.pop(player_id, ()):
            if entry.session_id:
                self._by_session.pop(entry.session_id, None)
