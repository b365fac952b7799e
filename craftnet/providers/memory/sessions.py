"""Sessions in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.errors import EventRejected, misrouted
from craftnet.events import ACCEPTED, DUPLICATE, Event, Outcome, SessionData, rejected
from craftnet.interfaces import ISessionListener, ISessionSource
from craftnet.lifecycle import advance
from craftnet.providers.memory.listeners import Listeners
from craftnet.providers.memory.recent import RecentIds
from craftnet.state import SessionState


@implementer(ISessionSource)
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
        self._listeners: Listeners[ISessionListener] = Listeners()

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

    def count(self) -> Deferred[int]:
        """As in `ISessionSource`."""
        return succeed(len(self._states))

    def apply(self, events: Sequence[Event]) -> Deferred[list[Outcome]]:
        """As in `ISessionSource`."""
        self.expire()
        return succeed([self._apply(event) for event in events])

    def expire(self) -> None:
        """Removes the finished sessions whose retention has passed."""
        now = self._clock.seconds()
        while self._finished:
            key, due = next(iter(self._finished.items()))
            if due > now:
                break
            self._forget(key)

    def _apply(self, event: Event) -> Outcome:
        if event.event_id in self._accepted:
            return DUPLICATE
        data = event.data
        if not isinstance(data, SessionData):
            return rejected(str(misrouted(data, "session")))
        session_id = data.session_id
        key = session_id.int
        before = self._states.get(key)
        try:
            after = advance(before, event)
            if before is None:
                self._make_room()
        except EventRejected as error:
            return rejected(str(error))
        self._accepted.add(event.event_id)
        self._states[key] = after
        if after.progress.status.terminal:
            self._finished[key] = self._clock.seconds() + self._retention
        for listener in self._listeners.of(session_id):
            listener.session_changed(after)
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
