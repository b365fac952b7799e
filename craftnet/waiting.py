"""A player's places in station queues: what an authority's update makes of them.

An entry is known by the session that waits, when the authority names one, and by its station otherwise. It leaves the
queue when the station is available or the wait timed out. Pure: shared by every provider that keeps queues.
"""

from __future__ import annotations

from uuid import UUID

from craftnet.errors import EventRejected
from craftnet.events import Event, QueueUpdate
from craftnet.messages import QueueNews, QueueStatusData, Station
from craftnet.state import QueueChange, QueueEntry

MAX_ENTRIES = 64
"""In how many queues one player may stand."""

LEAVING = frozenset({QueueNews.STATION_AVAILABLE, QueueNews.QUEUE_TIMEOUT})
"""News with which an entry leaves its queue."""

Key = UUID | Station | None


def key(entry: QueueEntry) -> Key:
    """What tells an entry from the player's other ones."""
    return entry.session_id or entry.station


def advance(entries: tuple[QueueEntry, ...], event: Event) -> tuple[tuple[QueueEntry, ...], QueueChange]:
    """A player's entries after `event`, and the news it brings.

    Raises:
        EventRejected: the event is not about queues, is older than what is known, or makes too many entries.
    """
    data = event.data
    if not isinstance(data, QueueUpdate):
        raise EventRejected(f"not an event of a queue: {type(data).__name__}")
    if data.total_in_queue is not None and data.queue_position > data.total_in_queue:
        raise EventRejected("queue_position is beyond total_in_queue")
    entry = QueueEntry(
        status=_status(data),
        version=1 + max((known.version for known in entries), default=0),
        told=event.when,
        session_id=event.session_id,
    )
    before = next((known for known in entries if key(known) == key(entry)), None)
    if before is not None and entry.told < before.told:
        raise EventRejected("out of order: a later event was applied before")
    waiting = data.type not in LEAVING
    others = tuple(known for known in entries if known is not before)
    after = (*others, entry) if waiting else others
    if len(after) > MAX_ENTRIES:
        raise EventRejected(f"the player stands in {MAX_ENTRIES} queues already")
    return after, QueueChange(entry, data.type, waiting, event.accepted)


def _status(data: QueueUpdate) -> QueueStatusData:
    return QueueStatusData(
        player_id=data.player_id,
        queue_position=data.queue_position,
        total_in_queue=data.total_in_queue,
        estimated_wait_seconds=data.estimated_wait_seconds,
        station_type=data.station_type,
        can_jump_queue=data.can_jump_queue,
        jump_queue_cost=data.jump_queue_cost,
    )
