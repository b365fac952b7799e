"""Nodes that read a stream, as the service does it, and the sources that they fill."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from craftnet.clocks import steady
from craftnet.contract.events import Event, EventOutcome
from craftnet.contract.messages import rfc3339
from craftnet.crafting.state import SessionState
from craftnet.errors import Unavailable
from craftnet.feeds.ingest import Ingest
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.streams.consumer import StreamConsumer
from craftnet.streams.core.messages import DeadLetter
from craftnet.streams.interfaces import IEventStream
from craftnet.tests.support.samples import PLAYER, RECIPE


def message(event_type: str, at: float, data: dict[str, object]) -> bytes:
    """An event as the authority publishes it, of the time `at`."""
    return msgspec.json.encode(
        {
            "event_id": uuid4(),
            "event_type": event_type,
            "timestamp": rfc3339(at),
            "version": "1.0.0",
            "source": "tests",
            "data": data,
        }
    )


def start_message(session_id: UUID, at: float, player_id: UUID = PLAYER) -> bytes:
    """A session's start."""
    data: dict[str, object] = {
        "session_id": session_id,
        "recipe_id": RECIPE,
        "player_id": player_id,
        "estimated_duration_seconds": 600,
    }
    return message("crafting.session.start", at, data)


def progress_message(session_id: UUID, at: float, percent: float = 10.0) -> bytes:
    """A session's progress."""
    data: dict[str, object] = {"session_id": session_id, "progress_percentage": percent, "status": "active"}
    return message("crafting.session.progress", at, data)


class RecordedSources:
    """Sources in memory, several nodes' if they share it, that record what is applied.

    Attributes:
        applied: the events whose outcomes were returned, in order.
        unavailable: whether events are refused, as when a store is out of reach.
        refused: how often they were.
        held: events wait for it before they are applied; None: they do not.
    """

    def __init__(self, clock: Any) -> None:
        self.memory = MemoryBackend(clock, MemorySettings())
        self._sources = Sources.of(self.memory)
        self.applied: list[tuple[Event, EventOutcome]] = []
        self.unavailable = False
        self.refused = 0
        self.held: Deferred[None] | None = None

    async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
        """See `Sources`."""
        if self.held is not None:
            await self.held
        if self.unavailable:
            self.refused += 1
            raise Unavailable("out of reach")
        outcomes = await self._sources.apply(events)
        self.applied += zip(events, outcomes, strict=True)
        return outcomes

    def session(self, session_id: UUID) -> SessionState | None:
        """A session's state."""
        found: list[SessionState | None] = []
        self.memory.sessions.get(session_id).addCallback(found.append)
        return found[0]

    def percent(self, session_id: UUID) -> float | None:
        """What was reported of a session last; None: it has not started."""
        state = self.session(session_id)
        return None if state is None else state.progress.percent


class StreamNode:
    """What reads a stream in one node.

    Attributes:
        dead: the dead letters.
    """

    def __init__(
        self, stream: IEventStream, sources: RecordedSources, clock: Any = None, *, alone: bool = False
    ) -> None:
        self.stream = stream
        self.metrics = Metrics()
        self.dead: list[DeadLetter] = []
        self.ingest = Ingest(sources, self.metrics)
        self.consumer = StreamConsumer(
            stream, self.ingest, self.dead.extend, self.metrics.store, clock or steady(reactor), alone=alone
        )

    def figure(self, name: str, **labels: str) -> float:
        """A metric."""
        return self.metrics.registry.get_sample_value(f"craftnet_{name}", labels) or 0.0
