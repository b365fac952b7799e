"""A client's knowledge of a watched session, and the effect of updates on it. Pure."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from craftnet.contract.messages import (
    CraftingProgressData,
    MaterialNotification,
    MaterialProblem,
    QueueStatusData,
    Status,
    WebSocketCraftingMessage,
)
from craftnet.contract.position import Position
from craftnet.crafting.progress import Expectation, Progress
from craftnet.crafting.state import MaterialsChange, QueueChange, SessionState
from craftnet.crafting.updates import Update


class WatchedSession(Struct, frozen=True):
    """One session, as known from its updates.

    Attributes:
        progress: the model to extrapolate from, on the client's clock; None before the first update.
        expected: the time that the craft is expected to take from the model's anchor, if the server says so.
        problems: the materials that are short now, in the order in which they became so.
        queue: the player's place in a queue, if any.
    """

    session_id: UUID
    progress: Progress | None = None
    problems: tuple[MaterialNotification, ...] = ()
    queue: QueueStatusData | None = None
    expected: Expectation | None = None

    @property
    def over(self) -> bool:
        """Whether nothing can follow."""
        return self.progress is not None and self.progress.status.terminal


def apply_update(feed: WatchedSession, update: Update, now: float) -> WatchedSession:
    """The feed after `update`. A state is preferred to messages that say the same less precisely."""
    match update.state:
        case SessionState(progress=progress):
            return replace(feed, progress=progress, expected=None)
        case MaterialsChange(state=state):
            return replace(feed, problems=tuple(item.problem for item in state.materials if item.problem is not None))
        case QueueChange(entry=entry, waiting=waiting):
            return replace(feed, queue=entry.status if waiting else None)
        case None:
            for message in update.messages:
                if isinstance(message, WebSocketCraftingMessage):
                    feed = _state_from_message(feed, message, now)
            return feed


def update_from_message(message: WebSocketCraftingMessage) -> Update:
    """A single message as an update."""
    at = None if message.epoch is None or message.version is None else Position(message.epoch, message.version)
    return Update(None, (message,), at=at, terminal=message.type in _TERMINAL)


_TERMINAL = {"crafting_complete": Status.COMPLETED, "crafting_failed": Status.FAILED}


def _state_from_message(feed: WatchedSession, message: WebSocketCraftingMessage, now: float) -> WatchedSession:
    if message.recovered is False:
        feed = replace(feed, problems=(), queue=None)  # the messages that follow repeat those that remain.
    progress, expected = feed.progress, feed.expected
    if message.progress_data is not None:
        progress, expected = _progress(message.progress_data, now), _expected(message.progress_data)
    status = _TERMINAL.get(message.type)
    if status is not None and (progress is None or progress.status is not status):
        progress = replace(progress or Progress(status, 0.0, now), status=status, anchor=now, remaining=0.0)
    problems = feed.problems
    if message.material_data is not None:
        problems = _with_notification(problems, message.material_data)
    queue = message.queue_data or feed.queue
    return replace(feed, progress=progress, problems=problems, queue=queue, expected=expected)


def _progress(data: CraftingProgressData, now: float) -> Progress:
    """The model of a message on its arrival: its timestamp is on the server's clock, whose offset is unknown."""
    return Progress(
        status=data.status,
        percent=float(data.progress_percentage),
        anchor=now,
        remaining=data.remaining_time_seconds,
        quality=data.current_quality,
        target_quality=data.target_quality,
        failure_reason=data.failure_reason,
    )


def _expected(data: CraftingProgressData) -> Expectation | None:
    p50, p90 = data.expected_seconds_p50, data.expected_seconds_p90
    return None if p50 is None or p90 is None else Expectation(float(p50), float(p90))


def _with_notification(
    problems: tuple[MaterialNotification, ...], news: MaterialNotification
) -> tuple[MaterialNotification, ...]:
    restored = news.notification_type is MaterialProblem.MATERIAL_RESTORED
    by_material = {problem.material_id: problem for problem in problems}
    if restored:
        by_material.pop(news.material_id, None)
    else:
        by_material[news.material_id] = news
    return tuple(by_material.values())
