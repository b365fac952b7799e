"""Receives security events from all parts of the server, aggregates floods, and passes the result on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice

from msgspec.structs import replace
from twisted.logger import Logger
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.interfaces import IAuditLog
from craftnet.observe.audit.events import SecurityEvent
from craftnet.observe.audit.floods import FloodAggregator

RECENT_EVENTS = 1000
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

    def __init__(self, clock: IClock, floods: FloodAggregator | None = None, remembered: int = RECENT_EVENTS) -> None:
        self._clock = clock
        self._floods = floods or FloodAggregator()
        self._recent: deque[SecurityEvent] = deque(maxlen=remembered)
        self._listeners: list[Listener] = []

    def record(self, event: SecurityEvent) -> None:
        """As in `IAuditLog`."""
        event = replace(event, time=self._clock.wall(), actor=event.actor[:MAX_TEXT], reason=event.reason[:MAX_TEXT])
        if self._floods.admit(event, self._clock.seconds()):
            self._pass_on(event)

    def recent(self, most: int = RECENT_EVENTS) -> list[SecurityEvent]:
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

    def record(self, event: SecurityEvent) -> None:
        """As in `IAuditLog`."""
