"""Counts the provider's sessions at an interval, for the metrics."""

from __future__ import annotations

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.interfaces import ISessionSource
from craftnet.observe.metrics import Metrics

INTERVAL = 5.0
"""Seconds."""


class Census(TimerService):
    """Counts the sessions."""

    def __init__(self, sessions: ISessionSource, metrics: Metrics, clock: IReactorTime) -> None:
        super().__init__(INTERVAL, self._count)
        self.clock = clock
        self._sessions = sessions
        self._metrics = metrics

    def _count(self) -> Deferred[None]:
        return self._sessions.count().addCallbacks(self._metrics.sessions, self._unknown)

    def _unknown(self, failure: Failure) -> None:
        """Keeps the last figure: an unreachable provider is reported by the health checks."""
        failure.trap(Unavailable)
