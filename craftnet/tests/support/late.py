"""Sources that answer late, as those across a network do, with state in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar
from uuid import UUID

from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.contract.events import Event, EventOutcome
from craftnet.crafting.state import MaterialsState, QueueEntry, QueueState, SessionState
from craftnet.interfaces import (
    IMaterialListener,
    IMaterialSource,
    IQueueListener,
    IQueueSource,
    ISessionListener,
    ISessionSource,
)

Answer = TypeVar("Answer")
Later = Callable[[Callable[[], None]], object]


class _Late:
    """Answers by way of `later`, which is given what to do; `listening` are the keys and listeners known now."""

    def __init__(self, later: Later) -> None:
        self._later = later
        self.listening: set[tuple[UUID, object]] = set()
        self.failure: Exception | None = None

    def _answer(self, answer: Deferred[Answer]) -> Deferred[Answer]:
        """The present content of the memory, returned later; or `failure`, if there is one then."""
        late: Deferred[Answer] = Deferred()

        def deliver() -> None:
            if self.failure is not None:
                late.errback(self.failure)
            else:
                answer.chainDeferred(late)

        self._later(deliver)
        return late

    def _applicable(self, events: Sequence[Event]) -> Sequence[Event]:
        """The result of applying `events`: a failure applies nothing."""
        return events if self.failure is None else ()


@implementer(ISessionSource)
class LateSessions(_Late):
    """Sessions."""

    def __init__(self, kept: ISessionSource, later: Later) -> None:
        super().__init__(later)
        self._kept = kept

    def get(self, session_id: UUID) -> Deferred[SessionState | None]:
        """As in `ISessionSource`."""
        return self._answer(self._kept.get(session_id))

    def watch(self, session_id: UUID, listener: ISessionListener) -> Deferred[SessionState | None]:
        """As in `ISessionSource`."""
        self.listening.add((session_id, listener))
        return self._answer(self._kept.watch(session_id, listener))

    def unwatch(self, session_id: UUID, listener: ISessionListener) -> None:
        """As in `ISessionSource`."""
        self.listening.discard((session_id, listener))
        self._kept.unwatch(session_id, listener)

    def count(self) -> Deferred[int]:
        """As in `ISessionSource`."""
        return self._answer(self._kept.count())

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in `ISessionSource`."""
        return self._answer(self._kept.apply(self._applicable(events)))


@implementer(IMaterialSource)
class LateMaterials(_Late):
    """Materials."""

    def __init__(self, kept: IMaterialSource, later: Later) -> None:
        super().__init__(later)
        self._kept = kept

    def get(self, session_id: UUID) -> Deferred[MaterialsState]:
        """As in `IMaterialSource`."""
        return self._answer(self._kept.get(session_id))

    def watch(self, session_id: UUID, listener: IMaterialListener) -> Deferred[MaterialsState]:
        """As in `IMaterialSource`."""
        self.listening.add((session_id, listener))
        return self._answer(self._kept.watch(session_id, listener))

    def unwatch(self, session_id: UUID, listener: IMaterialListener) -> None:
        """As in `IMaterialSource`."""
        self.listening.discard((session_id, listener))
        self._kept.unwatch(session_id, listener)

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in `IMaterialSource`."""
        return self._answer(self._kept.apply(self._applicable(events)))


@implementer(IQueueSource)
class LateQueues(_Late):
    """Queue entries."""

    def __init__(self, kept: IQueueSource, later: Later) -> None:
        super().__init__(later)
        self._kept = kept

    def get(self, player_id: UUID) -> Deferred[QueueState]:
        """As in `IQueueSource`."""
        return self._answer(self._kept.get(player_id))

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """As in `IQueueSource`."""
        return self._answer(self._kept.find(session_id))

    def watch(self, player_id: UUID, listener: IQueueListener) -> Deferred[QueueState]:
        """As in `IQueueSource`."""
        self.listening.add((player_id, listener))
        return self._answer(self._kept.watch(player_id, listener))

    def unwatch(self, player_id: UUID, listener: IQueueListener) -> None:
        """As in `IQueueSource`."""
        self.listening.discard((player_id, listener))
        self._kept.unwatch(player_id, listener)

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in `IQueueSource`."""
        return self._answer(self._kept.apply(self._applicable(events)))
