"""The life of a session: which event may follow which state, and the resulting state.

    (none) ─start─▶ active ⇄ paused, interrupted ─complete─▶ completed
                       └───────────────┴─────────fail, cancel─▶ failed

Nothing follows completed and failed. The state alone decides whether an event may follow, not a clock, so that no start
and no end is lost to one. Only progress must be in order as well, so that no bar moves back; but a report of the end is
an end. Pure: shared by every provider that stores sessions.
"""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from msgspec.structs import replace

from craftnet.contract.events import (
    Event,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
    SessionStart,
)
from craftnet.contract.messages import Status
from craftnet.crafting.event_order import check_order, effective_time, first_stamps, stamp, with_stamp
from craftnet.crafting.progress import Progress, percent_at, rebase, remaining_at
from craftnet.crafting.state import SessionState
from craftnet.errors import EventRejected, misrouted, not_started, started_before


def advance_session(state: SessionState | None, event: Event) -> SessionState:
    """The state after `event`.

    Arguments:
        state: the state before; None when there is none.

    Raises:
        EventRejected: the event contradicts the state; nothing changes.
    """
    data = event.data
    if state is None:
        if isinstance(data, SessionStart):
            return _started(data, event)
        raise not_started()
    if isinstance(data, SessionStart):
        raise started_before()
    progress = state.progress
    if progress.status.terminal:
        raise EventRejected(f"the session has ended: {progress.status.value}")
    stamps, accepted = with_stamp(state.stamps, stamp(event)), event.accepted
    when = effective_time(event.occurred, accepted, progress.anchor)
    if isinstance(data, SessionProgress):  # most events are.
        if not data.status.terminal:
            check_order(stamps, event)
        progress = _reported(progress, data, when)
    else:
        progress = _next(progress, event, when)
    return SessionState(
        state.session_id, state.player_id, state.version + 1, progress, state.recipe_id, accepted, stamps, event.trace
    )


def _started(data: SessionStart, event: Event) -> SessionState:
    begun = effective_time(event.occurred, event.accepted, 0.0)
    progress = Progress(Status.ACTIVE, 0.0, begun, data.estimated_duration_seconds)
    recipe, stamps = _shared(data.recipe_id), first_stamps(event)
    return SessionState(data.session_id, data.player_id, 1, progress, recipe, event.accepted, stamps, event.trace)


@lru_cache(maxsize=4096)
def _shared(recipe_id: UUID) -> UUID:
    """One object for all sessions of a recipe: another one for each would take 112 bytes."""
    return recipe_id


def _next(progress: Progress, event: Event, when: float) -> Progress:
    data = event.data
    match data:
        case SessionPause():
            if progress.status is Status.PAUSED:
                raise EventRejected("the session is already paused")
            return replace(rebase(progress, when), status=Status.PAUSED)
        case SessionResume():
            if progress.status is Status.ACTIVE:
                raise EventRejected("the session is already running")
            remaining = data.remaining_duration_seconds
            if remaining is None:
                remaining = remaining_at(progress, when)
            return replace(rebase(progress, when), status=Status.ACTIVE, remaining=remaining)
        case SessionComplete():
            return replace(progress, status=Status.COMPLETED, percent=100.0, anchor=when, remaining=0.0)
        case SessionFail():
            return _failed(progress, data.failure_reason, when)
        case SessionCancel():
            return _failed(progress, f"cancelled:{data.cancel_reason}", when)
        case _:
            raise misrouted(data, "session")


def _failed(progress: Progress, reason: str, when: float) -> Progress:
    return replace(
        progress,
        status=Status.FAILED,
        percent=percent_at(progress, when),
        anchor=when,
        remaining=0.0,
        failure_reason=reason,
    )


def _reported(progress: Progress, data: SessionProgress, when: float) -> Progress:
    """The model after a progress report; what the report leaves out stays as it was."""
    status, percent, remaining, reason = data.status, data.progress_percentage, data.remaining_time_seconds, None
    if status.terminal:
        remaining = 0.0
        if status is Status.COMPLETED:
            percent = 100.0
        else:
            reason = data.failure_reason or "unknown"
    elif remaining is None:
        remaining = remaining_at(progress, when)
    quality, target_quality = data.current_quality, data.target_quality
    return Progress(
        status,
        percent,
        when,
        remaining,
        progress.quality if quality is None else quality,
        progress.target_quality if target_quality is None else target_quality,
        reason,
    )
