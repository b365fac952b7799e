"""Finds the worker that owns a session, and gives events to the workers of their players.

A session is kept by the worker of its owner, who is named by its start, and by the queue update of a waiting craft.
Other events name only the session. A worker that does not know a session asks the others, and remembers the answer.

Events that contradict each other are rejected as one process would reject them, with one exception: a worker remembers
for which player a craft waited first, also when it then waits for, or is started by, a player of another worker.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, TypeVar
from uuid import UUID

import msgspec
from msgspec import UNSET, Raw, Struct
from twisted.internet.defer import Deferred, DeferredList

from craftnet.clocks import IClock, moment
from craftnet.contract.events import ACCEPTED, EVENT_TYPES, Event, EventData, EventOutcome, QueueUpdate, SessionStart
from craftnet.errors import Unavailable
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.links import Links

MAX_REMEMBERED_SESSIONS = 200_000
"""Sessions whose worker is remembered."""

Data = TypeVar("Data")

_NAMING_THE_PLAYER = (SessionStart, QueueUpdate)
_KINDS = tuple(EVENT_TYPES.values())
_NUMBERS = {kind: number for number, kind in enumerate(_KINDS)}


class Ownership(Struct, frozen=True, array_like=True):
    """The players of a session, as the worker that keeps it knows them.

    Attributes:
        owner: the player of the session, once it has started.
        holder: the player in whose name it waits in a queue.
    """

    owner: UUID | None
    holder: UUID | None


NO_OWNER = Ownership(None, None)
"""The ownership of an unknown session."""


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

OWNERSHIP: Operation[list[UUID], list[Ownership]] = Operation("ownership", list[UUID], list[Ownership])
APPLY: Operation[Any, list[EventOutcome]] = Operation("apply", list[tuple[int, Raw]], list[EventOutcome])


class SessionDirectory:
    """Finds the worker that owns a session.

    Arguments:
        sources: those of this worker.
    """

    def __init__(self, links: Links, shards: Shards, sources: Sources) -> None:
        self._links = links
        self._shards = shards
        self._sources = sources
        # The number of the owner's worker, by the session's id as an integer, which a dict finds much faster than a
        # UUID; the oldest first.
        self._known: dict[int, int] = {}
        links.handle(OWNERSHIP, self._answer)

    async def owner(self, session_id: UUID) -> UUID | None:
        """The owner of a session that another worker keeps.

        Raises:
            Unavailable: a worker cannot be asked.
        """
        found = (await self._ask([session_id])).get(session_id)
        return None if found is None else found.owner or found.holder

    async def worker(self, session_id: UUID) -> int | None:
        """The number of the worker that owns a session; None when there is no such session.

        Raises:
            Unavailable: a worker cannot be asked.
        """
        if session_id.int not in self._known:
            (own,) = await self._answer(None, [session_id])
            if own == NO_OWNER:
                own = (await self._ask([session_id])).get(session_id, NO_OWNER)
            self._resolve(session_id, own)
        return self._known.get(session_id.int)

    async def workers_of(self, events: Sequence[Event]) -> list[int | None]:
        """The number of the worker for each event; None where the session is unknown to all.

        There are fewer numbers than events when a later event contradicts an earlier one about the owner of a session:
        the caller asks again for the rest once the earlier ones are applied.

        Raises:
            Unavailable: a worker cannot be asked.
        """
        workers: list[int | None] = []
        named: dict[UUID, UUID] = {}  # the owners that these events name.
        unsure: dict[UUID, None] = {}
        for event in events:
            data, session_id = event.data, event.session_id
            known = None if session_id is None else self._known.get(session_id.int)
            if isinstance(data, _NAMING_THE_PLAYER):
                own = self._shards.of(data.player_id)
                if session_id is None:
                    known = own
                elif named.setdefault(session_id, data.player_id) != data.player_id:
                    break
                elif known != own or isinstance(data, SessionStart):
                    unsure[session_id] = None
            elif known is None and session_id is not None:
                unsure[session_id] = None
            workers.append(known)
        if not unsure:  # nearly always: each session is known already.
            return workers
        asked = await self._ask(list(unsure))
        return [self._worker_of(event, asked) for event in events[: len(workers)]]

    def _worker_of(self, event: Event, asked: Mapping[UUID, Ownership]) -> int | None:
        data, session_id = event.data, event.session_id
        found = asked.get(session_id, NO_OWNER) if session_id is not None else NO_OWNER
        if not isinstance(data, _NAMING_THE_PLAYER):
            return self._resolve(session_id, found)
        own = self._shards.of(data.player_id)
        if session_id is None:
            return own
        # An event that contradicts another worker's state goes to that worker, which rejects it as one process would.
        other = found.holder if isinstance(data, QueueUpdate) else found.owner
        worker = own if other is None else self._shards.of(other)
        if found.owner is None or isinstance(data, SessionStart):
            self._remember(session_id, worker)
        return worker

    def _resolve(self, session_id: UUID | None, found: Ownership) -> int | None:
        if session_id is None:
            return None
        player_id = found.owner or found.holder
        if session_id.int not in self._known and player_id is not None:
            self._remember(session_id, self._shards.of(player_id))
        return self._known.get(session_id.int)

    def _remember(self, session_id: UUID, number: int) -> int:
        self._known[session_id.int] = number
        if len(self._known) > MAX_REMEMBERED_SESSIONS:
            del self._known[next(iter(self._known))]
        return number

    async def _ask(self, session_ids: list[UUID]) -> dict[UUID, Ownership]:
        """What all workers know of sessions with an owner."""
        await self._links.first_contacts()
        answers_by_worker = [await self._answer(None, session_ids)]
        asked = {number: self._links.call(number, OWNERSHIP, session_ids) for number in self._links.connected}
        for number, answer in asked.items():
            try:
                answers_by_worker.append(await answer)
            except Unavailable:
                if number in self._links.connected:
                    raise
                # Otherwise it has ended, and its state with it.
        found: dict[UUID, Ownership] = {}
        for answers in answers_by_worker:
            for session_id, one in zip(session_ids, answers, strict=True):
                if one.owner or one.holder:
                    before = found.get(session_id, one)
                    found[session_id] = Ownership(before.owner or one.owner, before.holder or one.holder)
        return found

    async def _answer(self, _: Caller | None, session_ids: Sequence[UUID]) -> list[Ownership]:
        """What this worker knows."""
        known = []
        for session_id in session_ids:
            session = await self._sources.sessions.get(session_id)
            entry = await self._sources.queues.find(session_id)
            known.append(
                Ownership(None if session is None else session.player_id, None if entry is None else entry.player_id)
            )
        return known


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

    async def apply(self, events: Sequence[Event]) -> list[EventOutcome]:
        """As `Sources.apply`.

        Raises:
            Unavailable: a worker is unreachable. The events of the others are applied, and known by their event_ids.
        """
        outcomes: list[EventOutcome] = []
        while len(outcomes) < len(events):
            rest = events[len(outcomes) :]
            workers = await self._directory.workers_of(rest)
            outcomes += await self._apply(rest[: len(workers)], workers)
        return outcomes

    async def _apply(self, events: Sequence[Event], workers: Sequence[int | None]) -> list[EventOutcome]:
        own = self._shards.number
        parts: dict[int, list[int]] = {}
        for index, worker in enumerate(workers):
            parts.setdefault(own if worker is None else worker, []).append(index)  # rejects events of unknown sessions.
        here = parts.pop(own, None)
        if not parts:
            return await self._sources.apply(events)
        # The others first: they work while this worker applies its own, and have answered when that is done.
        answers = [
            self._links.call(number, APPLY, [_sent(events[index]) for index in indices])
            for number, indices in parts.items()
        ]
        if here is not None:
            parts[own] = here
            answers.append(Deferred.fromCoroutine(self._sources.apply([events[index] for index in here])))
        outcomes: list[EventOutcome] = [ACCEPTED] * len(events)
        for indices, answers_by_worker in zip(parts.values(), await _all(answers), strict=True):
            for index, outcome in zip(indices, answers_by_worker, strict=True):
                outcomes[index] = outcome
        return outcomes

    async def _take(self, _: Caller, sent: Sequence[tuple[int, Raw]]) -> list[EventOutcome]:
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
        return await self._sources.apply(events)


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


async def _all(answers: Sequence[Deferred[Any]]) -> list[Any]:
    """The results of all of them, once all are there; raises Unavailable if one failed so."""
    results = await DeferredList(list(answers), consumeErrors=True)
    for succeeded, result in results:
        if not succeeded:
            result.raiseException()
    return [result for _, result in results]
