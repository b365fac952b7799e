"""Answers of the admin API about sessions, connections, queues and players."""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta, Struct

from craftnet.contract.admin.overview import Amount, Count, Ratio
from craftnet.contract.messages import MaterialNotification, Natural, Positive, Quality, Station, Status, Time


class CraftProgress(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A craft's progress as a function of time: at `at` it was at `percent`, and advances linearly while it is active.

    At a later time t it is at `percent + (100 - percent) * (t - at) / remaining_seconds`, at most 100.
    """

    status: Status
    """State of the session."""
    at: Time
    """The moment that the other figures are about."""
    percent: Annotated[float, Meta(ge=0, le=100)]
    """Share of the craft that was done, with fractions."""
    remaining_seconds: Amount | None = None
    """Seconds that it still took; absent when unknown: then the bar stands."""
    quality: Quality | None = None
    """Quality reached."""
    target_quality: Quality | None = None
    """Quality that the craft aims at."""
    failure_reason: str | None = None
    """Why a failed craft failed."""


class SessionRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A crafting session in a list."""

    session_id: UUID
    """The session."""
    player_id: UUID
    """Its owner."""
    recipe_id: UUID | None = None
    """What is crafted, if known."""
    changes: Natural
    """Number of changes so far."""
    progress: CraftProgress
    """How far it is."""


class SessionPage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `GET /admin/sessions`."""

    sessions: list[SessionRow]
    """Sessions that match, at most `limit`."""
    next: str | None = None
    """The `cursor` of the next page; absent at the end. A page may be short, even empty, and still have a next one."""


class ConnectionRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An open connection, and what it watches."""

    connection: str
    """Its id, which `POST /admin/connections/{connection}/disconnect` takes."""
    node: str
    """Where it is open."""
    transport: str
    """`websocket`, `sse` or `udp`."""
    feed: str
    """What it watches: `crafting`, `queue`, `player`, `health` or `admin`."""
    encoding: str
    """The subprotocol, or `sse`, or `udp`; with ` + ` and the algorithm where datagrams are compressed."""
    address: str
    """The client's network, never its address: /24 of IPv4, /48 of IPv6; `unix` for a local proxy."""
    expires: Time
    """When its token expires."""
    session_id: UUID | None = None
    """The session that it watches."""
    player_id: UUID | None = None
    """The player whose token it has; absent for a service."""
    client: str | None = None
    """What the client calls itself: User-Agent, or the version that it connects with over UDP."""
    token_id: str | None = None
    """The `jti` of its token."""
    issued: Time | None = None
    """When its token was issued, if it says so."""
    scopes: list[str] = []
    """The scopes of its token."""
    round_trip_ms: Amount | None = None
    """Smoothed round trip: of UDP, or of TCP as the kernel measures it."""
    loss: Ratio | None = None
    """Share of the last datagrams to the client that were lost; of TCP, the share of segments sent again."""
    waiting_updates: Natural = 0
    """Updates that wait until the client reads."""
    waiting_bytes: Count = 0
    """Bytes that wait, in the server and in its socket."""
    lag_seconds: Amount | None = None
    """Seconds since the oldest update that waits was made; absent when nothing waits or it is not known."""


class MaterialRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A material of a session."""

    material_id: UUID
    """The material."""
    quantity: Natural
    """Pieces."""
    quality: Quality | None = None
    """Quality, if known."""
    problem: MaterialNotification | None = None
    """What is wrong with it now."""


class QueueRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A player's place in the queue of a station."""

    player_id: UUID
    """The player who waits."""
    queue_position: Positive
    """Place in the queue; 1 is next."""
    since: Time
    """When it became true."""
    station_type: Station | None = None
    """The kind of station."""
    total_in_queue: Positive | None = None
    """Players in the queue."""
    estimated_wait_seconds: Natural | None = None
    """Seconds until the station is expected to be free."""
    jump_queue_cost: int | None = None
    """Price of the first place, as the authority states it."""
    session_id: UUID | None = None
    """The craft that waits."""


class HistoryEntry(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Something that happened to a session lately."""

    timestamp: Time
    """When it reached the server."""
    kind: Literal["event", "materials", "queue"]
    """An event of the authority, or a change that subscribers received."""
    text: str
    """What happened, in English."""
    version: Natural | None = None
    """The version of the materials or of the queue that it led to."""


class SessionDetail(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `GET /admin/sessions/{session_id}`."""

    session: SessionRow
    """The session, and its model."""
    materials: list[MaterialRow]
    """Its materials, in the order in which they were first named."""
    queue: list[QueueRow]
    """The places in which its owner waits."""
    watchers: list[ConnectionRow]
    """The connections that watch it, on all nodes; at most 200."""
    history: list[HistoryEntry]
    """What happened lately, the oldest first; at most 100."""
    position: str | None = None
    """Position of its feed, as `?resume=` takes it; absent while it has no watcher on the node that answers."""


class QueuePage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Answer of `GET /admin/queues`."""

    entries: list[QueueRow]
    """Places, by station and position within the page; at most `limit`."""
    next: str | None = None
    """The `cursor` of the next page; absent at the end. As of `SessionPage`."""


class TokenRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A token with which a player has open connections."""

    connections: Natural
    """Number of them."""
    expires: Time
    """When it expires."""
    scopes: list[str]
    """Its scopes."""
    token_id: str | None = None
    """Its `jti`, by which it can be revoked; absent when it has none: then revoke the player's tokens."""
    issued: Time | None = None
    """Its `iat`."""


class DeviceRow(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Connections of a player that have the client and the network in common: probably one device."""

    address: str
    """The network, as in `ConnectionRow`."""
    connections: Natural
    """Number of connections."""
    transports: list[str]
    """Their transports."""
    client: str | None = None
    """What the client calls itself."""


class PlayerDetail(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin/players/{player_id}`. A player of whom nothing is known has empty lists."""

    player_id: UUID
    """The player."""
    sessions: list[SessionRow]
    """Sessions that the player's connections watch, and, where the back end knows them, all that are under way."""
    queue: list[QueueRow]
    """Places in queues."""
    connections: list[ConnectionRow]
    """Open connections on all nodes; at most 200."""
    tokens: list[TokenRow]
    """The tokens of these connections."""
    devices: list[DeviceRow]
    """The devices that they seem to come from."""


class SlowConsumers(Struct, frozen=True, kw_only=True):
    """Answer of `GET /admin/slow-consumers`."""

    connections: list[ConnectionRow]
    """Connections for which something waits, the largest backlog first; at most 200."""
    closed: Count
    """Connections that were closed with 4008 in the last 15 minutes."""
