"""Receives security events from all parts of the server, aggregates floods, and passes the result on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from uuid import UUID

from twisted.logger import Logger
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.interfaces import IAuditLog
from craftnet.observe.audit.events import Details, SecurityEvent, SecurityEventType
from craftnet.observe.audit.floods import FloodAggregator

REMEMBERED = 1000
"""Events that are kept in memory."""

MAX_TEXT = 200
"""Characters of a reason or an actor; longer ones are cut."""

Listener = Callable[[SecurityEvent], None]


@implementer(IAuditLog)
class SecurityEvents:
    """The security events of this process.

    Arguments:
        clock: both clocks.
        floods: aggregates events that clients can cause at any rate.
        remembered: the number of events that are kept in memory.
    """

    _log = Logger()

    def __init__(self, clock: IClock, floods: FloodAggregator | None = None, remembered: int = REMEMBERED) -> None:
        self._clock = clock
        self._floods = floods or FloodAggregator()
        self._recent: deque[SecurityEvent] = deque(maxlen=remembered)
        self._listeners: list[Listener] = []

    def record(
        self,
        kind: SecurityEventType,
        *,
        player_id: UUID | None = None,
        address: str = "",
        transport: str = "",
        route: str = "",
        status: int | None = None,
        actor: str = "",
        reason: str = "",
        trace_id: str = "",
        details: Details | None = None,
    ) -> None:
        """As in `IAuditLog`."""
        event = SecurityEvent(
            type=kind,
            time=self._clock.wall(),
            player_id=player_id,
            address=address,
            transport=transport,
            route=route,
            status=status,
            actor=actor[:MAX_TEXT],
            reason=reason[:MAX_TEXT],
            trace_id=trace_id,
            details=details,
        )
        if self._floods.admit(event, self._clock.seconds()):
            self._pass_on(event)

    def recent(self, most: int = REMEMBERED) -> list[SecurityEvent]:
        """The last events, oldest first.

        Arguments:
            most: the maximum number of events.
        """
        return list(reversed(list(islice(reversed(self._recent), most))))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with every event from now on, until the returned function is called."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    def turn(self) -> None:
        """Passes on the summaries of floods that are due; called every second."""
        for event in self._floods.due(self._clock.seconds()):
            self._pass_on(event)

    def flush(self) -> None:
        """Passes on the summaries of all floods."""
        for event in self._floods.rest():
            self._pass_on(event)

    def _pass_on(self, event: SecurityEvent) -> None:
        self._recent.append(event)
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:  # a listener's fault must not fail the request that is being refused.
                self._log.failure("a listener to security events failed")


@implementer(IAuditLog)
class NoAudit:
    """Records nothing."""

    def record(
        self,
        kind: SecurityEventType,
        *,
        player_id: UUID | None = None,
        address: str = "",
        transport: str = "",
        route: str = "",
        status: int | None = None,
        actor: str = "",
        reason: str = "",
        trace_id: str = "",
        details: Details | None = None,
    ) -> None:
        """As in `IAuditLog`."""
