"""Receives authority events: parses bodies, and gives each event to the sources that are responsible for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from craftnet.clocks import Moment
from craftnet.contract.envelopes import decode, decode_all, split
from craftnet.contract.events import Event, EventOutcome, EventVerdict, count_verdicts
from craftnet.errors import BadRequest
from craftnet.observe.metrics.registry import Metrics

MAX_EVENTS = 10_000
"""Maximum number of events in one body."""


Batch = Sequence[Event | EventOutcome]
"""The events of one body, in order; for an invalid one, the outcome that says why."""


class EventApplier(Protocol):
    """Applies events: `Sources`, or what finds the process whose sources are responsible."""

    async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
        """As `Sources.apply`."""


class Ingest:
    """The entry point of events."""

    def __init__(self, sources: EventApplier, metrics: Metrics) -> None:
        self._sources = sources
        self._metrics = metrics

    async def publish(self, body: bytes, *, newline_delimited: bool, now: Moment) -> list[EventOutcome]:
        """Handles a body of events that arrived at `now`: `read`, and then `apply`."""
        return await self.apply(self.read(body, newline_delimited=newline_delimited, now=now))

    def read(self, body: bytes, *, newline_delimited: bool, now: Moment) -> Batch:
        """Parses a body of events that arrived at `now`.

        Raises:
            BadRequest: the body as a whole is not events.
        """
        batch: Batch | None = decode_all(body, now, newline_delimited=newline_delimited)
        if batch is None:
            batch = [decode(raw, now) for raw in self._split(body, newline_delimited)]
        elif len(batch) > MAX_EVENTS:
            raise _too_many()
        return batch

    def _split(self, body: bytes, newline_delimited: bool) -> list[bytes | Raw]:
        try:
            raws = split(body, newline_delimited=newline_delimited)
        except msgspec.DecodeError as error:
            raise BadRequest(f"The body is not JSON: {error}. Send one event, or an array of them.") from None
        if not raws:
            raise BadRequest("The body holds no event.")
        if len(raws) > MAX_EVENTS:
            raise _too_many()
        return raws

    async def apply(self, batch: Batch) -> list[EventOutcome]:
        """Applies events.

        Returns:
            One outcome for each, in order.

        Raises:
            Unavailable: as `Sources.apply` raises it; they may be sent again.
        """
        applied = iter(await self._sources.apply([event for event in batch if isinstance(event, Event)]))
        outcomes = [next(applied) if isinstance(event, Event) else event for event in batch]
        self.count(outcomes)
        return outcomes

    async def submit(self, events: Sequence[Event]) -> list[EventOutcome]:
        """Applies events that were not posted as such; returns and raises as `apply` does."""
        return await self.apply(events)

    def count(self, outcomes: Sequence[EventOutcome]) -> None:
        """Counts the outcomes of events, also of those that arrived in another way."""
        accepted, duplicates, rejected = count_verdicts(outcomes)
        for verdict, number in (
            (EventVerdict.ACCEPTED, accepted),
            (EventVerdict.DUPLICATE, duplicates),
            (EventVerdict.REJECTED, rejected),
        ):
            if number:
                self._metrics.event(verdict.value, number)


def _too_many() -> BadRequest:
    return BadRequest(f"The body holds more than {MAX_EVENTS} events.")
