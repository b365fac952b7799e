"""A player's places in station queues: what an authority's update makes of them.

An entry is known by the session that waits, when the authority names one, and by its station otherwise. It leaves the
queue when the station is available or the wait timed out. Pure: shared by every provider that keeps queues.
"""

from __future__ import annotations

from functools import reduce
from math import ceil
from uuid import UUID

from craftnet.errors import EventRejected
from craftnet.events import Event, QueueUpdate
from craftnet.messages import QueueNews, QueueStatusData, Station
from craftnet.ordering import check_order, effective_time, noted, stamp
from craftnet.state import QueueChange, QueueEntry, QueueState

MAX_ENTRIES = 64
"""In how many queues one player may stand."""

LEAVING = frozenset({QueueNews.STATION_AVAILABLE, QueueNews.QUEUE_TIMEOUT})
"""News with which an entry leaves its queue."""

Key = UUID | Station | None


def key(entry: QueueEntry) -> Key:
    """What tells an entry from the player's other ones."""
    return _key(entry.session_id, entry.station)


def _key(session_id: UUID | None, station: Station | None) -> Key:
    return session_id or station


def check_holder(holder: QueueEntry | None, event: Event) -> None:
    """A session waits in the name of one player only.

    Arguments:
        holder: the entry, of any player, that names the session of `event`; None when there is none.

    Raises:
        EventRejected: another player's entry names it.
    """
    if holder is not None and isinstance(event.data, QueueUpdate) and holder.player_id != event.data.player_id:
        raise EventRejected("the session waits in the name of another player")


def advance(state: QueueState, event: Event) -> QueueChange:
    """A player's places after `event`, and the news it brings.

    An entry that left is not remembered. That it left is: nothing that the same source states as older than the
    player's newest leave makes an entry anew. It may cost an entry that is told late its first news, and never brings
    one back from the dead. No clock judges the leaving itself: a player whose turn was lost would wait for ever.

    Raises:
        EventRejected: the event is not about queues, is older than what is known, or makes too many entries.
    """
    data = event.data
    if not isinstance(data, QueueUpdate):
        raise EventRejected(f"not an event of a queue: {type(data).__name__}")
    if data.total_in_queue is not None and data.queue_position > data.total_in_queue:
        raise EventRejected("queue_position is beyond total_in_queue")
    named = _key(event.session_id, data.station_type)
    before = next((known for known in state.entries if key(known) == named), None)
    stamps = noted((before or state).stamps, stamp(event))
    waiting = data.type not in LEAVING
    if waiting:
        check_order(stamps, event)
    told = effective_time(event.when, event.arrived.wall, (before or state).told)
    entry = QueueEntry(_status(data), state.version + 1, told, event.session_id, stamps)
    others = tuple(known for known in state.entries if known is not before)
    entries = (*others, entry) if waiting else others
    if len(entries) > MAX_ENTRIES:
        raise EventRejected(f"the player stands in {MAX_ENTRIES} queues already")
    if waiting:
        after = QueueState(state.player_id, entry.version, entries, state.told, state.stamps)
    else:
        left = reduce(noted, stamps, state.stamps)
        after = QueueState(state.player_id, entry.version, entries, max(state.told, told), left)
    return QueueChange(after, entry, data.type, waiting, event.accepted)


def _status(data: QueueUpdate) -> QueueStatusData:
    wait = data.estimated_wait_seconds
    return QueueStatusData(
        player_id=data.player_id,
        queue_position=data.queue_position,
        total_in_queue=data.total_in_queue,
        estimated_wait_seconds=None if wait is None else ceil(wait),
        station_type=data.station_type,
        can_jump_queue=data.can_jump_queue,
        jump_queue_cost=data.jump_queue_cost,
    )
