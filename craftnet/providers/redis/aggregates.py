"""The three kinds of aggregates in Redis, each with its rules, and the plan for a run of events of one. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from craftnet.contract.events import ACCEPTED, DUPLICATE, Event, EventOutcome, QueueUpdate, SessionData, rejected
from craftnet.crafting import material_rules, queue_rules, session_rules
from craftnet.crafting.queue_rules import check_holder
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.crafting.timing import advance_timed
from craftnet.errors import EventRejected, misrouted, names_no_session
from craftnet.interfaces import IMaterialListener, IQueueListener, ISessionListener

State = TypeVar("State")
Change = TypeVar("Change")
Listener = TypeVar("Listener")


class Aggregate(Struct, Generic[State, Change, Listener], frozen=True):
    """One kind.

    Attributes:
        name: its name in keys and streams.
        recalled: whether returning watchers receive what they missed, and not only the newest state.
        key: the id of the thing that an event is about.
            Raises `EventRejected` for an event that is about none.
        blank: the state of an unknown thing, from a version on.
        version: of a state.
        advance: the rule.
            Raises `EventRejected`.
        after: the state that a change led to.
        between: changes that lead from one state to another, where the true ones were missed. A session's change is its
            state; None for a removed session.
        notify: gives a change to a listener.
        reset: gives a listener a state that differs from the previous one in its version only, so that no change leads
            to it.
        read_state, read_change: from JSON.
            Raise `msgspec.DecodeError`.
    """

    name: str
    recalled: bool
    key: Callable[[Event], UUID]
    blank: Callable[[UUID, int], State]
    version: Callable[[State], int]
    advance: Callable[[State, Event], Change]
    after: Callable[[Change], State]
    between: Callable[[State, State], Sequence[Change]]
    notify: Callable[[Listener, Change], None]
    reset: Callable[[Listener, State], None]
    read_state: Callable[[bytes], State]
    read_change: Callable[[bytes], Change]


def _session_of(event: Event) -> UUID:
    if not isinstance(event.data, SessionData):
        raise misrouted(event.data, "session")
    return event.data.session_id


def _notify_session(listener: ISessionListener, state: SessionState | None) -> None:
    listener.session_changed(state)


SESSIONS: Aggregate[SessionState | None, SessionState | None, ISessionListener] = Aggregate(
    name="session",
    recalled=False,
    key=_session_of,
    blank=lambda key, version: None,
    version=lambda state: 0 if state is None else state.version,
    advance=session_rules.advance_session,
    after=lambda change: change,
    between=lambda old, new: (new,),
    notify=_notify_session,
    reset=_notify_session,
    read_state=msgspec.json.Decoder(SessionState).decode,
    read_change=msgspec.json.Decoder(SessionState).decode,
)

TIMED_SESSIONS = replace(SESSIONS, advance=advance_timed)
"""The same, for nodes that time crafts."""


def _materials_of(event: Event) -> UUID:
    if event.session_id is None:
        raise names_no_session()
    return event.session_id


def _notify_materials(listener: IMaterialListener, change: MaterialsChange) -> None:
    listener.materials_changed(change)


MATERIALS: Aggregate[MaterialsState, MaterialsChange, IMaterialListener] = Aggregate(
    name="materials",
    recalled=True,
    key=_materials_of,
    blank=lambda key, version: MaterialsState(key),
    version=attrgetter("version"),
    advance=material_rules.advance_materials,
    after=attrgetter("state"),
    between=material_rules.materials_between,
    notify=_notify_materials,
    reset=lambda listener, state: _notify_materials(listener, MaterialsChange(state)),
    read_state=msgspec.json.Decoder(MaterialsState).decode,
    read_change=msgspec.json.Decoder(MaterialsChange).decode,
)


def _player_of(event: Event) -> UUID:
    if not isinstance(event.data, QueueUpdate):
        raise misrouted(event.data, "queue")
    return event.data.player_id


def _notify_queue(listener: IQueueListener, change: QueueChange) -> None:
    listener.queue_changed(change)


QUEUES: Aggregate[QueueState, QueueChange, IQueueListener] = Aggregate(
    name="queue",
    recalled=True,
    key=_player_of,
    blank=QueueState,
    version=attrgetter("version"),
    advance=queue_rules.advance_queue,
    after=attrgetter("state"),
    between=queue_rules.queue_between,
    notify=_notify_queue,
    reset=lambda listener, state: listener.queue_reset(state),
    read_state=msgspec.json.Decoder(QueueState).decode,
    read_change=msgspec.json.Decoder(QueueChange).decode,
)


class AppliedEvent(Struct, Generic[Change], frozen=True):
    """An accepted event and the change that it led to."""

    event_id: UUID
    version: int
    change: Change


class AggregatePlan(Struct, Generic[State, Change], frozen=True):
    """The plan for a run of events of one thing.

    Attributes:
        steps: of the accepted events; without them there is nothing to store.
        outcomes: one for each event.
    """

    before: State
    after: State
    steps: Sequence[AppliedEvent[Change]]
    outcomes: Sequence[EventOutcome]


def plan_events(
    subject: Aggregate[State, Change, Listener],
    before: State,
    events: Sequence[Event],
    seen: Iterable[UUID],
    entries: Iterable[QueueEntry | None],
) -> AggregatePlan[State, Change]:
    """The result of `events`.

    Arguments:
        seen: the ids of events that were accepted before.
        entries: for each event, the queue entry of its session.
    """
    # UUIDs are hashed and compared in Python.
    state, known = before, {event_id.int for event_id in seen}
    steps: list[AppliedEvent[Change]] = []
    outcomes: list[EventOutcome] = []
    for event, entry in zip(events, entries, strict=True):
        if event.event_id.int in known:
            outcomes.append(DUPLICATE)
            continue
        try:
            check_holder(entry, event)
            change = subject.advance(state, event)
        except EventRejected as error:
            outcomes.append(rejected(str(error)))
            continue
        state = subject.after(change)
        known.add(event.event_id.int)
        steps.append(AppliedEvent(event.event_id, subject.version(state), change))
        outcomes.append(ACCEPTED)
    return AggregatePlan(before, state, steps, outcomes)
