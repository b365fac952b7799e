"""The crafting authority's events: their schema, and how a body of them is taken apart.

Pure: octets in, values out. One bad event never spoils its neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Raw, Struct

from craftnet.messages import (
    MaterialChange,
    MaterialNotification,
    Natural,
    Positive,
    Quality,
    QueueNews,
    QueueStatusData,
    Status,
)

LONGEST = 30 * 86400
"""Seconds that a craft may still take."""

VERSION = "1.0.0"
"""The version of the envelope that is understood."""


class EventMaterial(Struct, frozen=True, gc=False):
    """A material a session starts with, or used, lost or got back."""

    material_id: UUID
    quantity: Positive
    quality: Quality | None = None


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
    zone_id: UUID | None = None


class SessionComplete(SessionData, frozen=True, kw_only=True):
    """`crafting.session.complete`"""

    result_item_id: UUID
    duration_seconds: Annotated[float, Meta(ge=0)]
    quality: Literal["poor", "common", "uncommon", "rare", "epic", "legendary"] | None = None
    experience_gained: Natural | None = None
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
    duration_seconds: Annotated[float, Meta(ge=0)] | None = None
    materials_lost: tuple[EventMaterial, ...] | None = None


class SessionCancel(SessionData, frozen=True, kw_only=True):
    """`crafting.session.cancel`"""

    cancel_reason: Literal["player_request", "workstation_unavailable", "zone_change", "combat_start"]
    duration_seconds: Annotated[float, Meta(ge=0)] | None = None
    materials_returned: tuple[EventMaterial, ...] | None = None


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


class QueueUpdate(QueueStatusData, frozen=True, kw_only=True, gc=False):
    """`crafting.queue.update`: QueueStatusData and what kind of news it is."""

    type: QueueNews = QueueNews.QUEUE_POSITION


class MaterialsUpdate(SessionData, frozen=True, kw_only=True):
    """`crafting.materials.update`: any of changes and notifications."""

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
    session_id: UUID | None = None
    player_id: UUID | None = None
    metadata: dict[str, Raw] | None = None


PATIENCE = 5.0
"""Seconds by which an authority's clock may be ahead of ours before its times are not believed."""


class Event(Struct, frozen=True):
    """One fact from the authority, validated.

    Attributes:
        timestamp: when it became true, Unix seconds.
        accepted: when it reached this service, Unix seconds.
        session_id: from the envelope; for a queue update, the session that waits.
    """

    event_id: UUID
    timestamp: float
    accepted: float
    data: EventData
    session_id: UUID | None = None

    @property
    def when(self) -> float:
        """The timestamp; for one from further ahead than `PATIENCE`, when the event was accepted."""
        return self.timestamp if self.timestamp <= self.accepted + PATIENCE else self.accepted


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
_data_decoders = {name: msgspec.json.Decoder(kind) for name, kind in EVENT_TYPES.items()}
_list_decoder = msgspec.json.Decoder(list[Raw])
_WHITESPACE = b" \t\r\n"
_TOO_DEEP = "JSON is nested too deeply"


def split(body: bytes, *, newline_delimited: bool) -> list[bytes | Raw]:
    """A request body as the raw JSON of each event, undecoded.

    Arguments:
        body: one event, a JSON array of events, or, when `newline_delimited`, one event a line.

    Raises:
        msgspec.DecodeError: the body is a broken JSON array, or one that is nested too deeply.
    """
    if newline_delimited:
        return [line for line in body.splitlines() if line.strip(_WHITESPACE)]
    if body.lstrip(_WHITESPACE)[:1] == b"[":
        try:
            return list(_list_decoder.decode(body))
        except RecursionError:
            raise msgspec.DecodeError(_TOO_DEEP) from None
    return [body]


def decode(raw: bytes | Raw, now: float) -> Event | Outcome:
    """One event, accepted at `now`, or the rejection of what is not one."""
    try:
        envelope = _envelope_decoder.decode(raw)
        if envelope.version != VERSION:
            return rejected(f"version {envelope.version!r} is not understood; send {VERSION!r}")
        decoder = _data_decoders.get(envelope.event_type)
        if decoder is None:
            return rejected(f"unknown event_type {envelope.event_type!r}")
        data = decoder.decode(envelope.data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return rejected(str(error))
    except RecursionError:
        return rejected(_TOO_DEEP)
    if envelope.timestamp.tzinfo is None:
        return rejected("timestamp has no time zone")
    named = envelope.session_id
    if isinstance(data, SessionData):
        if named is not None and named != data.session_id:
            return rejected("session_id of the envelope and of data differ")
        named = data.session_id
    owner = envelope.player_id
    if owner is not None and isinstance(data, (SessionStart, QueueUpdate)) and owner != data.player_id:
        return rejected("player_id of the envelope and of data differ")
    return Event(envelope.event_id, envelope.timestamp.timestamp(), now, data, named)


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
