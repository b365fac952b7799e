"""The crafting authority's events: their schema, and how a body of them is taken apart.

Pure: octets in, values out. One bad event never spoils its neighbours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Raw, Struct

from craftnet.clocks import Moment
from craftnet.messages import (
    MALFORMED,
    JsonDecoder,
    MaterialChange,
    MaterialNotification,
    Positive,
    Quality,
    QueueNews,
    Station,
    Status,
)

LONGEST = 30 * 86400
"""Seconds that a craft may still take."""

VERSION = "1.0.0"
"""The version of the envelope that nearly every event has."""

_MAJOR_VERSION = re.compile(r"0*1\.[0-9]+\.[0-9]+")
"""Every version that is understood: minor ones only add fields."""

QUALITY_LEVELS = {"poor": 20, "common": 40, "uncommon": 60, "rare": 80, "epic": 100}
"""What the game's words for a material's quality are in the numbers of the contract."""


class EventMaterial(Struct, frozen=True, gc=False):
    """A material a session starts with, or used, lost or got back. `quality` is a number or the game's word."""

    material_id: UUID
    quantity: Positive
    quality: Quality | Literal["poor", "common", "uncommon", "rare", "epic"] | None = None

    @property
    def quality_level(self) -> int | None:
        """The quality as a number, 1 to 100; None when it is unknown."""
        return QUALITY_LEVELS[self.quality] if isinstance(self.quality, str) else self.quality


class SessionData(Struct, frozen=True, kw_only=True):
    """What the data of every event about one session has."""

    session_id: UUID


class SessionStart(SessionData, frozen=True, kw_only=True):
    """`crafting.session.start`"""

    recipe_id: UUID
    player_id: UUID
    materials: Annotated[tuple[EventMaterial, ...], Meta(min_length=1, max_length=50)] | None = None
    estimated_duration_seconds: Annotated[float, Meta(ge=1, le=3600)] | None = None
    workstation_id: UUID | None = None
    zone_id: str | None = None


# The events that end a session also have a duration_seconds. Nobody reads it, so it is no field here and is ignored as
# an unknown one is: an end that is refused for its duration leaves players waiting for ever.


class SessionComplete(SessionData, frozen=True, kw_only=True):
    """`crafting.session.complete`"""

    result_item_id: UUID
    quality: Literal["poor", "common", "uncommon", "rare", "epic", "legendary"] | None = None
    experience_gained: Annotated[float, Meta(ge=0)] | None = None
    materials_used: tuple[EventMaterial, ...] | None = None


class SessionFail(SessionData, frozen=True, kw_only=True):
    """`crafting.session.fail`"""

    failure_reason: Literal[
        "insufficient_materials",
        "recipe_error",
        "workstation_unavailable",
        "player_disconnect",
        "timeout",
        "system_error",
    ]
    materials_lost: bool | tuple[EventMaterial, ...] | None = None


class SessionCancel(SessionData, frozen=True, kw_only=True):
    """`crafting.session.cancel`"""

    cancel_reason: Literal["player_request", "workstation_unavailable", "zone_change", "combat_start"]
    materials_returned: bool | tuple[EventMaterial, ...] | None = None


class SessionPause(SessionData, frozen=True, kw_only=True):
    """`crafting.session.pause`"""

    pause_reason: Literal["player_afk", "combat_start", "system_maintenance", "technical_issue"]
    pause_time: datetime | None = None


class SessionResume(SessionData, frozen=True, kw_only=True):
    """`crafting.session.resume`"""

    resume_time: datetime | None = None
    remaining_duration_seconds: Annotated[float, Meta(ge=0, le=LONGEST)] | None = None


class SessionProgress(SessionData, frozen=True, kw_only=True):
    """`crafting.session.progress`: CraftingProgressData, fractions of a percent and of a second allowed."""

    progress_percentage: Annotated[float, Meta(ge=0, le=100)]
    status: Status
    remaining_time_seconds: Annotated[float, Meta(ge=0, le=LONGEST)] | None = None
    current_quality: Quality | None = None
    target_quality: Quality | None = None
    failure_reason: Annotated[str, Meta(max_length=200)] | None = None


class QueueUpdate(Struct, frozen=True, kw_only=True, gc=False):
    """`crafting.queue.update`: QueueStatusData, but fractions of a second; kind of news; which session waits."""

    player_id: UUID
    queue_position: Positive
    total_in_queue: Positive | None = None
    estimated_wait_seconds: Annotated[float, Meta(ge=0, le=2**32 - 1)] | None = None
    station_type: Station | None = None
    can_jump_queue: bool | None = None
    jump_queue_cost: int | None = None
    type: QueueNews = QueueNews.QUEUE_POSITION
    session_id: UUID | None = None


class MaterialsUpdate(SessionData, frozen=True, kw_only=True):
    """`crafting.materials.update`: changes, notifications, or both."""

    changes: Annotated[tuple[MaterialChange, ...], Meta(max_length=200)] = ()
    notifications: Annotated[tuple[MaterialNotification, ...], Meta(max_length=200)] = ()


SessionEvent = (
    SessionStart | SessionComplete | SessionFail | SessionCancel | SessionPause | SessionResume | SessionProgress
)
EventData = SessionEvent | QueueUpdate | MaterialsUpdate

EVENT_TYPES: dict[str, type[EventData]] = {
    "crafting.session.start": SessionStart,
    "crafting.session.complete": SessionComplete,
    "crafting.session.fail": SessionFail,
    "crafting.session.cancel": SessionCancel,
    "crafting.session.pause": SessionPause,
    "crafting.session.resume": SessionResume,
    "crafting.session.progress": SessionProgress,
    "crafting.queue.update": QueueUpdate,
    "crafting.materials.update": MaterialsUpdate,
}


class _Envelope(Struct, frozen=True, kw_only=True):
    event_id: UUID
    event_type: str
    timestamp: datetime
    version: str
    source: str
    data: Raw
    correlation_id: UUID | None = None
    trace_id: str | None = None
    session_id: UUID | None = None
    player_id: UUID | None = None
    metadata: dict[str, Raw] | None = None


PATIENCE = 5.0
"""Seconds by which an authority's clock may be ahead of ours before its times are not believed."""


class Event(Struct, frozen=True):
    """One fact from the authority, validated.

    Attributes:
        timestamp: when it became true, as its source states, Unix seconds; see `craftnet.ordering`.
        accepted: when it reached this service, on the steady clock.
        session_id: the craft's; for a queue update, that of the craft that waits.
        source: which part of the authority says so; empty where nobody tells.
        correlation_id, trace_id: what the authority knows the event's cause by.
        ahead: seconds by which this system's clock was ahead of the steady one then.
    """

    event_id: UUID
    timestamp: float
    accepted: float
    data: EventData
    session_id: UUID | None = None
    source: str = ""
    correlation_id: UUID | None = None
    trace_id: str | None = None
    ahead: float = 0.0

    @property
    def arrived(self) -> Moment:
        """When it reached this service."""
        return Moment(self.accepted, self.accepted + self.ahead)

    @property
    def occurred(self) -> float:
        """When it became true, on the steady clock; when it arrived, if its date is further ahead than `PATIENCE`."""
        when = self.arrived.occurred(self.timestamp, PATIENCE)
        return self.accepted if when is None else when

    @property
    def when(self) -> float:
        """The timestamp; for one from further ahead than `PATIENCE`, the date when the event was accepted."""
        arrived = self.arrived.wall
        return self.timestamp if self.timestamp <= arrived + PATIENCE else arrived


def origin(event: Event) -> str:
    """What an operator finds the event by in the authority's own logs: ``event …, correlation …, trace …``."""
    names = {"event": event.event_id, "correlation": event.correlation_id, "trace": event.trace_id}
    return ", ".join(f"{name} {value}" for name, value in names.items() if value is not None)


class Verdict(Enum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class Outcome(Struct, frozen=True):
    """A verdict, with the reason when it is a rejection."""

    verdict: Verdict
    reason: str = ""


ACCEPTED = Outcome(Verdict.ACCEPTED)
DUPLICATE = Outcome(Verdict.DUPLICATE)


def rejected(reason: str) -> Outcome:
    """The outcome of an event that was refused for `reason`."""
    return Outcome(Verdict.REJECTED, reason)


_envelope_decoder = msgspec.json.Decoder(_Envelope)
_data_decoders = {name: JsonDecoder(kind) for name, kind in EVENT_TYPES.items()}
_list_decoder = msgspec.json.Decoder(list[Raw])
_value_decoder = msgspec.json.Decoder(Raw)
_OTHER_ENCODINGS = {
    b"\xef\xbb\xbf": "a byte order mark",
    b"\xff\xfe": "the byte order mark of UTF-16",
    b"\xfe\xff": "the byte order mark of UTF-16",
}
_WHITESPACE = b" \t\r\n"
_TOO_DEEP = "JSON is nested too deeply"


def split(body: bytes, *, newline_delimited: bool) -> list[bytes | Raw]:
    """A request body as the raw JSON of each event, undecoded.

    Arguments:
        body: one event, a JSON array of events, or, when `newline_delimited`, one event a line.

    Raises:
        msgspec.DecodeError: the body is no JSON at all, or JSON that is nested too deeply. Lines are judged one by one.
    """
    if newline_delimited:
        return [line for line in body.splitlines() if line.strip(_WHITESPACE)]
    for mark, name in _OTHER_ENCODINGS.items():
        if body.startswith(mark):
            raise msgspec.DecodeError(f"it begins with {name}; send UTF-8 without one")
    try:
        if body.lstrip(_WHITESPACE)[:1] == b"[":
            return list(_list_decoder.decode(body))
        _value_decoder.decode(body)
        body.decode()  # which Raw does not look at. What is in an array is judged event by event.
    except RecursionError:
        raise msgspec.DecodeError(_TOO_DEEP) from None
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"it is not UTF-8 ({error.reason} at byte {error.start})") from None
    return [body]


def decode(raw: bytes | Raw, now: Moment) -> Event | Outcome:
    """One event, accepted at `now`, or the rejection of what is not one."""
    try:
        envelope = _envelope_decoder.decode(raw)
        if envelope.version != VERSION and _MAJOR_VERSION.fullmatch(envelope.version) is None:
            return rejected(f"version {envelope.version!r} is not understood; send {VERSION!r} or another 1.x.y")
        decoder = _data_decoders.get(envelope.event_type)
        if decoder is None:
            return rejected(f"unknown event_type {envelope.event_type!r}")
        data = decoder.decode(envelope.data)
    except RecursionError:
        return rejected(_TOO_DEEP)
    except MALFORMED as error:
        return rejected(str(error))
    if envelope.timestamp.tzinfo is None:
        return rejected("timestamp has no time zone")
    # The envelope's ids are those of the game session and of whoever caused the event; a craft's are in the data.
    craft = data.session_id
    if craft is None:
        craft = envelope.session_id  # only a queue update may leave it out.
    return Event(
        envelope.event_id,
        envelope.timestamp.timestamp(),
        now.steady,
        data,
        craft,
        envelope.source,
        envelope.correlation_id,
        envelope.trace_id,
        now.ahead,
    )


def summary(outcomes: Sequence[Outcome]) -> dict[str, object]:
    """The answer to a body of events: `{accepted, duplicates, rejected: [{index, error}]}`."""
    return {
        "accepted": sum(outcome.verdict is Verdict.ACCEPTED for outcome in outcomes),
        "duplicates": sum(outcome.verdict is Verdict.DUPLICATE for outcome in outcomes),
        "rejected": [
            {"index": index, "error": outcome.reason}
            for index, outcome in enumerate(outcomes)
            if outcome.verdict is Verdict.REJECTED
        ],
    }
