"""What providers keep and hand to the hub: the state of one session, of its materials, of one player's queues.

Frozen; a change is a new value with a higher version, so that a state can be shared by everybody who watches it.
"""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from craftnet.messages import MaterialChange, MaterialNotification, QueueNews, QueueStatusData, Station
from craftnet.model import Progress


class Stamp(Struct, frozen=True, gc=False):
    """The newest timestamp that one source of events stated, Unix seconds."""

    source: str
    timestamp: float


Stamps = tuple[Stamp, ...]
"""Of each source one, by which the order of its events is judged (`craftnet.ordering`)."""


class SessionState(Struct, frozen=True, gc=False):
    """One crafting session.

    Attributes:
        version: grows by one with every change.
        recipe_id: what is being crafted, if known.
        progress: the model every watcher extrapolates from.
        accepted: when the event that led here reached this service, on the steady clock, seconds.
        stamps: what was stated last about the session.
    """

    session_id: UUID
    player_id: UUID
    version: int
    progress: Progress
    recipe_id: UUID | None = None
    accepted: float = 0.0
    stamps: Stamps = ()


class Material(Struct, frozen=True, gc=False):
    """One material of a session.

    Attributes:
        problem: the newest notification about it, unless that said it is fine again.
    """

    material_id: UUID
    quantity: int = 0
    quality: int | None = None
    problem: MaterialNotification | None = None


class MaterialsState(Struct, frozen=True):
    """All materials of one session, in the order they were first named.

    Attributes:
        version: 0 while nothing is known; grows by one with every change.
        told: when the newest change became true, Unix seconds.
        stamps: what was stated last about the materials.
    """

    session_id: UUID
    version: int = 0
    materials: tuple[Material, ...] = ()
    told: float = 0.0
    stamps: Stamps = ()


class MaterialsChange(Struct, frozen=True):
    """A new state of a session's materials, and what led to it. `accepted` is as in `SessionState`."""

    state: MaterialsState
    changes: tuple[MaterialChange, ...] = ()
    notifications: tuple[MaterialNotification, ...] = ()
    accepted: float = 0.0


class QueueEntry(Struct, frozen=True, gc=False):
    """A player's place in the queue of one station (or of no particular one).

    Attributes:
        session_id: the session that waits, when the authority names one.
        version: that of the player's `QueueState` which brought this place.
        told: when it became true, Unix seconds.
        stamps: what was stated last about the place.
    """

    status: QueueStatusData
    version: int
    told: float
    session_id: UUID | None = None
    stamps: Stamps = ()

    @property
    def player_id(self) -> UUID:
        """Who waits."""
        return self.status.player_id

    @property
    def station(self) -> Station | None:
        """What for."""
        return self.status.station_type


class QueueState(Struct, frozen=True):
    """All of one player's places in queues.

    Attributes:
        version: 0 while nothing is known; grows by one with every change, and never starts again: leaving is a change.
        entries: where the player waits; empty after the last one left.
        told: when an entry left for the last time, Unix seconds.
        stamps: what was stated last about the entries that left.
    """

    player_id: UUID
    version: int = 0
    entries: tuple[QueueEntry, ...] = ()
    told: float = 0.0
    stamps: Stamps = ()


class QueueChange(Struct, frozen=True):
    """A new state of a player's places in queues, and the news of the one entry that led to it.

    Attributes:
        waiting: false when the entry has left the queue with this news.
        accepted: as in `SessionState`.
    """

    state: QueueState
    entry: QueueEntry
    news: QueueNews
    waiting: bool
    accepted: float = 0.0
