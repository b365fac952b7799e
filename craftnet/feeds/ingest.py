"""Receives authority events: parses bodies, and gives each event to the sources that are responsible for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Raw, Struct

from craftnet.clocks import Moment
from craftnet.contract.envelopes import decode, decode_all, split
from craftnet.contract.events import Event, EventOutcome, EventVerdict, count_verdicts
from craftnet.contract.traces import TraceParent
from craftnet.errors import BadRequest
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.sources import apply_valid

MAX_EVENTS = 10_000
"""Maximum number of events in one body."""


_VERDICTS = tuple(verdict.value for verdict in (EventVerdict.ACCEPTED, EventVerdict.DUPLICATE, EventVerdict.REJECTED))
"""In the order of `VerdictCounts`."""

Batch = Sequence[Event | EventOutcome]
"""The events of one body, in order; for an invalid one, the outcome that says why."""


class RawBatch(Struct, frozen=True):
    """The events of one body as JSON, in order, some of which may be invalid.

    Attributes:
        now: when they arrived.
    """

    raws: Sequence[bytes | Raw]
    now: Moment

    def __len__(self) -> int:
        return len(self.raws)


class EventApplier(Protocol):
    """Applies events: `Sources`, or what finds the process whose sources are responsible."""

    async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
        """As `Sources.apply`."""


class RawEventApplier(Protocol):
    """Applies events as JSON, and decodes only those that are applied in this process."""

    async def apply_raw(self, raws: Sequence[bytes | Raw], now: Moment) -> list[EventOutcome]:
        """As `EventApplier.apply`, for events that arrived at `now`."""


class TracedEvents(Protocol):
    """The spans of the events of one body.

    Attributes:
        events: the body, in which each traced event names its span.
    """

    events: Batch

    def finish(self, outcomes: Sequence[EventOutcome]) -> None:
        """Ends the spans; without outcomes, no event was applied."""


class EventTracer(Protocol):
    """Decides which events are traced, and begins their spans."""

    def events(self, batch: Batch, parent: TraceParent | None) -> TracedEvents | None:
        """The spans of a body that came with this parent; None when none of its events is traced."""


class Ingest:
    """The entry point of events.

    Arguments:
        tracer: traces some of them, for which it decodes all; None: none.
        undecoded: applies bodies that need not be decoded here; None: all are.
    """

    def __init__(
        self,
        sources: EventApplier,
        metrics: Metrics,
        tracer: EventTracer | None = None,
        undecoded: RawEventApplier | None = None,
    ) -> None:
        self._tracer = tracer
        self._undecoded = undecoded if tracer is None else None
        self._sources = sources
        self._metrics = metrics

    async def publish(self, body: bytes, *, newline_delimited: bool, now: Moment) -> list[EventOutcome]:
        """Handles a body of events that arrived at `now`: `read`, and then `apply`."""
        return await self.apply(self.read(body, newline_delimited=newline_delimited, now=now))

    def read(self, body: bytes, *, newline_delimited: bool, now: Moment) -> Batch | RawBatch:
        """Parses a body of events that arrived at `now`.

        Raises:
            BadRequest: the body as a whole is not events.
        """
        if self._undecoded is not None:
            return RawBatch(self._split(body, newline_delimited), now)
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

    async def apply(self, batch: Batch | RawBatch, parent: TraceParent | None = None) -> list[EventOutcome]:
        """Applies events.

        Arguments:
            parent: the span of the authority's request.

        Returns:
            One outcome for each, in order.

        Raises:
            Unavailable: as `Sources.apply` raises it; they may be sent again.
        """
        outcomes = await self.attempt(batch, parent)
        self.count(outcomes)
        return outcomes

    async def attempt(self, batch: Batch | RawBatch, parent: TraceParent | None = None) -> list[EventOutcome]:
        """As `apply`, for a caller that counts the outcomes itself, because it may apply some events again."""
        applying, number = self._metrics.applying, len(batch)
        applying.value += number
        try:
            if isinstance(batch, RawBatch):
                assert self._undecoded is not None  # which is why it was not decoded.
                return await self._undecoded.apply_raw(batch.raws, batch.now)
            traced = None if self._tracer is None else self._tracer.events(batch, parent)
            if traced is not None:
                return await self._apply_traced(traced)
            return await apply_valid(self._sources.apply, batch)
        finally:
            applying.value -= number

    async def _apply_traced(self, traced: TracedEvents) -> list[EventOutcome]:
        outcomes: list[EventOutcome] = []
        try:
            outcomes = await apply_valid(self._sources.apply, traced.events)
        finally:
            traced.finish(outcomes)
        return outcomes

    async def submit(self, events: Sequence[Event]) -> list[EventOutcome]:
        """Applies events that were not posted as such; returns and raises as `apply` does."""
        return await self.apply(events)

    def count(self, outcomes: Sequence[EventOutcome]) -> None:
        """Counts the outcomes of events, also of those that arrived in another way."""
        for verdict, number in zip(_VERDICTS, count_verdicts(outcomes), strict=True):
            if number:
                self._metrics.event(verdict, number)


def _too_many() -> BadRequest:
    return BadRequest(f"The body holds more than {MAX_EVENTS} events.")
