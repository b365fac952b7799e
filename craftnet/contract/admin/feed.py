"""Messages of the admin feed, `/ws/admin`: what a client asks for, and what the server pushes."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from msgspec import Meta, Struct

from craftnet.contract.admin.overview import AdminInfo, Count, Overview, OverviewSeries
from craftnet.contract.messages import Natural, Station, Time

View = Literal["sessions", "session", "queues", "player", "slow-consumers", "security-events", "health"]
"""The views to which a client can subscribe; each has the data of the GET route of the same name."""

Name = Annotated[str, Meta(min_length=1, max_length=64)]

MAX_LIMIT = 100
"""Most rows of a page."""

DEFAULT_LIMIT = 50


class Subscribe(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="subscribe", tag_field="type"):
    """A client subscribes to a view. A second one with the same `id` replaces the first."""

    id: Name
    """The client's name for the subscription, which everything about it repeats."""
    view: View
    """What to watch."""
    session_id: UUID | None = None
    """The session, for `session`."""
    player_id: UUID | None = None
    """The player, for `player`."""
    search: str | None = None
    """For `sessions`, as in the route."""
    station_type: Station | None = None
    """For `queues`, as in the route."""
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    """For pages, as in the route."""
    cursor: str | None = None
    """For pages, as in the route."""


class TraceRequest(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="trace", tag_field="type"):
    """A client subscribes to the live trace of a session, or to all events."""

    id: Name
    """The client's name for the subscription."""
    session_id: UUID | None = None
    """The session; without one, every event of all sessions comes, and nothing that is sent."""


class Unsubscribe(Struct, frozen=True, kw_only=True, tag="unsubscribe", tag_field="type"):
    """A client ends a subscription or a trace. Nothing with this `id` follows; an unknown one is ignored."""

    id: Name
    """The subscription."""


AdminRequest = Subscribe | TraceRequest | Unsubscribe
"""What a client sends."""


class AdminHello(Struct, frozen=True, kw_only=True, tag="hello", tag_field="type"):
    """The first message of every feed."""

    timestamp: Time
    """When it was made."""
    info: AdminInfo
    """What the bearer of the token may do."""


class SeriesMessage(Struct, frozen=True, kw_only=True, tag="series", tag_field="type"):
    """The second message of every feed: the last 15 minutes. It comes again when nodes come or go."""

    timestamp: Time
    """When it was made."""
    series: OverviewSeries
    """As `GET /admin/series` answers."""


class OverviewMessage(Struct, frozen=True, kw_only=True, tag="overview", tag_field="type"):
    """What every node does now, once a second."""

    timestamp: Time
    """When it was made."""
    overview: Overview
    """As `GET /admin/overview` answers."""
    point: dict[str, float | None]
    """The newest value of each series, whose step is not complete yet."""


class ViewMessage(Struct, frozen=True, kw_only=True, tag="view", tag_field="type"):
    """A view, at once and, within a second, whenever it is another than before."""

    id: Name
    """The subscription."""
    timestamp: Time
    """When it was made."""
    view: View
    """What it is a view of."""
    data: Any
    """The whole view, as the GET route of the same name answers."""


class TraceEntry(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One event in, or one frame or datagram out."""

    timestamp: Time
    """When, on the clock of the node."""
    node: str
    """Where."""
    direction: Literal["in", "out"]
    """`in`: from the authority; `out`: to a client."""
    kind: Literal["event", "frame", "stream", "datagram"]
    """An event; frames of a WebSocket; events of an event stream; a UDP datagram."""
    bytes: Natural
    """Its size: as written, without TLS, and without the headers of TCP, UDP and IP. 0 for an event that came in a
    batch."""
    name: str
    """Type of the event, of the messages, or of the datagram."""
    connection: str | None = None
    """The connection that it goes to, as in `ConnectionRow`."""
    transport: str | None = None
    """The transport of that connection."""
    encoding: str | None = None
    """How it is encoded, as in `ConnectionRow`."""
    outcome: str | None = None
    """What became of an event: `accepted`, `duplicate`, or `rejected: ` and why."""
    waits: bool = False
    """Whether it waits until the client reads, and may be replaced by a newer one."""
    content: Any = None
    """What it says, decoded."""


class TraceMessage(Struct, frozen=True, kw_only=True, tag="trace", tag_field="type"):
    """What happened to a traced session since the last message, four times a second at most."""

    id: Name
    """The subscription."""
    timestamp: Time
    """When it was made."""
    entries: list[TraceEntry]
    """In order on each node; at most 100."""
    dropped: Count
    """Entries that were left out because there were too many."""


class AdminError(Struct, frozen=True, omit_defaults=True, kw_only=True, tag="error", tag_field="type"):
    """A request was refused, or a view cannot be shown now. A view that fails for a time comes again by itself."""

    timestamp: Time
    """When it was made."""
    code: Annotated[int, Meta(ge=100, le=599)]
    """As the HTTP status of the route: 400, 404, 429, 503."""
    message: str
    """What was wrong and what is expected, in English."""
    id: Name | None = None
    """The subscription; absent when the message could not be read."""


AdminMessage = AdminHello | SeriesMessage | OverviewMessage | ViewMessage | TraceMessage | AdminError
"""What the server sends."""
