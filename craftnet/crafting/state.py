"""What providers store and pass to the hub: the state of one session, of its materials, of one player's queue entries.

Values are frozen; a change is a new value with a higher version, so all watchers can share a state.
"""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from msgspec import UNSET, Struct, UnsetType, field
from msgspec.structs import replace

from craftnet.contract.messages import MaterialChange, MaterialNotification, QueueMessageType, QueueStatusData, Station
from craftnet.crafting.progress import Progress

Dated = TypeVar("Dated")


class Stamp(Struct, frozen=True, gc=False):
    """The newest timestamp that one source of events stated, Unix seconds."""

    source: str
    timestamp: float


Stamps = tuple[Stamp, ...]
"""One for each source, to judge the order of its events (`craftnet.crafting.event_order`)."""


class CraftTiming(Struct, frozen=True, gc=False):
    """How long a craft has taken so far, beside what the authority estimated (`craftnet.crafting.timing`).

    Attributes:
        estimate: seconds that the craft takes, as estimated at its start; None when unknown.
        worked: seconds for which it has been active, as of the newest event.
        station: the workstation; None when unknown.
        quality: the mean quality of the materials that it started with, 1 to 100; None when unknown.
        half: at the first report of half or more: the seconds worked by then, and the remaining time that it states.
        undisturbed: whether it was never interrupted.
        load: crafts under way when it started; None when unknown.
    """

    estimate: float | None = None
    worked: float = 0.0
    station: UUID | None = None
    quality: int | None = None
    half: tuple[float, float] | None = None
    undisturbed: bool = True
    load: int | None = None


class SessionState(Struct, frozen=True, gc=False):
    """One crafting session.

    Attributes:
        version: grows by one with every change.
        recipe_id: the recipe, if known.
        progress: the model from which watchers extrapolate.
        accepted: when the event that led to this state reached the service, on the steady clock, seconds.
        stamps: the newest timestamps stated about the session.
        trace: the span of that event, as in traceparent, where it is traced.
        timing: kept only where crafts are timed.
    """

    session_id: UUID
    player_id: UUID
    version: int
    progress: Progress
    recipe_id: UUID | None = None
    accepted: float = 0.0
    stamps: Stamps = ()
    trace: str | UnsetType = UNSET
    timing: CraftTiming | UnsetType = UNSET


class Material(Struct, frozen=True, gc=False):
    """One material of a session.

    Attributes:
        problem: the newest notification about it, unless that said it is resolved.
    """

    material_id: UUID
    quantity: int = 0
    quality: int | None = None
    problem: MaterialNotification | None = None


class MaterialsState(Struct, frozen=True, gc=False):
    """All materials of one session, in the order in which they were first named.

    Attributes:
        version: 0 while nothing is known; grows by one with every change.
        since: when the newest change became true, Unix seconds.
        stamps: the newest timestamps stated about the materials.
    """

    session_id: UUID
    version: int = 0
    materials: tuple[Material, ...] = ()
    since: float = field(name="told", default=0.0)
    stamps: Stamps = ()


class MaterialsChange(Struct, frozen=True, gc=False):
    """A new state of a session's materials and the changes that led to it.

    `accepted` and `trace` are as in `SessionState`.
    """

    state: MaterialsState
    changes: tuple[MaterialChange, ...] = ()
    notifications: tuple[MaterialNotification, ...] = ()
    accepted: float = 0.0
    trace: str | UnsetType = UNSET


class QueueEntry(Struct, frozen=True, gc=False):
    """A player's place in the queue of one station (or of no particular one).

    Attributes:
        session_id: the waiting session, when the authority names one.
        version: the version of the player's `QueueState` that brought this place.
        since: when it became true, Unix seconds.
        stamps: the newest timestamps stated about the place.
    """

    status: QueueStatusData
    version: int
    since: float = field(name="told")
    session_id: UUID | None = None
    stamps: Stamps = ()

    @property
    def player_id(self) -> UUID:
        """The waiting player."""
        return self.status.player_id

    @property
    def station(self) -> Station | None:
        """The kind of station."""
        return self.status.station_type


class QueueState(Struct, frozen=True, gc=False):
    """All of one player's queue entries.

    Attributes:
        version: 0 while nothing is known; grows by one with every change, also when an entry leaves, and never
            restarts.
        entries: the places where the player waits; empty after the last one left.
        since: when the last entry left, Unix seconds.
        stamps: the newest timestamps stated about entries that left.
    """

    player_id: UUID
    version: int = 0
    entries: tuple[QueueEntry, ...] = ()
    since: float = field(name="told", default=0.0)
    stamps: Stamps = ()


class QueueChange(Struct, frozen=True, gc=False):
    """A new state of a player's queue entries, and the update of the entry that led to it.

    Attributes:
        waiting: false when the entry left the queue with this update.
        accepted, trace: as in `SessionState`.
    """

    state: QueueState
    entry: QueueEntry
    news: QueueMessageType
    waiting: bool
    accepted: float = 0.0
    trace: str | UnsetType = UNSET


def shifted(value: Dated, seconds: float) -> Dated:
    """A state or a change on a clock that is ahead by `seconds`. Dates that others stated stay."""
    dated: Any = value
    kind = type(value)  # not isinstance, which takes five times as long to say no of a Struct.
    if kind is SessionState:
        progress = replace(dated.progress, anchor=dated.progress.anchor + seconds)
        dated = replace(dated, progress=progress, accepted=dated.accepted and dated.accepted + seconds)
    elif kind is MaterialsChange or kind is QueueChange:
        dated = replace(dated, accepted=dated.accepted and dated.accepted + seconds)
    shifted_value: Dated = dated
    return shifted_value
