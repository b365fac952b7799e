"""The tables of a recording, and the rows that an observation becomes. Pure.

A row contains no id of a player or of a session, only pseudonyms, and no address and no text that people wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, Protocol, get_args, get_origin, get_type_hints
from uuid import UUID

from msgspec import Struct

from craftnet.contract.events import (
    MaterialsUpdate,
    QueueUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
    SessionStart,
)
from craftnet.contract.messages import Station, Status

Time = Annotated[int, "timestamp(ms, UTC)"]
"""Milliseconds since 1970, UTC."""

Pseudonym = Annotated[bytes, "binary(16)"]
"""16 bytes; see `craftnet.recording.keys`."""

Text = Annotated[str, "string"]
Number = Annotated[float, "double"]
Count = Annotated[int, "int32"]

OTHER = "other"
"""Replaces a reason that the authority wrote as text, which is not recorded."""

CANCELLED = "cancelled:"
"""Begins the reason of a report about a session that was cancelled."""

FAIL_REASONS = frozenset(get_args(get_type_hints(SessionFail)["failure_reason"]))
CANCEL_REASONS = frozenset(get_args(get_type_hints(SessionCancel)["cancel_reason"]))


class PathSample(Struct, frozen=True, gc=False):
    """The network path of one connection at one moment.

    Attributes:
        region: the region of the node; None: it has none.
        transport: "websocket", "sse" or "udp".
        round_trip: smoothed, seconds.
        loss: share of what was sent lately that was lost, 0 to 1.
        jitter: of the arrival of heartbeats, seconds (RFC 3550); None over TCP.
    """

    region: str | None
    transport: str
    round_trip: float
    loss: float
    jitter: float | None = None


class SessionStep(Struct, frozen=True, kw_only=True, gc=False):
    """One step in the history of a crafting session."""

    time: Time
    """When it became true, by the authority's clock."""
    session: Pseudonym
    """The session; the same in all rows of one period."""
    event: Text
    """`start`, `progress`, `pause`, `resume`, `complete`, `fail` or `cancel`."""
    player: Pseudonym | None = None
    """The owner, of a `start`; the same in all rows of one period."""
    recipe: Text | None = None
    """Id of the recipe, of a `start`."""
    estimated_seconds: Number | None = None
    """Seconds that the authority expects the craft to take, of a `start`."""
    percent: Number | None = None
    """Share of the craft that is done, 0 to 100, of a `progress`."""
    remaining_seconds: Number | None = None
    """Seconds that the craft still takes, of a `progress` or a `resume`."""
    status: Text | None = None
    """`active`, `paused` or `interrupted`, of a `progress`."""
    quality: Count | None = None
    """Quality reached, 1 to 100, of a `progress`."""
    target_quality: Count | None = None
    """Quality that the craft aims at, 1 to 100, of a `progress`."""
    item_quality: Text | None = None
    """Quality of the item in the game's words, of a `complete`."""
    reason: Text | None = None
    """Reason of a `pause`, a `fail` or a `cancel`; `other` for a text that the authority wrote."""


class QueueStep(Struct, frozen=True, kw_only=True, gc=False):
    """One step of a player's waiting for a station."""

    time: Time
    """When it became true, by the authority's clock."""
    place: Pseudonym
    """A player's place in the queue of a station; the same in all rows of one period, also when the player waits for
    the station again."""
    event: Text
    """`queue_position`, `priority_boost`, `station_available` or `queue_timeout`; the last two end the waiting."""
    station: Text | None = None
    """Kind of station."""
    position: Count
    """Place in the queue; 1 is next."""
    total: Count | None = None
    """Players in the queue."""
    estimated_wait_seconds: Number | None = None
    """Seconds until the authority expects the station to be free."""


class ShortageRow(Struct, frozen=True, kw_only=True, gc=False):
    """A shortage of a material, or its end."""

    time: Time
    """When it became true, by the authority's clock."""
    session: Pseudonym
    """The session, as in `sessions`."""
    material: Text
    """Id of the material."""
    event: Text
    """`insufficient_quantity`, `quality_too_low`, `material_unavailable` or `material_restored`."""
    required_quantity: Count | None = None
    """Pieces that the craft requires."""
    available_quantity: Count | None = None
    """Pieces that are available."""
    required_quality: Count | None = None
    """Least quality that the craft requires, 1 to 100."""
    available_quality: Count | None = None
    """Quality that is available, 1 to 100."""


class PathRow(Struct, frozen=True, kw_only=True, gc=False):
    """A sample of one connection's network path."""

    time: Time
    """When it was taken."""
    region: Text | None = None
    """Region of the node (`--region`)."""
    transport: Text
    """`udp`, `websocket` or `sse`. Over TCP, the path ends at a proxy, if there is one."""
    round_trip_ms: Number
    """Smoothed round trip, milliseconds."""
    jitter_ms: Number | None = None
    """Jitter of the heartbeats' arrival, milliseconds (RFC 3550); of UDP only."""
    loss: Number
    """Share of the last datagrams that were lost, or of TCP segments that were sent again, 0 to 1."""


Row = SessionStep | QueueStep | ShortageRow | PathRow

TABLES: dict[str, type[Row]] = {
    "sessions": SessionStep,
    "queues": QueueStep,
    "materials": ShortageRow,
    "network": PathRow,
}
"""The tables, by the names of their folders."""

TABLE_OF = {row: name for name, row in TABLES.items()}


class Column(NamedTuple):
    """A column: its name, its type as Parquet's users call it, and whether a row may be without a value."""

    name: str
    type: str
    optional: bool


def columns(table: type[Row]) -> Iterator[Column]:
    """The columns of a table."""
    for name, hint in get_type_hints(table, include_extras=True).items():
        kinds = [each for each in get_args(hint) if get_origin(each) is Annotated]
        (kind,) = kinds or (hint,)
        yield Column(name, str(get_args(kind)[1]), bool(kinds))


class Names(Protocol):
    """The pseudonyms of one period."""

    def player(self, player_id: UUID) -> bytes:
        """The pseudonym of a player."""

    def session(self, session_id: UUID) -> bytes:
        """The pseudonym of a session."""

    def place(self, player_id: UUID, entry: str) -> bytes:
        """The pseudonym of a player's place in a queue.

        Arguments:
            entry: what distinguishes it from the player's other places: the waiting session, or else the station.
        """


def rows_of(data: Any, when: float, names: Names) -> tuple[Row, ...]:
    """The rows of an observation.

    Arguments:
        data: the data of an event, or a `PathSample`.
        when: when it became true, Unix seconds.
    """
    time = round(when * 1000)
    match data:
        case QueueUpdate():
            return (_queue_row(data, time, names),)
        case MaterialsUpdate():
            session = names.session(data.session_id)
            return tuple(
                ShortageRow(
                    time=time,
                    session=session,
                    material=str(notice.material_id),
                    event=notice.notification_type.value,
                    required_quantity=notice.required_quantity,
                    available_quantity=notice.available_quantity,
                    required_quality=notice.required_quality,
                    available_quality=notice.available_quality,
                )
                for notice in data.notifications
            )
        case PathSample():
            return (
                PathRow(
                    time=time,
                    region=data.region,
                    transport=data.transport,
                    round_trip_ms=data.round_trip * 1000,
                    jitter_ms=None if data.jitter is None else data.jitter * 1000,
                    loss=data.loss,
                ),
            )
    return (_session_row(data, time, names),)


def _queue_row(data: QueueUpdate, time: int, names: Names) -> QueueStep:
    station: Station | None = data.station_type
    return QueueStep(
        time=time,
        place=names.place(data.player_id, str(data.session_id or station or "")),
        event=data.type.value,
        station=None if station is None else station.value,
        position=data.queue_position,
        total=data.total_in_queue,
        estimated_wait_seconds=data.estimated_wait_seconds,
    )


def _session_row(data: Any, time: int, names: Names) -> SessionStep:
    session = names.session(data.session_id)
    match data:
        case SessionProgress():
            return _progress_row(data, time, session)
        case SessionStart():
            return SessionStep(
                time=time,
                session=session,
                event="start",
                player=names.player(data.player_id),
                recipe=str(data.recipe_id),
                estimated_seconds=data.estimated_duration_seconds,
            )
        case SessionPause():
            return SessionStep(time=time, session=session, event="pause", reason=data.pause_reason)
        case SessionResume():
            remaining = data.remaining_duration_seconds
            return SessionStep(time=time, session=session, event="resume", remaining_seconds=remaining)
        case SessionComplete():
            return SessionStep(time=time, session=session, event="complete", item_quality=data.quality)
        case SessionFail():
            return SessionStep(time=time, session=session, event="fail", reason=data.failure_reason)
        case SessionCancel():
            return SessionStep(time=time, session=session, event="cancel", reason=data.cancel_reason)
        case _:
            raise TypeError(f"{type(data).__name__} is no observation")


def _progress_row(data: SessionProgress, time: int, session: bytes) -> SessionStep:
    """The row of a report; a report of the end is an end."""
    if data.status is Status.COMPLETED:
        return SessionStep(time=time, session=session, event="complete")
    if data.status is Status.FAILED:
        event, reason = _end(data.failure_reason or "")
        return SessionStep(time=time, session=session, event=event, reason=reason)
    return SessionStep(
        time=time,
        session=session,
        event="progress",
        percent=data.progress_percentage,
        remaining_seconds=data.remaining_time_seconds,
        status=data.status.value,
        quality=data.current_quality,
        target_quality=data.target_quality,
    )


def _end(reason: str) -> tuple[str, str]:
    """The event and the reason of a reported failure, whose reason may be any text."""
    cancelled = reason.removeprefix(CANCELLED)
    if cancelled != reason:
        return "cancel", cancelled if cancelled in CANCEL_REASONS else OTHER
    return "fail", reason if reason in FAIL_REASONS else OTHER
