"""The three sources together: where state comes from, and which of them handles an event."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import groupby
from typing import Any, cast
from uuid import UUID

from msgspec import Struct

from craftnet.contract.events import Event, EventOutcome, EventVerdict, MaterialsUpdate, QueueUpdate, SessionStart
from craftnet.crafting.state import MaterialsChange, QueueChange
from craftnet.errors import Unavailable
from craftnet.interfaces import (
    IAtomicStart,
    IBackend,
    IMaterialSource,
    IQueueSource,
    IRecallingSource,
    ISessionSource,
    ISharedSource,
)
from craftnet.providers.inspection import IEventTap, Tap, add_tap

_NOT_FOR_SESSIONS = frozenset({QueueUpdate, MaterialsUpdate})
"""The event types that are not part of a session's life."""


class Sources(Struct, frozen=True):
    """The sources of sessions, materials and queues; each may come from another provider."""

    sessions: ISessionSource
    materials: IMaterialSource
    queues: IQueueSource

    @classmethod
    def of(cls, backend: IBackend) -> Sources:
        """The three sources of one back end."""
        return cls(backend.sessions, backend.materials, backend.queues)

    async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
        """Gives each event to the sources that are responsible for it, in order.

        Returns:
            One outcome for each event.

        Raises:
            Unavailable: a source is unreachable. Events applied before are known by their event_id, so the caller may
                send all of them again.
        """
        if events and _NOT_FOR_SESSIONS.isdisjoint({type(event.data) for event in events}):  # nearly always.
            return await self._live(events)
        outcomes: list[EventOutcome] = []
        for source, run in groupby(events, self.responsible):
            batch = list(run)
            outcomes += await (self._live(batch) if source is self.sessions else source.apply(batch))
        return outcomes

    def responsible(self, event: Event) -> ISessionSource | IMaterialSource | IQueueSource:
        """The source whose state an event changes first."""
        match event.data:
            case QueueUpdate():
                return self.queues
            case MaterialsUpdate():
                return self.materials
            case _:
                return self.sessions

    async def _live(self, events: Sequence[Event]) -> list[EventOutcome]:
        """Applies session events; those that start a session concern its materials as well."""
        if IAtomicStart.providedBy(self.sessions) and self.sessions.materials is self.materials:
            return await self.sessions.apply_with_materials(events)
        outcomes = await self.sessions.apply(events)
        if begun := started(events, outcomes):
            await self.materials.apply(begun)
        return outcomes

    def add_tap(self, tap: Tap) -> None:
        """Calls `tap` with the events that the sources apply, each once; those of a source that shows none are missing.

        See `craftnet.providers.inspection.IEventTap`.
        """
        for source in (self.sessions, self.queues):
            if IEventTap.providedBy(source):
                add_tap(source, tap)
        if IEventTap.providedBy(self.materials):
            add_tap(self.materials, partial(_tap_materials, tap))

    async def caught_up(self, session_id: UUID | None, player_id: UUID | None) -> None:
        """Waits for every shared source as `ISharedSource` does; None skips a key.

        Raises:
            Unavailable: a source cannot say whether it has caught up, or lags for too long.
        """
        wanted = ((self.sessions, session_id), (self.materials, session_id), (self.queues, player_id))
        waiting = [
            source.caught_up(key) for source, key in wanted if key is not None and ISharedSource.providedBy(source)
        ]
        problem: Unavailable | None = None
        for each in waiting:
            try:
                await each
            except Unavailable as error:
                problem = error
        if problem is not None:
            raise problem

    def check_hearing(self) -> None:
        """Checks that this node receives changes.

        Raises:
            Unavailable: it does not, so new watchers would receive an outdated state.
        """
        for source in (self.sessions, self.materials, self.queues):
            if ISharedSource.providedBy(source) and source.stalled:
                raise Unavailable(source.stalled)

    async def recall_materials(self, session_id: UUID, version: int) -> Sequence[MaterialsChange]:
        """As in `IRecallingSource`; empty when the source does not implement it."""
        return await _recall(self.materials, session_id, version)

    async def recall_queue(self, player_id: UUID, version: int) -> Sequence[QueueChange]:
        """As `IRecallingSource` does; nothing when the source cannot."""
        return await _recall(self.queues, player_id, version)


async def apply_valid(
    apply: Callable[[Sequence[Event]], Awaitable[list[EventOutcome]]], batch: Sequence[Event | EventOutcome]
) -> list[EventOutcome]:
    """Applies the events of a batch in which an invalid one is replaced by its outcome.

    Arguments:
        apply: as `Sources.apply`.

    Returns:
        One outcome for each.
    """
    if EventOutcome not in set(map(type, batch)):  # nearly always.
        return await apply(cast("Sequence[Event]", batch))
    applied = iter(await apply([event for event in batch if isinstance(event, Event)]))
    return [next(applied) if isinstance(event, Event) else event for event in batch]


def _tap_materials(tap: Tap, events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> None:
    """Leaves out the starts of sessions, which the source of sessions shows as well."""
    own = [pair for pair in zip(events, outcomes, strict=True) if isinstance(pair[0].data, MaterialsUpdate)]
    tap([event for event, _ in own], [outcome for _, outcome in own])


def started(events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> list[Event]:
    """The events that started a session: their materials are stored, unless there are some already."""
    return [
        event
        for event, outcome in zip(events, outcomes, strict=True)
        if isinstance(event.data, SessionStart) and outcome.verdict is not EventVerdict.REJECTED
    ]


async def _recall(source: object, key: UUID, version: int) -> Sequence[Any]:
    return await source.recall(key, version) if IRecallingSource.providedBy(source) else ()
