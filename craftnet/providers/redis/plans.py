"""What a run of events makes of one thing, before it is kept. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic
from uuid import UUID

from msgspec import Struct

from craftnet.errors import EventRejected
from craftnet.events import ACCEPTED, DUPLICATE, Event, Outcome, rejected
from craftnet.providers.redis.subjects import Change, Listener, State, Subject
from craftnet.state import QueueEntry
from craftnet.waiting import check_holder


class Step(Struct, Generic[Change], frozen=True):
    """An event that was accepted, and what came of it."""

    event_id: UUID
    version: int
    change: Change


class Plan(Struct, Generic[State, Change], frozen=True):
    """The whole run.

    Attributes:
        steps: of the events that were accepted; there is nothing to keep without them.
        outcomes: one for each event.
    """

    before: State
    after: State
    steps: Sequence[Step[Change]]
    outcomes: Sequence[Outcome]


def plan(
    subject: Subject[State, Change, Listener],
    before: State,
    events: Sequence[Event],
    seen: Iterable[UUID],
    places: Iterable[QueueEntry | None],
) -> Plan[State, Change]:
    """What comes of `events`.

    Arguments:
        seen: the ids of those that were accepted before.
        places: for each event, what its session waits as.
    """
    state, known = before, set(seen)
    steps: list[Step[Change]] = []
    outcomes: list[Outcome] = []
    for event, place in zip(events, places, strict=True):
        if event.event_id in known:
            outcomes.append(DUPLICATE)
            continue
        try:
            check_holder(place, event)
            change = subject.advance(state, event)
        except EventRejected as error:
            outcomes.append(rejected(str(error)))
            continue
        state = subject.after(change)
        known.add(event.event_id)
        steps.append(Step(event.event_id, subject.version(state), change))
        outcomes.append(ACCEPTED)
    return Plan(before, state, steps, outcomes)
