"""What the hub delivers to watchers: a new state, and the contract's messages that say the same in JSON.

An update is made once for all watchers of a feed and encoded at most once per encoding, when the first watcher asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from craftnet.clocks import Moment
from craftnet.contract.messages import (
    CraftingMessageType,
    CraftingProgressData,
    MaterialNotification,
    QueueMessageType,
    QueueStatusData,
    Status,
    WebSocketCraftingMessage,
    WebSocketHealthMessage,
    WebSocketQueueMessage,
    rfc3339,
    to_json,
)
from craftnet.contract.position import NOTHING, Position, before_materials_change
from craftnet.crafting.progress import Expectation, Progress, extrapolate, percent_at
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, SessionState

Message = WebSocketCraftingMessage | WebSocketQueueMessage | WebSocketHealthMessage
State = SessionState | MaterialsChange | QueueChange | None

_COMPLETED = Status.COMPLETED


class Update(Struct, eq=False, gc=False):
    """One update.

    Attributes:
        state: the new state, for transports that carry states (UDP).
        accepted: when the event behind it reached this service, on the steady clock; None for a snapshot or a refresh.
        at: the feed's position with this update; None where there are no positions.
        messages: the contract's messages, for transports that carry those; may be empty.
        conflatable: a newer conflatable update with the same `conflation_key` replaces this one.
        terminal: nothing follows in this feed, and it must not be dropped.
        ahead: seconds by which the dates that others read are ahead of the state's clock.
    """

    state: State
    messages: tuple[Message, ...]
    accepted: float | None = None
    at: Position | None = None
    conflatable: bool = False
    terminal: bool = False
    ahead: float = 0.0
    # Pairs: nearly every feed has watchers of one or two encodings, and there are many feeds.
    _encoded: tuple[tuple[Encoding, bytes], ...] = ()

    def encoded(self, encoding: Encoding) -> bytes:
        """This update in `encoding`, which is called once."""
        for known, octets in self._encoded:
            if known is encoding:
                return octets
        octets = encoding(self)
        self._encoded = (*self._encoded, (encoding, octets))
        return octets

    @property
    def conflation_key(self) -> Hashable:
        """The session whose updates a conflatable one may replace; None where a feed has only one."""
        return self.state.session_id if isinstance(self.state, SessionState) else None

    @property
    def reached(self) -> Position | None:
        """The position of its last message; None where there is none."""
        if self.at is None or not self.messages:
            return None
        return Position(self.at.epoch, getattr(self.messages[-1], "version", NOTHING))

    @property
    def json(self) -> tuple[bytes, ...]:
        """Each message as JSON."""
        return tuple(map(to_json, self.messages))


class KeyedUpdate(Update, eq=False, gc=False, kw_only=True):
    """A message of a feed with messages of its own.

    Attributes:
        key: what the message is about; a newer conflatable update with the same key replaces this one.
    """

    key: Hashable = None

    @property
    def conflation_key(self) -> Hashable:
        """As in `Update`."""
        return self.key


Encoding = Callable[[Update], bytes]
"""Encodes an update as the octets that a transport sends."""


def progress_data(
    session_id: UUID,
    progress: Progress,
    now: float,
    expected: Expectation | None = None,
    shown: Progress | None = None,
) -> CraftingProgressData:
    """The model at `now` (steady) in the contract's whole numbers: progress rounded down, times rounded up.

    Arguments:
        expected: what was learned about the time that it still takes.
        shown: the model of which the percentage is stated; None: `progress`.
    """
    percent, remaining = extrapolate(progress, now)
    if shown is not None:
        percent = percent_at(shown, now)
    elapsed = max(0.0, now - progress.anchor)
    return CraftingProgressData(
        session_id=session_id,
        progress_percentage=int(percent),
        status=progress.status,
        remaining_time_seconds=None if remaining is None else math.ceil(remaining),
        current_quality=progress.quality,
        target_quality=progress.target_quality,
        failure_reason=progress.failure_reason,
        expected_seconds_p50=None if expected is None else math.ceil(max(0.0, expected.p50 - elapsed)),
        expected_seconds_p90=None if expected is None else math.ceil(max(0.0, expected.p90 - elapsed)),
    )


def progress_update(
    state: SessionState,
    now: Moment,
    accepted: float | None = None,
    at: Position | None = None,
    expected: Expectation | None = None,
    shown: Progress | None = None,
) -> Update:
    """An update of a session's progress or its end.

    Arguments:
        at: the feed's position with it.
        expected: as in `progress_data`.
        shown: the same; records state this model.
    """
    status = state.progress.status
    terminal = status.terminal
    message = _crafting_message(
        "progress_update" if not terminal else "crafting_complete" if status is _COMPLETED else "crafting_failed",
        state.session_id,
        now,
        at,
        progress_data=progress_data(state.session_id, state.progress, now.steady, expected, shown),
    )
    return Update(
        state if shown is None else replace(state, progress=shown),
        (message,),
        accepted=accepted,
        at=at,
        conflatable=not terminal,
        terminal=terminal,
        ahead=now.ahead,
    )


def materials_update(
    change: MaterialsChange, now: Moment, accepted: float | None = None, at: Position | None = None
) -> Update:
    """An update of a session's materials; each notification is a message of its own.

    Only the last one has the position `at`. The others have the one before the change: a subscriber that receives only
    some of them resumes there, and receives all of them again.
    """
    before, notifications = at, change.notifications
    if at is not None and len(notifications) > 1:
        before = Position(at.epoch, before_materials_change(at.version))
    messages = tuple(
        _crafting_message(
            "material_notification",
            change.state.session_id,
            now,
            at if number == len(notifications) else before,
            material_data=notification,
        )
        for number, notification in enumerate(notifications, 1)
    )
    return Update(change, messages, accepted=accepted, at=at)


def materials_snapshot(state: MaterialsState, now: Moment, at: Position | None = None) -> Update:
    """The whole state of a session's materials; its messages are the present problems."""
    problems = tuple(material.problem for material in state.materials if material.problem is not None)
    return materials_update(MaterialsChange(state, (), problems), now, None, at)


def whole_or_nothing(updates: Sequence[Update]) -> list[Update]:
    """The updates that bring a subscriber to a position, which only the very last message has.

    The others have the version `NOTHING`: a subscriber that receives only some of them resumes with the whole state.
    """
    following, result = 0, []
    for update in reversed(updates):
        result.append(_without_position(update, len(update.messages) - (not following)))
        following += len(update.messages)
    return result[::-1]


def _without_position(update: Update, count: int) -> Update:
    """The update, its first `count` messages with the version `NOTHING`."""
    if count <= 0:
        return update
    messages = update.messages
    return replace(
        update, messages=(*(replace(message, version=NOTHING) for message in messages[:count]), *messages[count:])
    )


def session_queue_update(
    session_id: UUID, change: QueueChange, now: Moment, accepted: float | None = None, at: Position | None = None
) -> Update:
    """A queue entry of the player of a crafting feed."""
    message = _crafting_message("queue_status", session_id, now, at, queue_data=change.entry.status)
    return Update(change, (message,), accepted=accepted, at=at)


def queue_update(change: QueueChange, now: Moment, accepted: float | None = None, at: Position | None = None) -> Update:
    """An update of a queue feed."""
    message = _queue_message(change.news, change.entry.status.player_id, now, at, status=change.entry.status)
    return Update(change, (message,), accepted=accepted, at=at)


def session_return(session_id: UUID, recovered: bool, now: Moment, at: Position) -> Update:
    """Whether the changes that a returning watcher of a session missed follow, or the full state. It has no data."""
    return Update(None, (_crafting_message("queue_status", session_id, now, at, recovered=recovered),), at=at)


def queue_return(player_id: UUID, recovered: bool, now: Moment, at: Position) -> Update:
    """The same for a watcher of a player's queue entries."""
    message = _queue_message(QueueMessageType.QUEUE_POSITION, player_id, now, at, recovered=recovered)
    return Update(None, (message,), at=at)


def session_heartbeat(session_id: UUID, now: Moment, at: Position) -> Update:
    """A heartbeat for a watcher of a quiet session. It has no data."""
    return Update(None, (_crafting_message("progress_update", session_id, now, at),), at=at)


def queue_heartbeat(player_id: UUID, now: Moment, at: Position) -> Update:
    """The same for a watcher of a player's queue entries."""
    return Update(None, (_queue_message(QueueMessageType.QUEUE_POSITION, player_id, now, at),), at=at)


def health_update(message: WebSocketHealthMessage) -> Update:
    """A message of the health feed."""
    return Update(None, (message,))


def _crafting_message(
    kind: CraftingMessageType,
    session_id: UUID,
    now: Moment,
    at: Position | None,
    *,
    progress_data: CraftingProgressData | None = None,
    material_data: MaterialNotification | None = None,
    queue_data: QueueStatusData | None = None,
    recovered: bool | None = None,
) -> WebSocketCraftingMessage:
    """A message of a crafting feed, dated `now`, with the position that the feed has with it."""
    return WebSocketCraftingMessage(
        type=kind,
        session_id=session_id,
        timestamp=rfc3339(now.wall),
        progress_data=progress_data,
        material_data=material_data,
        queue_data=queue_data,
        epoch=None if at is None else at.epoch,
        version=None if at is None else at.version,
        recovered=recovered,
    )


def _queue_message(
    news: QueueMessageType,
    player_id: UUID,
    now: Moment,
    at: Position | None,
    *,
    status: QueueStatusData | None = None,
    recovered: bool | None = None,
) -> WebSocketQueueMessage:
    """A message of a queue feed, dated `now`, with the position that the feed has with it."""
    return WebSocketQueueMessage(
        type=news,
        player_id=player_id,
        timestamp=rfc3339(now.wall),
        queue_position=None if status is None else status.queue_position,
        estimated_wait_time=None if status is None else status.estimated_wait_seconds,
        station_type=None if status is None else status.station_type,
        epoch=None if at is None else at.epoch,
        version=None if at is None else at.version,
        recovered=recovered,
    )
