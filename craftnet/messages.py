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
from msgspec import Meta, Struct, field

Percent = Annotated[int, Meta(ge=0, le=100)]
Quality = Annotated[int, Meta(ge=1, le=100)]
Natural = Annotated[int, Meta(ge=0, le=2**32 - 1)]
Positive = Annotated[int, Meta(ge=1, le=2**32 - 1)]
Version = Annotated[int, Meta(ge=0)]
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME_OF_DAY = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?"
Time = Annotated[str, Meta(pattern=rf"\A{_DATE}[Tt]{_TIME_OF_DAY}([Zz]|[+-][0-9]{{2}}:[0-9]{{2}})\Z")]
"""RFC 3339. Text, because what we send is only ever written, and to the millisecond."""
ClientVersion = Annotated[str, Meta(pattern=r"\A[0-9]+\.[0-9]+\.[0-9]+\Z", max_length=64)]
r"""The game's ``^[0-9]+\.[0-9]+\.[0-9]+$`` as ECMA-262 reads it: Python's ``$`` lets a line feed follow."""


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
    """What a session is doing."""

    ACTIVE = "active"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    COMPLETED = "completed"
    FAILED = "failed"

    terminal: bool
    """Whether nothing can follow."""

    def __init__(self, text: str) -> None:
        self.terminal = text in ("completed", "failed")


class Station(StrEnum):
    """Kinds of crafting station."""

    BASIC_WORKBENCH = "basic_workbench"
    ADVANCED_WORKBENCH = "advanced_workbench"
    CYBERWARE_STATION = "cyberware_station"
    VEHICLE_BAY = "vehicle_bay"
    LABORATORY = "laboratory"


class MaterialProblem(StrEnum):
    """What a material notification says."""

    INSUFFICIENT_QUANTITY = "insufficient_quantity"
    QUALITY_TOO_LOW = "quality_too_low"
    MATERIAL_UNAVAILABLE = "material_unavailable"
    MATERIAL_RESTORED = "material_restored"


class ChangeType(StrEnum):
    """What happened to one of a session's materials."""

    ADDED = "added"
    REMOVED = "removed"
    QUANTITY_CHANGED = "quantity_changed"
    QUALITY_CHANGED = "quality_changed"


class QueueNews(StrEnum):
    """What a queue message says."""

    QUEUE_POSITION = "queue_position"
    STATION_AVAILABLE = "station_available"
    PRIORITY_BOOST = "priority_boost"
    QUEUE_TIMEOUT = "queue_timeout"


class HealthStatus(StrEnum):
    """How well something is, in order of alarm."""

    OK = "ok"
    DEGRADED = "degraded"
    CRITICAL = "critical"


class Service(StrEnum):
    """The services whose health can be asked for."""

    CRAFTING_NETWORK = "crafting-network"
    CRAFTING_SERVICE = "crafting-service"
    REAL_TIME_COMBAT = "real-time-combat"


class CraftingProgressData(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """How far a craft is."""

    session_id: UUID
    progress_percentage: Percent
    status: Status
    remaining_time_seconds: Natural | None = None
    current_quality: Quality | None = None
    target_quality: Quality | None = None
    failure_reason: str | None = None


class MaterialNotification(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A material is short, too poor, gone, or fine again."""

    material_id: UUID
    notification_type: MaterialProblem
    required_quantity: Positive | None = None
    available_quantity: Natural | None = None
    required_quality: Quality | None = None
    available_quality: Quality | None = None


class MaterialChange(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One change of one material; quantities and qualities are absolute."""

    material_id: UUID
    change_type: ChangeType
    new_quantity: Natural | None = None
    new_quality: Quality | None = None


class QueueStatusData(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """Where a player stands in a station's queue."""

    player_id: UUID
    queue_position: Positive
    total_in_queue: Positive | None = None
    estimated_wait_seconds: Natural | None = None
    station_type: Station | None = None
    can_jump_queue: bool | None = None
    jump_queue_cost: int | None = None


class WebSocketCraftingMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message of a crafting feed.

    `epoch` and `version` are its position; `recovered` is in the first message of a watcher that came back, which has
    no data: true when what it missed follows, false when the whole current state does.
    """

    type: Literal["progress_update", "material_notification", "queue_status", "crafting_complete", "crafting_failed"]
    session_id: UUID
    timestamp: Time
    progress_data: CraftingProgressData | None = None
    material_data: MaterialNotification | None = None
    queue_data: QueueStatusData | None = None
    epoch: str | None = None
    version: Version | None = None
    recovered: bool | None = None


class WebSocketQueueMessage(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message of a queue feed. `epoch`, `version` and `recovered` are as in `WebSocketCraftingMessage`."""

    type: QueueNews
    player_id: UUID
    timestamp: Time
    queue_position: Positive | None = None
    estimated_wait_time: Natural | None = None
    station_type: Station | None = None
    epoch: str | None = None
    version: Version | None = None
    recovered: bool | None = None


class Check(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One check of a health report."""

    status: HealthStatus
    message: str | None = None
    response_time: Natural | None = None


class HealthResponse(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """How a service is."""

    status: HealthStatus
    timestamp: Time
    message: str | None = None
    version: str | None = None
    uptime: Natural | None = None
    checks: dict[str, Check] | None = None


class WebSocketHealthMessage(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One message of the health feed. `message_timestamp` is when the report in `health` was made."""

    type: Literal["health_update", "health_alert", "service_down"]
    timestamp: Time
    health: HealthResponse
    message_timestamp: Time | None = None


class HealthBatchRequest(Struct, frozen=True, kw_only=True):
    """Whose health is asked for."""

    services: Annotated[list[Service], Meta(max_length=10)]


class OverallStatus(StrEnum):
    """How well several services are together."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    CRITICAL = "critical"


class HealthBatchResponse(Struct, frozen=True, kw_only=True):
    """The report of every service asked for, by its name."""

    overall_status: OverallStatus
    timestamp: Time
    results: dict[Service, HealthResponse]


class HealthWebSocketInfo(Struct, frozen=True, kw_only=True):
    """Where the health feed is."""

    websocket_url: str
    supported_protocols: list[str]


class UdpConnectRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a client brings to open a UDP session."""

    player_id: UUID
    client_version: ClientVersion
    supported_compression: list[Literal["lz4", "zstd", "none"]] = field(default_factory=lambda: ["lz4"])
    max_packet_size: Annotated[int, Meta(ge=64, le=65536)] = 4096
    session_token: Annotated[str, Meta(max_length=64)] | None = None
    """That of a connection the client has, to hear of this session over it, too."""


USUAL_TOLERANCE = 0.5
"""Points of progress that UDP clients expect when they are not told."""


class UdpConnectResponse(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a client needs to open a UDP session."""

    session_token: str
    server_endpoint: str
    compression_enabled: bool
    negotiated_packet_size: Annotated[int, Meta(ge=64, le=65536)]
    heartbeat_interval: Annotated[int, Meta(ge=1000, le=30000)]
    progress_tolerance: Annotated[float, Meta(ge=0, le=100)] = USUAL_TOLERANCE
    """Points of progress by which what the server tells may be off before it is told again."""
    session_index: Annotated[int, Meta(ge=0, le=255)] = 0
    """What the connection's datagrams call the session."""
    compression: Literal["lz4", "zstd", "none"] = "none"
    """What the server packs with, where `compression_enabled`."""


class RevocationRequest(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What is to be revoked: a token, a player's tokens that were issued by now, or both.

    Attributes:
        jti: the token's.
        expires: when the last of them would; nothing is remembered after that.
    """

    jti: Annotated[str, Meta(min_length=1, max_length=256)] | None = None
    player_id: UUID | None = None
    expires: Annotated[datetime, Meta(tz=True)] | None = None


class RevocationResponse(Struct, frozen=True, kw_only=True):
    """How many open connections were closed, and until when the revocation is remembered."""

    closed: Natural
    expires: Time


class PlayerSessions(Struct, frozen=True, kw_only=True):
    """The sessions of a player that are under way, oldest first."""

    sessions: tuple[UUID, ...]


class ErrorBody(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of every failure."""

    code: Annotated[int, Meta(ge=100, le=599)]
    message: str
    details: dict[str, object] | None = None


_encoder = msgspec.json.Encoder()


def to_json(message: Struct) -> bytes:
    """The message as UTF-8 JSON."""
    return _encoder.encode(message)


def instant(now: float) -> str:
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
