"""Computes the answers of the admin API, which cover all nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from zope.interface import implementer

from craftnet.admin.figures import WINDOWS, Point, merged, merged_point, series, shown
from craftnet.admin.rows import devices, material_rows, queue_rows, queue_search, session_row, session_search, tokens
from craftnet.admin.this_node import MAX_CONNECTIONS, MAX_HISTORY, NodeReport, NodeSession, ThisNode
from craftnet.contract.admin.operations import AdminHealth, AuditEntry, NodeHealth, SecurityEventPage
from craftnet.contract.admin.overview import NodeOverview, Overview, OverviewSeries
from craftnet.contract.admin.sessions import (
    ConnectionRow,
    PlayerDetail,
    QueuePage,
    QueueRow,
    SessionDetail,
    SessionPage,
    SessionRow,
    SlowConsumers,
)
from craftnet.contract.messages import Station, rfc3339
from craftnet.errors import BadRequest, NotFound, no_session
from craftnet.interfaces import IPlayerListener, IPlayerSessions
from craftnet.nodes.node_group import NodeGroup, Question
from craftnet.providers.inspection import IListing

SHOWN_SILENT = 60.0
"""Seconds for which a silent node remains listed."""

REPORT_AGE = 2.5
"""Seconds after which a node that publishes no report is asked for one; reports change every second."""

REPORT: Question[None, NodeReport] = Question("report", None, NodeReport)
POINTS: Question[None, list[Point]] = Question("points", None, list[dict[str, float | None]])
HEALTH: Question[None, NodeHealth] = Question("health", None, NodeHealth)
SECURITY: Question[int, list[AuditEntry]] = Question("security", int, list[AuditEntry])
SESSION: Question[UUID, NodeSession] = Question("session", UUID, NodeSession)
CONNECTIONS: Question[UUID | None, list[ConnectionRow]] = Question("connections", UUID | None, list[ConnectionRow])
"""Asks for the connections of a player; without a player, for those with waiting messages."""


class PageAsked(Struct, frozen=True):
    """A request for a page of a list.

    Attributes:
        search: for sessions.
        station: for queues.
    """

    limit: int
    cursor: str | None = None
    search: str | None = None
    station: Station | None = None


class SessionFound(Struct, frozen=True):
    """A session as a node keeps it."""

    session: SessionDetail | None


SESSIONS: Question[PageAsked, SessionPage] = Question("sessions", PageAsked, SessionPage)
QUEUES: Question[PageAsked, QueuePage] = Question("queues", PageAsked, QueuePage)
STATE: Question[UUID, SessionFound] = Question("state", UUID, SessionFound)


class PlayerState(Struct, frozen=True):
    """The sessions and queues of a player that a node keeps."""

    sessions: list[SessionRow]
    queue: list[QueueRow]


PLAYER: Question[UUID, PlayerState] = Question("player", UUID, PlayerState)


class Views:
    """All answers. Each method may raise `craftnet.errors.Unavailable`.

    Arguments:
        node: this node.
        group: all nodes.
        follow: whether answers are requested every second; other nodes then send them when they change.
    """

    def __init__(self, node: ThisNode, group: NodeGroup, *, follow: bool = False) -> None:
        self._node = node
        self._group = group
        self._ask, self._ask_all = (group.follow, group.follow_all) if follow else (group.ask, group.ask_all)
        self._ask_reports = partial(group.follow_all, max_age=REPORT_AGE) if follow else group.ask_all
        self._last: dict[str, tuple[float, NodeOverview, NodeReport]] = {}
        for question, handler in (
            (REPORT, lambda _, __: node.report()),
            (POINTS, lambda _, __: node.points()),
            (HEALTH, lambda _, __: node.health()),
            (SECURITY, lambda _, limit: node.security_events(limit)),
            (SESSION, lambda _, session_id: node.session(session_id)),
            (CONNECTIONS, lambda _, player_id: node.connections(player_id, waiting=player_id is None)),
            (SESSIONS, lambda _, asked: self._own_sessions(asked)),
            (QUEUES, lambda _, asked: self._own_queues(asked)),
            (STATE, lambda _, session_id: self._own_state(session_id)),
            (PLAYER, lambda _, player_id: self._own_player(player_id)),
        ):
            group.handle(question, handler)

    async def overview(self) -> tuple[Overview, dict[str, float | None]]:
        """Figures of every node and of all nodes together, and the newest point of all series."""
        reports = await self._ask_reports(REPORT, None)
        now = self._node.clock.seconds()
        for name, report in reports.items():
            self._last[name] = now, _node_overview(name, report), report
        self._last = {name: each for name, each in self._last.items() if now - each[0] <= SHOWN_SILENT}
        nodes = [
            overview if name in reports else replace(overview, answering=False)
            for name, (_, overview, _) in sorted(self._last.items())
        ]
        shared, present = self._node.shared, list(reports.values())
        total = merged([report.figures for report in present], shared_sessions=shared)
        overview = Overview(
            timestamp=rfc3339(self._node.clock.wall()), windows=WINDOWS, total=shown(total), nodes=nodes
        )
        return overview, merged_point([report.point for report in present], shared_sessions=shared)

    async def series(self) -> OverviewSeries:
        """The series of all nodes together over the last 15 minutes."""
        points = await self._ask_all(POINTS, None)
        until = self._node.clock.wall()
        return series(list(points.values()), until, shared_sessions=self._node.shared)

    async def health(self) -> AdminHealth:
        """The health reports of all nodes."""
        return AdminHealth(nodes=list((await self._ask_all(HEALTH, None)).values()))

    async def security_events(self, limit: int) -> SecurityEventPage:
        """The newest security events of all nodes, newest first."""
        entries = [entry for each in (await self._ask_all(SECURITY, limit)).values() for entry in each]
        entries.sort(key=lambda entry: entry.timestamp, reverse=True)
        return SecurityEventPage(events=entries[:limit])

    async def sessions(self, asked: PageAsked) -> SessionPage:
        """A page of sessions; raises BadRequest for an invalid search or cursor."""
        session_search(asked.search)
        pages = await self._pages(SESSIONS, asked)
        rows = [row for page in pages.values() for row in page.sessions]
        return SessionPage(sessions=rows, next=_joined({name: page.next for name, page in pages.items()}))

    async def queues(self, asked: PageAsked) -> QueuePage:
        """A page of places in queues; raises BadRequest for an invalid cursor."""
        pages = await self._pages(QUEUES, asked)
        rows = [row for page in pages.values() for row in page.entries]
        rows.sort(key=lambda row: (row.station_type or "", row.queue_position))
        return QueuePage(entries=rows, next=_joined({name: page.next for name, page in pages.items()}))

    async def session(self, session_id: UUID) -> SessionDetail:
        """The details of a session.

        Raises:
            NotFound: the session does not exist.
        """
        found = await self._kept(STATE, session_id)
        detail: SessionDetail | None = next((each.session for each in found if each.session is not None), None)
        if detail is None:
            raise no_session()
        known = (await self._ask_all(SESSION, session_id)).values()
        history = sorted((entry for each in known for entry in each.history), key=lambda entry: entry.timestamp)
        return replace(
            detail,
            watchers=[row for each in known for row in each.watchers][:MAX_CONNECTIONS],
            history=history[-MAX_HISTORY:],
            position=next((each.position for each in known if each.position is not None), None),
        )

    async def player(self, player_id: UUID) -> PlayerDetail:
        """The details of a player."""
        kept = await self._kept(PLAYER, player_id)
        answers = await self._ask_all(CONNECTIONS, player_id)
        connections = [row for rows in answers.values() for row in rows][:MAX_CONNECTIONS]
        sessions = {row.session_id: row for each in kept for row in each.sessions}
        for session_id in dict.fromkeys(row.session_id for row in connections if row.session_id is not None):
            if session_id not in sessions:
                found = [each.session for each in await self._kept(STATE, session_id) if each.session is not None]
                sessions.update((each.session.session_id, each.session) for each in found)
        return PlayerDetail(
            player_id=player_id,
            sessions=list(sessions.values()),
            queue=[row for each in kept for row in each.queue],
            connections=connections,
            tokens=tokens(connections),
            devices=devices(connections),
        )

    async def slow_consumers(self) -> SlowConsumers:
        """The connections with waiting messages."""
        answers = await self._ask_all(CONNECTIONS, None)
        rows = sorted((row for rows in answers.values() for row in rows), key=lambda row: -row.waiting_bytes)
        overview, _ = await self.overview()
        return SlowConsumers(connections=rows[:MAX_CONNECTIONS], closed=overview.total.refusals.get("slow_consumer", 0))

    async def _kept(self, question: Question[UUID, Any], argument: UUID) -> Sequence[Any]:
        """The kept state of a session or a player: from this node if all nodes share it, otherwise from each node."""
        if self._node.shared:
            return [await self._ask(self._group.here, question, argument)]
        return list((await self._ask_all(question, argument)).values())

    async def _pages(self, question: Question[PageAsked, Any], asked: PageAsked) -> Mapping[str, Any]:
        """A page from this node if all nodes share the state, otherwise the share of each node."""
        if not IListing.providedBy(self._node.sources.sessions):
            raise NotFound("The back end of this server cannot list what it keeps: name a session or a player.")
        if self._node.shared or not self._group.others:
            return {"": await self._ask(self._group.here, question, asked)}
        cursors = _split(asked.cursor)
        names = [self._group.here, *self._group.others]
        if cursors is not None:
            names = [name for name in names if name in cursors]
        limit = max(1, asked.limit // max(1, len(names)))
        pages = {}
        for name in names:
            cursor = None if cursors is None else cursors[name]
            pages[name] = await self._ask(name, question, replace(asked, limit=limit, cursor=cursor))
        return pages

    async def _own_sessions(self, asked: PageAsked) -> SessionPage:
        listing: Any = self._node.sources.sessions
        states, after = await listing.page(asked.cursor, asked.limit, session_search(asked.search))
        return SessionPage(sessions=[session_row(state, self._node.ahead) for state in states], next=after)

    async def _own_queues(self, asked: PageAsked) -> QueuePage:
        listing: Any = self._node.sources.queues
        states, after = await listing.page(asked.cursor, asked.limit, queue_search(asked.station))
        return QueuePage(entries=[row for state in states for row in queue_rows(state, asked.station)], next=after)

    async def _own_state(self, session_id: UUID) -> SessionFound:
        sources = self._node.sources
        state = await sources.sessions.get(session_id)
        if state is None:
            return SessionFound(None)
        materials = await sources.materials.get(session_id)
        queue = await sources.queues.get(state.player_id)
        return SessionFound(
            SessionDetail(
                session=session_row(state, self._node.ahead),
                materials=material_rows(materials),
                queue=queue_rows(queue),
                watchers=[],
                history=[],
            )
        )

    async def _own_player(self, player_id: UUID) -> PlayerState:
        sources = self._node.sources
        sessions: list[SessionRow] = []
        if IPlayerSessions.providedBy(sources.sessions):
            under_way = await sources.sessions.watch_player(player_id, _LISTENER)
            sources.sessions.unwatch_player(player_id, _LISTENER)
            for session_id in under_way:
                state = await sources.sessions.get(session_id)
                sessions += [] if state is None else [session_row(state, self._node.ahead)]
        return PlayerState(sessions, queue_rows(await sources.queues.get(player_id)))


@implementer(IPlayerListener)
class _Unconcerned:
    """A listener that ignores later sessions, for a request of the present ones."""

    def session_started(self, session_id: UUID) -> None:
        """As in `IPlayerListener`."""


_LISTENER = _Unconcerned()


def _node_overview(name: str, report: NodeReport) -> NodeOverview:
    return NodeOverview(
        node=name,
        answering=True,
        timestamp=rfc3339(report.wall),
        version=report.version,
        uptime_seconds=report.uptime,
        ready=report.ready,
        draining=report.draining,
        state=report.state,
        figures=shown(report.figures),
        limits=report.limits,
    )


def _joined(cursors: Mapping[str, str | None]) -> str | None:
    """Combines the cursors of all nodes; None when all nodes are at their end."""
    left = {name: cursor for name, cursor in cursors.items() if cursor is not None}
    if not left:
        return None
    return left[""] if "" in left else ",".join(f"{name}={cursor}" for name, cursor in left.items())


def _split(cursor: str | None) -> dict[str, str] | None:
    """Splits a cursor into those of each node; raises BadRequest."""
    if cursor is None:
        return None
    pairs = [part.rpartition("=") for part in cursor.split(",")]
    if not all(name for name, _, _ in pairs):
        raise BadRequest("cursor takes the `next` of another page.")
    return {name: own for name, _, own in pairs}
