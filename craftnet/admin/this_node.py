"""This node's report about itself and its connections, for administrators on any node."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.task import LoopingCall, deferLater

from craftnet.admin.figures import STEP_SECONDS, FigureHistory, NodeFigures, Point, Sample
from craftnet.admin.rows import audit_entry, history_entry
from craftnet.clocks import IClock
from craftnet.contract.admin.operations import AuditEntry, NodeHealth
from craftnet.contract.admin.overview import LimitUse, NodeState
from craftnet.contract.admin.sessions import ConnectionRow, HistoryEntry
from craftnet.contract.events import Event, EventOutcome, SessionProgress
from craftnet.contract.messages import Service as HealthOf
from craftnet.feeds.hub import Hub
from craftnet.interfaces import IInspectable, ISharedSource
from craftnet.observe.audit.events import SecurityEvent
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.observe.metrics.snapshot import Snapshot
from craftnet.providers.inspection import IEventTap
from craftnet.providers.sources import Sources

MAX_CONNECTIONS = 200
"""Maximum number of connections in one answer."""

MAX_HISTORY = 100
"""Maximum number of events in one session's history."""

RECENT_EVENTS = 5000
"""Number of remembered events of all sessions, without progress events."""


class ConnectionTable(Protocol):
    """The open connections of one transport.

    Attributes:
        kind: the prefix of their ids.
    """

    kind: str

    def scan(self, player_id: UUID | None, *, waiting: bool) -> Iterator[list[ConnectionRow]]:
        """Yields their rows in steps of bounded length: those of a player, or those with waiting messages."""

    def disconnect(self, number: str) -> int:
        """Ends the connection with this id; returns the number of ended connections, 0 or 1."""


class NodeReport(Struct, frozen=True):
    """A node's report about itself, computed once a second."""

    version: str
    uptime: int
    ready: bool
    draining: bool
    state: NodeState
    figures: NodeFigures
    point: Point
    wall: float
    limits: dict[str, LimitUse] = {}


class NodeSession(Struct, frozen=True):
    """A node's knowledge of a session, except its state."""

    watchers: list[ConnectionRow]
    history: list[HistoryEntry]
    position: str | None = None


class ThisNode(Service):
    """This node.

    Arguments:
        name: its name.
        backend: the name of its back end.
        shared: whether other nodes keep the same sessions.
        version: its version.
        security: returns the newest security events, at most the given number, oldest first.
    """

    def __init__(
        self,
        name: str,
        sources: Sources,
        hub: Hub,
        metrics: Metrics,
        monitor: Monitor,
        tables: Sequence[ConnectionTable],
        clock: IClock,
        *,
        backend: str,
        shared: bool,
        version: str,
        security: Callable[[int], Sequence[SecurityEvent]],
    ) -> None:
        self.node = name
        self.sources = sources
        self.hub = hub
        self.tables = tables
        self.clock = clock
        self.shared = shared
        self._metrics = metrics
        self._monitor = monitor
        self._backend = backend
        self._version = version
        self._security = security
        self._started = clock.seconds()
        self._ahead = clock.wall() - clock.seconds()
        self._events = 0
        self._history = FigureHistory(self._sample())
        self._recent: deque[tuple[Event, EventOutcome]] = deque(maxlen=RECENT_EVENTS)
        self.observers: list[Callable[[Event, EventOutcome], None]] = []
        self._steps = LoopingCall(lambda: self._history.add(self._sample()))
        self._steps.clock = clock

    def startService(self) -> None:
        """Starts to record figures and events."""
        super().startService()
        self._steps.start(STEP_SECONDS, now=False)
        self.sources.add_tap(self._applied)

    def stopService(self) -> None:
        """Stops recording."""
        super().stopService()
        self._steps.stop()

    @property
    def ahead(self) -> float:
        """The wall clock's lead over the steady clock, seconds; constant until the wall clock is set."""
        ahead = self.clock.wall() - self.clock.seconds()
        if abs(ahead - self._ahead) > 0.01:
            self._ahead = ahead
        return self._ahead

    def report(self) -> NodeReport:
        """The node's present figures."""
        now = self._sample()
        return NodeReport(
            version=self._version,
            uptime=int(self.clock.seconds() - self._started),
            ready=self._monitor.unready is None,
            draining=self._monitor.draining,
            state=self._state(),
            figures=self._history.figures(now),
            point=self._history.point(now),
            limits=now.limits,
            wall=self.clock.wall(),
        )

    def points(self) -> list[Point]:
        """The points of the node's series, oldest first."""
        return list(self._history.points())

    def health(self) -> NodeHealth:
        """The node's newest health reports."""
        return NodeHealth(node=self.node, reports=dict(self._monitor.reports))

    def security_events(self, limit: int) -> list[AuditEntry]:
        """The node's newest security events."""
        return [audit_entry(event, self.node) for event in self._security(limit)]

    def session(self, session_id: UUID) -> NodeSession:
        """The node's knowledge of a session."""
        watchers = [
            self._row(subscriber.inspect())
            for subscriber in self.hub.session_subscribers(session_id)[:MAX_CONNECTIONS]
            if IInspectable.providedBy(subscriber)
        ]
        history = [history_entry(event, outcome) for event, outcome in self._recent if event.session_id == session_id]
        position = self.hub.session_position(session_id)
        return NodeSession(watchers, history[-MAX_HISTORY:], None if position is None else str(position))

    async def connections(self, player_id: UUID | None = None, *, waiting: bool = False) -> list[ConnectionRow]:
        """The connections of a player, or those with waiting messages; yields to the reactor between steps."""
        found: list[ConnectionRow] = []
        for table in self.tables:
            for rows in table.scan(player_id, waiting=waiting):
                found += map(self._row, rows)
                await deferLater(self.clock, 0)
                if len(found) >= MAX_CONNECTIONS:
                    break
        found.sort(key=lambda row: row.waiting_bytes, reverse=True)
        return found[:MAX_CONNECTIONS]

    def disconnect(self, connection: str) -> int:
        """Ends a connection; returns the number of ended connections, 0 or 1.

        Arguments:
            connection: its id without the name of this node.
        """
        kind, _, number = connection.partition(".")
        return sum(table.disconnect(number) for table in self.tables if table.kind == kind)

    def _row(self, row: ConnectionRow) -> ConnectionRow:
        return replace(row, node=self.node, connection=f"{self.node}.{row.connection}")

    def _state(self) -> NodeState:
        sessions, report = self.sources.sessions, self._monitor.reports[HealthOf.CRAFTING_NETWORK]
        source: Any = sessions if ISharedSource.providedBy(sessions) else None
        check = (report.checks or {}).get("sessions")
        return NodeState(
            backend=self._backend,
            shared=self.shared,
            epoch=None if source is None else source.epoch,
            stalled=None if source is None else source.stalled or None,
            response_time_ms=None if check is None else check.response_time,
        )

    def _sample(self) -> Sample:
        metrics = Snapshot(self._metrics.registry.collect())
        tapped = IEventTap.providedBy(self.sources.sessions)
        events = self._events if tapped else metrics.total("craftnet_events_total")
        return Sample.of(metrics, self.clock.seconds(), events, resident_bytes())

    def _applied(self, events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> None:
        """Records events that a source of this node has applied."""
        self._events += len(events)
        self._recent.extend(
            (event, outcome)
            for event, outcome in zip(events, outcomes, strict=True)
            if type(event.data) is not SessionProgress
        )
        for observer in self.observers:
            for event, outcome in zip(events, outcomes, strict=True):
                observer(event, outcome)


def resident_bytes() -> int:
    """The resident memory of this process, in bytes; 0 if the system does not report it."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
