"""A player's queue entries: the result of an authority's update.

An entry is identified by the waiting session, when the authority names one, and by its station otherwise. It leaves the
queue when the station is available or the wait timed out. Pure: shared by every provider that stores queues.
"""

from __future__ import annotations

from functools import reduce
from math import ceil
from uuid import UUID

from craftnet.contract.events import Event, QueueUpdate
from craftnet.contract.messages import QueueMessageType, QueueStatusData, Station
from craftnet.crafting.event_order import check_order, effective_time, stamp, with_stamp
from craftnet.crafting.state import QueueChange, QueueEntry, QueueState
from craftnet.errors import EventRejected, misrouted

MAX_QUEUES = 64
"""Maximum number of queues in which one player may wait."""

LEAVING = frozenset({QueueMessageType.STATION_AVAILABLE, QueueMessageType.QUEUE_TIMEOUT})
"""Updates with which an entry leaves its queue."""

Key = UUID | Station | None


def entry_key(entry: QueueEntry) -> Key:
    """What distinguishes an entry from the player's other ones."""
    return _entry_key(entry.session_id, entry.station)


def _entry_key(session_id: UUID | None, station: Station | None) -> Key:
    return session_id or station


def check_holder(holder: QueueEntry | None, event: Event) -> None:
    """Refuses a session that already waits in another player's name.

    Arguments:
        holder: the entry, of any player, that names the session of `event`; None when there is none.

    Raises:
        EventRejected: another player's entry names it.
    """
    if holder is not None and isinstance(event.data, QueueUpdate) and holder.player_id != event.data.player_id:
        raise EventRejected("the session already waits in another player's name")


def advance_queue(state: QueueState, event: Event) -> QueueChange:
    """A player's entries after `event`, and the change that it brings.

    Entries that left are not remembered, but the time of leaving is: an update that the same source states as older
    than the player's newest leave creates no entry. This may cost a late entry its first update, and never brings back
    one that left. No clock decides about the leaving itself: a player whose turn was lost would wait for ever.

    Raises:
        EventRejected: the event is not about queues, is older than the state, or makes too many entries.
    """
    data = event.data
    if not isinstance(data, QueueUpdate):
        raise misrouted(data, "queue")
    if data.total_in_queue is not None and data.queue_position > data.total_in_queue:
        raise EventRejected("queue_position is greater than total_in_queue")
    named = _entry_key(event.session_id, data.station_type)
    before = next((known for known in state.entries if entry_key(known) == named), None)
    stamps = with_stamp((before or state).stamps, stamp(event))
    waiting = data.type not in LEAVING
    if waiting:
        check_order(stamps, event)
    since = effective_time(event.when, event.arrived.wall, (before or state).since)
    entry = QueueEntry(_status(data), state.version + 1, since, event.session_id, stamps)
    others = tuple(known for known in state.entries if known is not before)
    entries = (*others, entry) if waiting else others
    if len(entries) > MAX_QUEUES:
        raise EventRejected(f"the player already waits in {MAX_QUEUES} queues")
    if waiting:
        after = QueueState(state.player_id, entry.version, entries, state.since, state.stamps)
    else:
        left = reduce(with_stamp, stamps, state.stamps)
        after = QueueState(state.player_id, entry.version, entries, max(state.since, since), left)
    return QueueChange(after, entry, data.type, waiting, event.accepted, event.trace)


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


def queue_between(old: QueueState, new: QueueState) -> list[QueueChange]:
    """The changes that lead from one state to another, where the true ones were missed.

    A removed entry whose reason is unknown counts as timed out: the player will look for it.
    """
    before: dict[Key, QueueEntry] = {entry_key(entry): entry for entry in old.entries}
    changes = []
    for entry in new.entries:
        if before.pop(entry_key(entry), None) != entry:
            changes.append(QueueChange(new, entry, QueueMessageType.QUEUE_POSITION, True))
    changes.extend(QueueChange(new, gone, QueueMessageType.QUEUE_TIMEOUT, False) for gone in before.values())
    return changes
