"""The public contract's schemas: the values that reach clients, and the JSON they travel as.

Everything here is frozen; decoding validates types and ranges, and a wrong value raises `msgspec.ValidationError`,
whose text names the field. Optional fields that are not set are left out of the JSON.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Generic, Literal, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

Percent = Annotated[int, Meta(ge=0, le=100)]
Quality = Annotated[int, Meta(ge=1, le=100)]
Natural = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Version = Annotated[int, Meta(ge=0)]
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME_OF_DAY = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
Time = Annotated[str, Meta(pattern=rf"\A{_DATE}[Tt]{_TIME_OF_DAY}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})\Z")]
"""RFC 3339. Text, because what we send is only ever written, and to the millisecond."""


MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises on octets that are not the JSON wanted; the last when they are nested without end."""

_T = TypeVar("_T")


class JsonDecoder(Generic[_T]):
    """Decodes JSON as a type, strictly, but for one thing: an integer may be written ``3.0``, as in JSON Schema.

    Arguments:
        kind: what msgspec decodes into.
    """

    def __init__(self, kind: type[_T]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def decode(self, octets: bytes | msgspec.Raw) -> _T:
        """The value; raises one of `MALFORMED`."""
        try:
            return self._decoder.decode(octets)
        except msgspec.ValidationError:
            # Rare, and what is wrong may be no more than that. A second look costs those nothing who write integers.
            return msgspec.convert(_with_integers(msgspec.json.decode(octets)), self._kind)


def _with_integers(value: object) -> object:
    """The same JSON value, its whole numbers as int. (Where a float is wanted, msgspec takes an int, too.)"""
    if isinstance(value, float):
        return int(value) if value.is_integer() else value
    if isinstance(value, dict):
        return {name: _with_integers(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_integers(item) for item in value]
    return value


class Status(StrEnum):
    """State of a crafting session."""

    ACTIVE = "active"
    """The craft advances by itself."""
    PAUSED = "paused"
    """Progress stands still until the craft is resumed."""
    INTERRUPTED = "interrupted"
    """Progress stands still because of a fault."""
    COMPLETED = "completed"
    """The craft is done. Terminal."""
    FAILED = "failed"
    """The craft failed or was cancelled. Terminal."""

    terminal: bool
    """Whether nothing can follow."""

    def __init__(self, text: str) -> None:
        self.terminal = text in ("completed", "failed")


class Station(StrEnum):
    """Kinds of crafting station."""

    BASIC_WORKBENCH = "basic_workbench"
    """Basic workbench."""
    ADVANCED_WORKBENCH = "advanced_workbench"
    """Advanced workbench."""
    CYBERWARE_STATION = "cyberware_station"
    """Station for cyberware."""
    VEHICLE_BAY = "vehicle_bay"
    """Bay for vehicles."""
    LABORATORY = "laboratory"
    """Laboratory."""


class MaterialProblem(StrEnum):
    """What a material notification says."""

    INSUFFICIENT_QUANTITY = "insufficient_quantity"
    """Less is available than the craft requires."""
    QUALITY_TOO_LOW = "quality_too_low"
    """What is available is poorer than the craft requires."""
    MATERIAL_UNAVAILABLE = "material_unavailable"
    """Nothing is available."""
    MATERIAL_RESTORED = "material_restored"
    """The problem that was reported before is resolved."""


class ChangeType(StrEnum):
    """What happened to one of a session's materials."""

    ADDED = "added"
    """The session has a material that it did not have."""
    REMOVED = "removed"
    """The session no longer has the material."""
    QUANTITY_CHANGED = "quantity_changed"
    """Another quantity is left."""
    QUALITY_CHANGED = "quality_changed"
    """The material has another quality."""


class QueueMessageType(StrEnum):
    """What a queue message says."""

    QUEUE_POSITION = "queue_position"
    """The player has this place in the queue."""
    STATION_AVAILABLE = "station_available"
    """The player's station is free; the place in the queue ends."""
    PRIORITY_BOOST = "priority_boost"
    """The player moved forward out of turn."""
    QUEUE_TIMEOUT = "queue_timeout"
    """The place in the queue expired."""


class HealthStatus(StrEnum):
    """How well something is, in order of alarm."""

    OK = "ok"
    """Works."""
    DEGRADED = "degraded"
    """Works with restrictions."""
    CRITICAL = "critical"
    """Does not work."""


class Service(StrEnum):
    """The services whose health can be asked for."""

    CRAFTING_NETWORK = "crafting-network"
    """craftnet itself."""
    CRAFTING_SERVICE = "crafting-service"
    """The crafting authority."""
    REAL_TIME_COMBAT = "real-time-combat"
    """The combat service."""


class CraftingProgressData(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Progress of one craft."""

    session_id: UUID
    """The crafting session."""
    progress_percentage: Percent
    """Share of the craft that is done, in percent, rounded down."""
    status: Status
    """State of the session."""
    remaining_time_seconds: Natural | None = None
    """Seconds until an active craft is at 100 %, rounded up; absent when unknown."""
    current_quality: Quality | None = None
    """Quality reached so far; absent when unknown."""
    target_quality: Quality | None = None
    """Quality that the craft aims at; absent when unknown."""
    failure_reason: str | None = None
    """Why a failed craft failed; `cancelled:` and the cancel reason for a cancelled craft."""
    expected_seconds_p50: Natural | None = None
    """Seconds that an active craft still takes by what was learned from crafts like it, rounded up: half take no
    longer. Only with `--learn-progress`, and only where that has proved better than `remaining_time_seconds`."""
    expected_seconds_p90: Natural | None = None
    """The same: nine in ten take no longer. Present together with `expected_seconds_p50`."""


class MaterialNotification(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A problem with one material of a session, or the end of one."""

    material_id: UUID
    """The material."""
    notification_type: MaterialProblem
    """What is wrong with it, or that it is fine again."""
    required_quantity: Positive | None = None
    """Pieces that the craft requires."""
    available_quantity: Natural | None = None
    """Pieces that are available."""
    required_quality: Quality | None = None
    """Least quality that the craft requires."""
    available_quality: Quality | None = None
    """Quality that is available."""


class MaterialChange(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One change of one material; quantities and qualities are absolute."""

    material_id: UUID
    """The material."""
    change_type: ChangeType
    """What happened to it."""
    new_quantity: Natural | None = None
    """Pieces after the change; required for `added` and `quantity_changed`."""
    new_quality: Quality | None = None
    """Quality after the change; required for `quality_changed`."""


class QueueStatusData(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A player's place in the queue of one station."""

    player_id: UUID
    """The player who waits."""
    queue_position: Positive
    """Place in the queue; 1 is next."""
    total_in_queue: Positive | None = None
    """Players in the queue."""
    estimated_wait_seconds: Natural | None = None
    """Seconds until the station is expected to be free."""
    station_type: Station | None = None
    """The kind of station that the queue is for."""
    can_jump_queue: bool | None = None
    """Whether the player may pay for moving forward."""
    jump_queue_cost: int | None = None
    """Price of moving forward, in the game's currency."""


CraftingMessageType = Literal[
    "progress_update", "material_notification", "queue_status", "crafting_complete", "crafting_failed"
]
"""What a message of a crafting feed says."""


class WebSocketCraftingMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message of a crafting feed.

    `epoch` and `version` are its position. The answer to `?resume=` has the type `queue_status`, `recovered` and no
    data; a heartbeat has the type `progress_update` and no data.
    """

    type: CraftingMessageType
    """What the message says."""
    session_id: UUID
    """The session that the feed is about."""
    timestamp: Time
    """When the message was made, on the server's wall clock."""
    progress_data: CraftingProgressData | None = None
    """Present in `progress_update`, `crafting_complete` and `crafting_failed`."""
    material_data: MaterialNotification | None = None
    """Present in `material_notification`."""
    queue_data: QueueStatusData | None = None
    """Present in `queue_status`."""
    epoch: str | None = None
    """What `version` belongs to; a position of another epoch is answered with the whole state."""
    version: Version | None = None
    """Position of this message in its feed; grows with every change within an epoch."""
    recovered: bool | None = None
    """Only in the first message after `?resume=`: whether the missed messages follow, or the whole state."""


class WebSocketQueueMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message of a queue feed.

    The answer to `?resume=` has the type `queue_position`, `recovered` and no data; so has a heartbeat, without
    `recovered`.
    """

    type: QueueMessageType
    """What the message says."""
    player_id: UUID
    """The player that the feed is about."""
    timestamp: Time
    """When the message was made, on the server's wall clock."""
    queue_position: Positive | None = None
    """Place in the queue; 1 is next."""
    estimated_wait_time: Natural | None = None
    """Seconds until the station is expected to be free."""
    station_type: Station | None = None
    """The kind of station that the queue is for."""
    epoch: str | None = None
    """What `version` belongs to; a position of another epoch is answered with the whole state."""
    version: Version | None = None
    """Position of this message in its feed; grows with every change within an epoch."""
    recovered: bool | None = None
    """Only in the first message after `?resume=`: whether the missed messages follow, or the whole state."""


class Check(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One check of a health report."""

    status: HealthStatus
    """How well the checked thing is."""
    message: str | None = None
    """What is wrong, in English."""
    response_time: Natural | None = None
    """Milliseconds that the check took."""


class HealthResponse(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Health report of one service."""

    status: HealthStatus
    """The worst status of all checks."""
    timestamp: Time
    """When the report was made."""
    message: str | None = None
    """What is wrong, in English."""
    version: str | None = None
    """Version of the service."""
    uptime: Natural | None = None
    """Seconds since the process started."""
    checks: dict[str, Check] | None = None
    """The single checks, by name."""


class WebSocketHealthMessage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message of the health feed."""

    type: Literal["health_update", "health_alert", "service_down"]
    """`health_update`: as scheduled; `health_alert`: a check changed; `service_down`: a service became critical."""
    timestamp: Time
    """When the message was made, on the server's wall clock."""
    health: HealthResponse
    """The report."""
    message_timestamp: Time | None = None
    """When the report in `health` was made."""


_encoder = msgspec.json.Encoder()


def to_json(message: Struct) -> bytes:
    """The message as UTF-8 JSON."""
    return _encoder.encode(message)


def rfc3339(now: float) -> str:
    """Unix seconds as the contract's *time*: RFC 3339, UTC, cut to milliseconds."""
    return _instant(int(now * 1000))


@lru_cache(maxsize=8)
def _instant(milliseconds: int) -> str:
    """Kept, because a body of events makes many messages within a millisecond."""
    seconds, rest = divmod(milliseconds, 1000)
    return f"{_second(seconds)}.{rest:03d}Z"


@lru_cache(maxsize=8)
def _second(seconds: int) -> str:
    """Kept, because most messages of a second are made within it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat()[:19]
