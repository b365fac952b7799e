"""The crafting authority's events: the schema of their data, and what becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

from msgspec import UNSET, Meta, Struct, UnsetType

from craftnet.clocks import Moment, occurred
from craftnet.contract.messages import (
    MaterialChange,
    MaterialNotification,
    Positive,
    Quality,
    QueueMessageType,
    Station,
    Status,
)
from craftnet.errors import not_started

MAX_CRAFT_SECONDS = 30 * 86400
"""Seconds that a craft may still take."""

QUALITY_LEVELS = {"poor": 20, "common": 40, "uncommon": 60, "rare": 80, "epic": 100}
"""What the game's words for a material's quality are in the numbers of the contract."""


class EventMaterial(Struct, frozen=True, gc=False):
    """A material that a session starts with, used, lost or got back."""

    material_id: UUID
    """The material."""
    quantity: Positive
    """Pieces."""
    quality: Quality | Literal["poor", "common", "uncommon", "rare", "epic"] | None = None
    """Quality as a number from 1 to 100, or one of the game's words (`QUALITY_LEVELS`)."""

    @property
    def quality_level(self) -> int | None:
        """The quality as a number, 1 to 100; None when it is unknown."""
        return QUALITY_LEVELS[self.quality] if isinstance(self.quality, str) else self.quality


class SessionData(Struct, frozen=True, kw_only=True, gc=False):
    """What the data of every event about one session has."""

    session_id: UUID
    """The crafting session."""


class SessionStart(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.session.start`: a craft begins."""

    recipe_id: UUID
    """What is crafted."""
    player_id: UUID
    """The owner of the session."""
    materials: Annotated[tuple[EventMaterial, ...], Meta(min_length=1, max_length=50)] | None = None
    """The materials that the session starts with."""
    estimated_duration_seconds: Annotated[float, Meta(ge=1, le=3600)] | None = None
    """Seconds that the craft takes; progress is unknown until an event says more when absent."""
    workstation_id: UUID | None = None
    """The workstation."""
    zone_id: str | None = None
    """The zone; any text."""


# The events that end a session also have a duration_seconds. Nothing reads it, so it is no field here and is ignored
# as an unknown one is: an end that is refused for its duration leaves players waiting for ever.


class SessionComplete(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.session.complete`: the craft is done. Terminal."""

    result_item_id: UUID
    """The item that was made."""
    quality: Literal["poor", "common", "uncommon", "rare", "epic", "legendary"] | None = None
    """Quality of the item."""
    experience_gained: Annotated[float, Meta(ge=0)] | None = None
    """Points of experience."""
    materials_used: tuple[EventMaterial, ...] | None = None
    """Materials that were used up."""


class SessionFail(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.session.fail`: the craft failed. Terminal."""

    failure_reason: Literal[
        "insufficient_materials",
        "recipe_error",
        "workstation_unavailable",
        "player_disconnect",
        "timeout",
        "system_error",
    ]
    """Why."""
    materials_lost: bool | tuple[EventMaterial, ...] | None = None
    """Whether materials were lost, or which."""


class SessionCancel(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.session.cancel`: the craft was called off. Terminal; clients receive `crafting_failed`."""

    cancel_reason: Literal["player_request", "workstation_unavailable", "zone_change", "combat_start"]
    """Why."""
    materials_returned: bool | tuple[EventMaterial, ...] | None = None
    """Whether materials came back, or which."""


class SessionPause(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.session.pause`: progress stands still."""

    pause_reason: Literal["player_afk", "combat_start", "system_maintenance", "technical_issue"]
    """Why."""
    pause_time: datetime | None = None
    """When, by the authority's clock. Not used: `timestamp` counts."""


class SessionResume(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.session.resume`: progress goes on."""

    resume_time: datetime | None = None
    """When, by the authority's clock. Not used: `timestamp` counts."""
    remaining_duration_seconds: Annotated[float, Meta(ge=0, le=MAX_CRAFT_SECONDS)] | None = None
    """Seconds that the craft still takes; as before the pause when absent."""


class SessionProgress(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.session.progress`: the exact state of a craft, where it differs from what extrapolation gives."""

    progress_percentage: Annotated[float, Meta(ge=0, le=100)]
    """Share of the craft that is done, in percent; fractions allowed."""
    status: Status
    """State of the session."""
    remaining_time_seconds: Annotated[float, Meta(ge=0, le=MAX_CRAFT_SECONDS)] | None = None
    """Seconds until 100 %; fractions allowed."""
    current_quality: Quality | None = None
    """Quality reached so far."""
    target_quality: Quality | None = None
    """Quality that the craft aims at."""
    failure_reason: Annotated[str, Meta(max_length=200)] | None = None
    """Why a failed craft failed."""


class QueueUpdate(Struct, frozen=True, kw_only=True, gc=False):
    """`crafting.queue.update`: a player's place in the queue of a station."""

    player_id: UUID
    """The player who waits."""
    queue_position: Positive
    """Place in the queue; 1 is next."""
    total_in_queue: Positive | None = None
    """Players in the queue."""
    estimated_wait_seconds: Annotated[float, Meta(ge=0, le=2**32 - 1)] | None = None
    """Seconds until the station is expected to be free; fractions allowed."""
    station_type: Station | None = None
    """The kind of station that the queue is for."""
    can_jump_queue: bool | None = None
    """Whether the player may pay for moving forward."""
    jump_queue_cost: int | None = None
    """Price of moving forward, in the game's currency."""
    type: QueueMessageType = QueueMessageType.QUEUE_POSITION
    """What the update says; `station_available` and `queue_timeout` end the place."""
    session_id: UUID | None = None
    """The craft that waits."""


class MaterialsUpdate(SessionData, frozen=True, kw_only=True, gc=False):
    """`crafting.materials.update`: changes, notifications, or both."""

    changes: Annotated[tuple[MaterialChange, ...], Meta(max_length=200)] = ()
    """Changes of the session's materials, in order."""
    notifications: Annotated[tuple[MaterialNotification, ...], Meta(max_length=200)] = ()
    """Problems with materials, and ends of problems."""


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


MAX_CLOCK_AHEAD = 5.0
"""Seconds by which an authority's clock may be ahead of ours before its times are not believed."""


class Event(Struct, frozen=True, gc=False):
    """One fact from the authority, validated.

    Attributes:
        timestamp: when it became true, as its source states, Unix seconds; see `craftnet.crafting.event_order`.
        accepted: when it reached this service, on the steady clock.
        session_id: the craft's; for a queue update, that of the craft that waits.
        source: which part of the authority says so; empty where the event does not say.
        correlation_id, trace_id: what the authority knows the event's cause by.
        ahead: seconds by which this system's clock was ahead of the steady one then.
        trace: the span of the event, as in traceparent, where it is traced.
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
    trace: str | UnsetType = UNSET

    @property
    def arrived(self) -> Moment:
        """When it reached this service."""
        return Moment(self.accepted, self.accepted + self.ahead)

    @property
    def occurred(self) -> float:
        """When it became true, on the steady clock; when it arrived, if its date is further ahead than
        `MAX_CLOCK_AHEAD`.
        """
        accepted = self.accepted
        when = occurred(self.timestamp, accepted, self.ahead, MAX_CLOCK_AHEAD)
        return accepted if when is None else when

    @property
    def when(self) -> float:
        """The timestamp; for one from further ahead than `MAX_CLOCK_AHEAD`, the date when the event was accepted."""
        arrived = self.accepted + self.ahead
        return self.timestamp if self.timestamp <= arrived + MAX_CLOCK_AHEAD else arrived


def event_origin(event: Event) -> str:
    """What an operator finds the event by in the authority's own logs: ``event …, correlation …, trace …``."""
    names = {"event": event.event_id, "correlation": event.correlation_id, "trace": event.trace_id}
    return ", ".join(f"{name} {value}" for name, value in names.items() if value is not None)


class EventVerdict(Enum):
    """What became of an event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"


class EventOutcome(Struct, frozen=True):
    """A verdict, with the reason when it is a rejection."""

    verdict: EventVerdict
    reason: str = ""


ACCEPTED = EventOutcome(EventVerdict.ACCEPTED)
DUPLICATE = EventOutcome(EventVerdict.DUPLICATE)


def rejected(reason: str) -> EventOutcome:
    """The outcome of an event that was refused for `reason`."""
    return EventOutcome(EventVerdict.REJECTED, reason)


NOT_STARTED = rejected(str(not_started()))
"""The outcome of an event about a session that is not known; its start may still be on its way."""


class VerdictCounts(NamedTuple):
    """How many events were accepted, known already, and rejected."""

    accepted: int
    duplicates: int
    rejected: int


def count_verdicts(outcomes: Sequence[EventOutcome]) -> VerdictCounts:
    """What became of events, counted."""
    accepted, duplicates = outcomes.count(ACCEPTED), outcomes.count(DUPLICATE)
    return VerdictCounts(accepted, duplicates, len(outcomes) - accepted - duplicates)


class EventRejection(Struct, frozen=True):
    """An event of a body that was rejected."""

    index: int
    """Place of the event in the body, from 0."""
    error: str
    """Why, in English."""


class EventsResponse(Struct, frozen=True):
    """Answer to a body of events."""

    accepted: int
    """Events that were applied."""
    duplicates: int
    """Events that were accepted before and change nothing."""
    rejected: list[EventRejection]
    """Events that were rejected; the others of the body are not affected."""


def summary(outcomes: Sequence[EventOutcome]) -> EventsResponse:
    """The answer to a body of events."""
    counted = count_verdicts(outcomes)
    rejections = [
        EventRejection(index, outcome.reason)
        for index, outcome in enumerate(outcomes if counted.rejected else ())
        if outcome.verdict is EventVerdict.REJECTED
    ]
    return EventsResponse(counted.accepted, counted.duplicates, rejections)
