"""Where authority events come in: taken apart, and each given to the sources that are responsible for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import groupby

import msgspec

from craftnet.errors import BadRequest
from craftnet.events import (
    Event,
    MaterialsUpdate,
    Outcome,
    QueueUpdate,
    SessionStart,
    Verdict,
    decode,
    split,
)
from craftnet.feeds.sources import Sources
from craftnet.interfaces import IMaterialSource, IQueueSource, ISessionSource
from craftnet.observe.metrics import Metrics

MAX_EVENTS = 10_000
"""How many events one body may hold."""

Source = ISessionSource | IMaterialSource | IQueueSource


class Ingest:
    """The way in for events."""

    def __init__(self, sources: Sources, metrics: Metrics) -> None:
        self._sources = sources
        self._metrics = metrics

    async def publish(self, body: bytes, *, newline_delimited: bool, now: float) -> list[Outcome]:
        """Take a body of events that arrived at `now`, Unix seconds.

        Returns:
            One outcome for each event, in order.

        Raises:
            BadRequest: the body as a whole is not events.
            Unavailable: a source is out of reach; nothing of this body was half-applied, and it may be sent again.
        """
        try:
            raws = split(body, newline_delimited=newline_delimited)
        except msgspec.DecodeError as error:
            raise BadRequest(f"The body is not JSON: {error}.") from None
        if not raws:
            raise BadRequest("The body holds no event.")
        if len(raws) > MAX_EVENTS:
            raise BadRequest(f"The body holds more than {MAX_EVENTS} events.")
        decoded = [decode(raw, now) for raw in raws]
        applied = iter(await self._apply([event for event in decoded if isinstance(event, Event)]))
        outcomes = [next(applied) if isinstance(event, Event) else event for event in decoded]
        self._count(outcomes)
        return outcomes

    async def submit(self, events: Sequence[Event]) -> list[Outcome]:
        """Take events that are decoded already; answers and raises as `publish` does."""
        outcomes = await self._apply(events)
        self._count(outcomes)
        return outcomes

    async def _apply(self, events: Sequence[Event]) -> list[Outcome]:
        """Runs of events for the same source go to it together; between sources the order stays as it came."""
        outcomes: list[Outcome] = []
        for source, run in groupby(events, self._responsible):
            batch = list(run)
            verdicts = await source.apply(batch)
            started = [
                event
                for event, outcome in zip(batch, verdicts, strict=True)
                if isinstance(event.data, SessionStart) and outcome.verdict is not Verdict.REJECTED
            ]
            if started:
                await self._sources.materials.apply(started)
            outcomes.extend(verdicts)
        return outcomes

    def _responsible(self, event: Event) -> Source:
        match event.data:
            case QueueUpdate():
                return self._sources.queues
            case MaterialsUpdate():
                return self._sources.materials
            case _:
                return self._sources.sessions

    def _count(self, outcomes: Sequence[Outcome]) -> None:
        for verdict, number in Counter(outcome.verdict.value for outcome in outcomes).items():
            self._metrics.event(verdict, number)
