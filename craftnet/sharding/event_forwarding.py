"""Gives events to the workers of their players: those of one body at the same time, the other workers' first.

Events that arrive as JSON are decoded by the worker that applies them; the worker that receives them decodes their
headings. Other events, from a message bus for example, travel as MessagePack.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, Struct
from twisted.internet.defer import Deferred

from craftnet.clocks import IClock, Moment, moment
from craftnet.contract.envelopes import EventHeading, decode_each, decode_headings
from craftnet.contract.events import ACCEPTED, EVENT_TYPES, Event, EventData, EventOutcome
from craftnet.contract.messages import MALFORMED
from craftnet.errors import Unavailable
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources, apply_valid
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.directory import SessionDirectory
from craftnet.sharding.links import Links

Data = TypeVar("Data")
Each = TypeVar("Each")

_KINDS = tuple(EVENT_TYPES.values())
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}

Exceptions = list[tuple[int, EventOutcome]]
"""The outcomes of events that were not accepted, by their places among the events of a call: usually none."""


class _Sent(Struct, Generic[Data], frozen=True, array_like=True):
    """An event on its way between workers, each of which has a clock of its own. The fields are those of `Event`."""

    event_id: UUID
    timestamp: float
    data: Data
    session_id: UUID | None
    source: str
    correlation_id: UUID | None
    trace_id: str | None
    trace: str | None = None


def _decoder(kind: type[EventData]) -> msgspec.msgpack.Decoder[Any]:
    return msgspec.msgpack.Decoder(_Sent[kind])  # type: ignore[valid-type]  # msgspec reads it at run time.


_decoders = [_decoder(kind) for kind in _KINDS]

APPLY: Operation[Any, Exceptions] = Operation("apply", list[tuple[int, Raw]], Exceptions)
APPLY_RAW: Operation[list[bytes], Exceptions] = Operation("apply raw", list[bytes], Exceptions)


class ShardedEvents:
    """Applies events, each where its player's state is.

    Arguments:
        sources: those of this worker.
    """

    def __init__(
        self, links: Links, shards: Shards, directory: SessionDirectory, sources: Sources, clock: IClock
    ) -> None:
        self._links = links
        self._shards = shards
        self._directory = directory
        self._sources = sources
        self._clock = clock
        links.handle(APPLY, self._take)
        links.handle(APPLY_RAW, self._take_raw)

    async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
        """As `Sources.apply`.

        Raises:
            Unavailable: a worker is unreachable. The events of the others are applied, and known by their event_ids.
        """

        def send(worker: int, part: Sequence[Event]) -> Deferred[Exceptions]:
            return self._links.call(worker, APPLY, list(map(_sent, part)))

        return await self._divide(events, list(map(EventHeading.of, events)), send, self._sources.apply)

    async def apply_raw(self, raws: Sequence[bytes | Raw], now: Moment) -> list[EventOutcome]:
        """As `apply`, for events as JSON that arrived at `now`."""

        def send(worker: int, part: Sequence[bytes | Raw]) -> Deferred[Exceptions]:
            return self._links.call(worker, APPLY_RAW, list(map(bytes, part)))

        async def apply(part: Sequence[bytes | Raw]) -> list[EventOutcome]:
            return await apply_valid(self._sources.apply, decode_each(part, now))

        try:
            headings = decode_headings(raws)
        except MALFORMED:  # decoding the whole says which, and why.
            return await apply_valid(self.apply, decode_each(raws, now))
        return await self._divide(raws, headings, send, apply)

    async def _divide(
        self,
        events: Sequence[Each],
        headings: Sequence[EventHeading],
        send: Callable[[int, Sequence[Each]], Deferred[Exceptions]],
        apply: Callable[[Sequence[Each]], Awaitable[list[EventOutcome]]],
    ) -> list[EventOutcome]:
        """Sends each worker its events, and applies this worker's."""
        own = self._shards.number
        outcomes: list[EventOutcome] = []
        while (done := len(outcomes)) < len(events):
            workers = await self._directory.workers_of(headings[done:])
            parts: list[list[Each]] = [[] for _ in range(self._shards.count)]
            for worker, event in zip(workers, events[done : done + len(workers)], strict=True):
                parts[worker].append(event)
            # The others first: they work while this worker applies its own.
            answers: dict[int, Awaitable[Exceptions]] = {
                worker: send(worker, part) for worker, part in enumerate(parts) if part and worker != own
            }
            if parts[own]:
                answers = {own: _exceptions(apply(parts[own])), **answers}
            outcomes += [ACCEPTED] * len(workers)
            unavailable: Unavailable | None = None
            for worker, answer in answers.items():
                try:
                    exceptions = await answer
                except Unavailable as error:
                    unavailable = error
                    continue
                if exceptions:
                    places = [place for place, each in enumerate(workers, done) if each == worker]
                    for index, outcome in exceptions:
                        outcomes[places[index]] = outcome
            if unavailable is not None:
                raise unavailable
        return outcomes

    async def _take(self, _: Caller, sent: Sequence[tuple[int, Raw]]) -> Exceptions:
        """Apply what another worker took for this one; it arrives now, on this process's clock."""
        now = moment(self._clock)
        events = []
        for kind, raw in sent:
            one = _decoders[kind].decode(raw)
            events.append(
                Event(
                    one.event_id,
                    one.timestamp,
                    now.steady,
                    one.data,
                    one.session_id,
                    one.source,
                    one.correlation_id,
                    one.trace_id,
                    now.ahead,
                    one.trace or UNSET,
                )
            )
        return await _exceptions(self._sources.apply(events))

    async def _take_raw(self, _: Caller, raws: Sequence[bytes]) -> Exceptions:
        """As `_take`, for events as JSON."""
        return await _exceptions(apply_valid(self._sources.apply, decode_each(raws, moment(self._clock))))


def _sent(event: Event) -> tuple[int, _Sent[EventData]]:
    return _NUMBERS[type(event.data)], _Sent(
        event.event_id,
        event.timestamp,
        event.data,
        event.session_id,
        event.source,
        event.correlation_id,
        event.trace_id,
        event.trace or None,
    )


async def _exceptions(applying: Awaitable[list[EventOutcome]]) -> Exceptions:
    outcomes = await applying
    if outcomes.count(ACCEPTED) == len(outcomes):  # nearly always, and quicker to find out.
        return []
    return [(place, outcome) for place, outcome in enumerate(outcomes) if outcome is not ACCEPTED]
