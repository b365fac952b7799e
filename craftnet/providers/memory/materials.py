"""Materials in memory."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from craftnet.errors import EventRejected, names_no_session
from craftnet.events import ACCEPTED, DUPLICATE, Event, Outcome, rejected
from craftnet.interfaces import IMaterialListener, IMaterialSource
from craftnet.providers.memory.listeners import Listeners
from craftnet.providers.memory.recent import RecentIds
from craftnet.state import MaterialsState
from craftnet.stock import advance


@implementer(IMaterialSource)
class MemoryMaterials:
    """Keeps the materials of at most `capacity` sessions and evicts the least recently changed."""

    def __init__(self, *, capacity: int, remembered_events: int) -> None:
        self._capacity = capacity
        # Keyed by the integer of the id, in the order of the last change.
        self._states: dict[int, MaterialsState] = {}
        self._accepted = RecentIds(remembered_events)
        self._listeners: Listeners[IMaterialListener] = Listeners()

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

    def apply(self, events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """As in `IMaterialSource`."""
        return succeed([self._apply(event) for event in events])

    def forget(self, session_id: UUID) -> None:
        """Removes the materials of a session that was removed."""
        self._states.pop(session_id.int, None)

    def _apply(self, event: Event) -> Outcome:
        if event.event_id in self._accepted:
            return DUPLICATE
        session_id = event.session_id
        if session_id is None:
            return rejected(str(names_no_session()))
        try:
            change = advance(self._states.get(session_id.int) or MaterialsState(session_id), event)
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
