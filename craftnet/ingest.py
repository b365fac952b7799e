"""Where authority events come in: taken apart, and each given to the sources that are responsible for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import Raw

from craftnet.clocks import Moment
from craftnet.envelopes import decode, decode_all, split
from craftnet.errors import BadRequest
from craftnet.events import Event, Outcome, Verdict, verdicts
from craftnet.observe.metrics import Metrics

MAX_EVENTS = 10_000
"""How many events one body may hold."""


Batch = Sequence[Event | Outcome]
"""The events of one body, in order; in place of one that is wrong, the outcome that says so."""


class Applier(Protocol):
    """What events are given to: `Sources`, or what finds the process whose sources are responsible."""

    async def apply(self, events: Sequence[Event]) -> list[Outcome]:
        """As `Sources.apply`."""


class Ingest:
    """The way in for events."""

    def __init__(self, sources: Applier, metrics: Metrics) -> None:
        self._sources = sources
        self._metrics = metrics

    async def publish(self, body: bytes, *, newline_delimited: bool, now: Moment) -> list[Outcome]:
        """Take a body of events that arrived at `now`: `read`, and then `apply`."""
        return await self.apply(self.read(body, newline_delimited=newline_delimited, now=now))

    def read(self, body: bytes, *, newline_delimited: bool, now: Moment) -> Batch:
        """Take apart a body of events that arrived at `now`.

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

    async def apply(self, batch: Batch) -> list[Outcome]:
        """Take events.

        Returns:
            One outcome for each, in order.

        Raises:
            Unavailable: as `Sources.apply` raises it; they may be sent again.
        """
        applied = iter(await self._sources.apply([event for event in batch if isinstance(event, Event)]))
        outcomes = [next(applied) if isinstance(event, Event) else event for event in batch]
        self.count(outcomes)
        return outcomes

    async def submit(self, events: Sequence[Event]) -> list[Outcome]:
        """Take events that were not posted as such; answers and raises as `apply` does."""
        return await self.apply(events)

    def count(self, outcomes: Sequence[Outcome]) -> None:
        """What became of events, also of those that came in another way."""
        accepted, duplicates, rejected = verdicts(outcomes)
        for verdict, number in (
            (Verdict.ACCEPTED, accepted),
            (Verdict.DUPLICATE, duplicates),
            (Verdict.REJECTED, rejected),
        ):
            if number:
                self._metrics.event(verdict.value, number)


def _too_many() -> BadRequest:
    return BadRequest(f"The body holds more than {MAX_EVENTS} events.")
