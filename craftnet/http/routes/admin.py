"""The admin API: `/admin` and the views below it; `craftnet.http.routes.admin_actions` has the actions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated
from uuid import UUID

from msgspec import Meta, Struct

from craftnet.access.authorization import Asked, Authorization, check_may_administer
from craftnet.access.principal import Principal
from craftnet.admin.actions import OperatorActions
from craftnet.admin.views import PageAsked, Views
from craftnet.contract.admin.feed import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    AdminError,
    AdminHello,
    OverviewMessage,
    SeriesMessage,
    Subscribe,
    TraceMessage,
    TraceRequest,
    Unsubscribe,
    ViewMessage,
)
from craftnet.contract.admin.operations import (
    AdminHealth,
    Configuration,
    SecurityEventPage,
)
from craftnet.contract.admin.overview import AdminInfo, Overview, OverviewSeries
from craftnet.contract.admin.sessions import PlayerDetail, QueuePage, SessionDetail, SessionPage, SlowConsumers
from craftnet.contract.messages import Station
from craftnet.errors import BadRequest, UpgradeRequired
from craftnet.http.exchange import Call, Endpoint, GuardedEndpoint, Response, json_response
from craftnet.http.operations import FAILURES, Answer, ApiOperation, Channel, Message, Parameter, Tag, by_method
from craftnet.http.routes.admin_actions import admin_actions
from craftnet.interfaces import IAuditLog

_SENT = (
    (AdminHello, "The rights of the token: the first message."),
    (SeriesMessage, "The last 15 minutes."),
    (OverviewMessage, "The present figures of every node."),
    (ViewMessage, "A view that the client subscribed to."),
    (TraceMessage, "Entries of a traced session."),
    (AdminError, "A request was refused."),
)
_RECEIVED = (
    (Subscribe, "Subscribes to a view."),
    (TraceRequest, "Traces a session."),
    (Unsubscribe, "Ends a subscription or a trace."),
)

_LIMIT = Parameter("limit", Annotated[int, Meta(ge=1, le=MAX_LIMIT)], "Maximum number of rows.")
_CURSOR = Parameter("cursor", str, "The start of the page: the `next` of another page.")
_SEARCH = Parameter("search", str, "A UUID, or its first digits: of a session, a player or a recipe.")
_STATION = Parameter("station_type", Station, "The kind of station.")


def _shows(name: str, summary: str, kind: type[Struct], *parameters: Parameter) -> ApiOperation:
    return ApiOperation(name, summary, Tag.OPERATIONS, {200: Answer(f"{summary}.", kind)}, "", parameters)


class AdminView(GuardedEndpoint[Asked]):
    """A route that shows something.

    Arguments:
        read: parses the request; raises BadRequest.
        view: the answer.
    """

    def __init__(
        self,
        admission: Authorization,
        read: Callable[[Call], Asked],
        view: Callable[[Asked], Awaitable[Struct]],
    ) -> None:
        super().__init__(admission)
        self._read = read
        self._view = view

    def read(self, call: Call) -> Asked:
        """Parses the ids and the query."""
        return self._read(call)

    async def decide(self, call: Call, principal: Principal, asked: Asked) -> Response:
        """The view, for administrators."""
        check_may_administer(principal)
        return json_response(await self._view(asked))


class AdminHome(GuardedEndpoint[None]):
    """`/admin`: the rights of this token."""

    operations = by_method(GET=_shows("adminInfo", "The rights of this token", AdminInfo))

    def __init__(self, admission: Authorization, actions: OperatorActions) -> None:
        super().__init__(admission)
        self._actions = actions

    def read(self, call: Call) -> None:
        """There is nothing to parse."""

    async def decide(self, call: Call, principal: Principal, asked: None) -> Response:
        """The answer depends on the token."""
        check_may_administer(principal)
        return json_response(self._actions.info(principal))


class AdminFeedInfo(GuardedEndpoint[None]):
    """`/ws/admin` for a request that does not open the feed."""

    operations = by_method(
        GET=ApiOperation(
            "adminFeed",
            "The feed of administrators",
            Tag.OPERATIONS,
            {101: Answer("The feed begins."), 426: FAILURES[426]},
            channel=Channel(
                "admin",
                "ws",
                "The figures of every node, once a second, and the views to which a client subscribes.",
                sends=tuple(Message(kind, summary) for kind, summary in _SENT),
                receives=tuple(Message(kind, summary) for kind, summary in _RECEIVED),
            ),
        )
    )

    def read(self, call: Call) -> None:
        """There is nothing to parse."""

    async def decide(self, call: Call, principal: Principal, asked: None) -> Response:
        """426, for administrators."""
        check_may_administer(principal)
        raise UpgradeRequired


def admin_routes(
    admission: Authorization,
    views: Views,
    actions: OperatorActions,
    audit: IAuditLog,
    configuration: Callable[[], Configuration],
) -> dict[str, Endpoint]:
    """The routes of the admin API, by path."""

    async def configured(_: None) -> Struct:
        return configuration()

    return {
        "/admin": AdminHome(admission, actions),
        "/ws/admin": AdminFeedInfo(admission),
        **_view_routes(partial(_view, admission), views),
        "/admin/configuration": _view(
            admission,
            _shows("adminConfiguration", "The options, secrets masked", Configuration),
            _nothing,
            configured,
        ),
        **admin_actions(admission, actions, audit),
    }


def _view(
    admission: Authorization,
    operation: ApiOperation,
    read: Callable[[Call], Asked],
    view: Callable[[Asked], Awaitable[Struct]],
) -> Endpoint:
    """The endpoint of a view. Each has a class of its own, because the API documents describe classes."""
    kind: type[AdminView[Asked]] = type(operation.id, (AdminView,), {"operations": by_method(GET=operation)})
    return kind(admission, read, view)


def _view_routes(view: Callable[..., Endpoint], views: Views) -> dict[str, Endpoint]:
    async def overview(_: None) -> Struct:
        return (await views.overview())[0]

    return {
        "/admin/overview": view(
            _shows("adminOverview", "The present figures of every node", Overview), _nothing, overview
        ),
        "/admin/series": view(
            _shows("adminSeries", "The last 15 minutes", OverviewSeries), _nothing, lambda _: views.series()
        ),
        "/admin/sessions": view(
            _shows("adminSessions", "Sessions, page by page", SessionPage, _SEARCH, _LIMIT, _CURSOR),
            _page,
            views.sessions,
        ),
        "/admin/sessions/{session_id}": view(
            _shows("adminSession", "A session and its watchers", SessionDetail),
            partial(_id, "session_id"),
            views.session,
        ),
        "/admin/queues": view(
            _shows("adminQueues", "Places in queues, page by page", QueuePage, _STATION, _LIMIT, _CURSOR),
            _page,
            views.queues,
        ),
        "/admin/players/{player_id}": view(
            _shows("adminPlayer", "A player's sessions, connections and tokens", PlayerDetail),
            partial(_id, "player_id"),
            views.player,
        ),
        "/admin/slow-consumers": view(
            _shows("adminSlowConsumers", "Connections for which something waits", SlowConsumers),
            _nothing,
            lambda _: views.slow_consumers(),
        ),
        "/admin/security-events": view(
            _shows("adminSecurityEvents", "The newest security events", SecurityEventPage, _LIMIT),
            _limit,
            views.security_events,
        ),
        "/admin/health": view(
            _shows("adminHealth", "The health of every node", AdminHealth), _nothing, lambda _: views.health()
        ),
    }


def _nothing(_: Call) -> None:
    """A request without parameters."""


def _id(name: str, call: Call) -> UUID:
    return call.identifier(name)


def _limit(call: Call) -> int:
    text = _optional(call, "limit")
    if text is None:
        return DEFAULT_LIMIT
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and 1 <= int(text) <= MAX_LIMIT):
        raise BadRequest(f"limit takes a whole number from 1 to {MAX_LIMIT}, got {text!r}.")
    return int(text)


def _page(call: Call) -> PageAsked:
    station = _optional(call, "station_type")
    if station is not None and station not in list(Station):
        raise BadRequest(f"station_type takes one of {', '.join(Station)}.")
    return PageAsked(
        _limit(call),
        _optional(call, "cursor"),
        _optional(call, "search"),
        None if station is None else Station(station),
    )


def _optional(call: Call, name: str) -> str | None:
    """A query parameter that may occur once."""
    return call.one(name) if call.query.get(name) else None
