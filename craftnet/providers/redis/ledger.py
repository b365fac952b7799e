"""What an event makes of what is kept: read, apply the rule here, and write if nobody else did meanwhile."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Generic
from uuid import UUID

import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from craftnet.errors import EventRejected, Unavailable
from craftnet.events import ACCEPTED, DUPLICATE, Event, Outcome, rejected
from craftnet.positions import KEPT, REACH
from craftnet.providers.redis import scripts
from craftnet.providers.redis.keys import Keys, partition_of
from craftnet.providers.redis.link import Link, Value
from craftnet.providers.redis.marks import Mark
from craftnet.providers.redis.settings import RedisSettings
from craftnet.providers.redis.subjects import Change, Listener, State, Subject
from craftnet.state import QueueEntry, QueueState, SessionState
from craftnet.waiting import check_holder

ATTEMPTS = 50
"""How often something is tried again because another node was faster."""

AT_ONCE = 128
"""To how many things of one kind events are applied at the same time.

Redis does one after the other anyway; what waits in its queue for longer than the timeout would count as lost.
"""

_encode = msgspec.json.Encoder().encode
_read_entry = msgspec.json.Decoder(QueueEntry).decode
_log = Logger()


class _Unreadable(Unavailable):
    """What Redis keeps of a thing is not ours."""


class Kept(Struct, Generic[State], frozen=True):
    """What Redis keeps of one thing.

    Attributes:
        end: where the stream of its partition ended at that moment.
    """

    state: State
    end: Mark


class _Step(Struct, Generic[Change], frozen=True):
    """An event that was accepted, and what came of it."""

    event_id: UUID
    version: int
    change: Change


class _Plan(Struct, Generic[State, Change], frozen=True):
    """What a run of events makes of one thing."""

    before: State
    after: State
    steps: Sequence[_Step[Change]]
    outcomes: Sequence[Outcome]


class Ledger(Generic[State, Change, Listener]):
    """All things of one kind."""

    def __init__(
        self,
        subject: Subject[State, Change, Listener],
        keys: Keys,
        link: Link,
        settings: RedisSettings,
        clock: IReactorTime,
    ) -> None:
        self._subject = subject
        self._keys = keys
        self._link = link
        self._settings = settings
        self._clock = clock
        self._room = DeferredSemaphore(AT_ONCE)

    async def look(self, key: UUID) -> Kept[State]:
        """What is known of one thing.

        Raises:
            Unavailable: nobody knows.
        """
        names = [
            self._keys.state(self._subject.name, key),
            self._keys.floor(self._subject.name),
            self._keys.changes(partition_of(key)),
            self._keys.numbers,
        ]
        version, state, entry, number = await self._link.run(scripts.LOOK, names, ())
        return Kept(self._state(key, version, state), Mark(entry, int(number)))

    async def place(self, session_id: UUID) -> QueueEntry | None:
        """What a session waits as; raises as `look` does."""
        return self._place(session_id, await self._link.ask("HGET", self._keys.waiters, str(session_id)))

    async def recall(self, key: UUID, version: int) -> Sequence[Change]:
        """What followed `version` of one thing, as far as it is known; raises as `look` does."""
        names = [self._keys.recent(self._subject.name, key), self._keys.changes(partition_of(key))]
        try:
            return [self._subject.read_change(one) for one in await self._link.run(scripts.RECALL, names, (version,))]
        except msgspec.DecodeError as error:
            raise self._unreadable(key, error) from None

    async def count(self) -> int:
        """How many things are kept; raises as `look` does."""
        number: int = await self._link.ask("ZCARD", self._keys.due(self._subject.name))
        return number

    async def apply(self, events: Sequence[Event]) -> list[Outcome]:
        """As in the interfaces. Things are independent of each other; of each, the events stay in order."""
        outcomes: list[Outcome] = [ACCEPTED] * len(events)
        runs: dict[UUID, list[int]] = {}
        for index, event in enumerate(events):
            try:
                runs.setdefault(self._subject.key(event), []).append(index)
            except EventRejected as error:
                outcomes[index] = rejected(str(error))

        async def run(key: UUID, indices: Sequence[int]) -> None:
            async with self._room:
                applied = await self._apply(key, [events[index] for index in indices])
            for index, outcome in zip(indices, applied, strict=True):
                outcomes[index] = outcome

        tasks = [Deferred.fromCoroutine(run(key, indices)) for key, indices in runs.items()]
        await _all_of(tasks)
        return outcomes

    async def _apply(self, key: UUID, events: Sequence[Event]) -> Sequence[Outcome]:
        for _ in range(ATTEMPTS):
            try:
                plan = await self._plan(key, events)
            except _Unreadable as error:  # that does not pass: events of other things must not wait for these.
                return [rejected(error.message)] * len(events)
            if not plan.steps or await self._commit(key, plan):
                return plan.outcomes
        raise Unavailable("Too many nodes change the same thing at the same time.")

    async def _plan(self, key: UUID, events: Sequence[Event]) -> _Plan[State, Change]:
        name = self._subject.name
        names = [
            self._keys.state(name, key),
            self._keys.floor(name),
            self._keys.seen(name, key),
            self._keys.waiters,
        ]
        ids = [event.event_id.bytes for event in events]
        sessions = [] if name != "queue" else [str(event.session_id) for event in events]
        version, state, known, holders = await self._link.run(scripts.READ, names, [len(ids), *ids, *sessions])
        seen = {event.event_id for event, flag in zip(events, known, strict=True) if flag}
        places = [self._place(key, holder) for holder in holders] or [None] * len(events)
        return self._fold(self._state(key, version, state), events, seen, places)

    def _fold(
        self, before: State, events: Sequence[Event], seen: set[UUID], places: Iterable[QueueEntry | None]
    ) -> _Plan[State, Change]:
        state = before
        steps: list[_Step[Change]] = []
        outcomes: list[Outcome] = []
        for event, place in zip(events, places, strict=True):
            if event.event_id in seen:
                outcomes.append(DUPLICATE)
                continue
            try:
                check_holder(place, event)
                change = self._subject.advance(state, event)
            except EventRejected as error:
                outcomes.append(rejected(str(error)))
                continue
            state = self._subject.after(change)
            seen.add(event.event_id)
            steps.append(_Step(event.event_id, self._subject.version(state), change))
            outcomes.append(ACCEPTED)
        return _Plan(before, state, steps, outcomes)

    async def _commit(self, key: UUID, plan: _Plan[State, Change]) -> bool:
        """Whether it was written; not when somebody else was faster."""
        name, settings = self._subject.name, self._settings
        names = [
            self._keys.state(name, key),
            self._keys.floor(name),
            self._keys.seen(name, key),
            self._keys.waiters,
            self._keys.due(name),
            self._keys.changes(partition_of(key)),
            self._keys.numbers,
            *((self._keys.recent(name, key),) if self._subject.recalled else ()),
        ]
        claims = _sessions(plan.after)
        arguments: list[Value] = [
            self._subject.version(plan.before),
            self._subject.version(plan.after),
            _encode(plan.after),
            str(key),
            f"{self._clock.seconds() + self._keep(plan.after):.3f}",
            max(1, round(settings.memory)),
            settings.remembered,
            settings.backlog,
            name,
            round(REACH),
            KEPT,
            len(plan.steps),
        ]
        for step in plan.steps:
            arguments += (step.event_id.bytes, step.version, _encode(step.change))
        arguments.append(len(claims))
        for session_id, entry in claims.items():
            arguments += (session_id, f"{key}{_encode(entry).decode()}")
        arguments += sorted(_sessions(plan.before).keys() - claims.keys())
        return bool(await self._link.run(scripts.COMMIT, names, arguments))

    def _keep(self, state: State) -> float:
        """Seconds."""
        over = isinstance(state, SessionState) and state.progress.status.terminal
        return self._settings.retention if over else self._settings.idle

    def _state(self, key: UUID, version: bytes, state: bytes | None) -> State:
        if state is None:
            return self._subject.blank(key, int(version))
        try:
            return self._subject.read_state(state)
        except msgspec.DecodeError as error:
            raise self._unreadable(key, error) from None

    def _unreadable(self, key: UUID, error: Exception) -> _Unreadable:
        _log.error("what Redis keeps of {kind} {id} is not ours: {error}", kind=self._subject.name, id=key, error=error)
        return _Unreadable("What Redis keeps of it cannot be read.")

    def _place(self, key: UUID, holder: bytes | None) -> QueueEntry | None:
        """Of what is behind the player's id."""
        try:
            return None if holder is None else _read_entry(holder[36:])
        except msgspec.DecodeError as error:
            raise self._unreadable(key, error) from None


async def _all_of(tasks: Sequence[Deferred[None]]) -> None:
    """Wait for every one, then fail as the first that failed did: nothing goes on behind the caller's back."""
    failures: list[Exception] = []
    for task in tasks:
        try:
            await task
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _sessions(state: object) -> dict[str, QueueEntry]:
    """The sessions that wait, where the state is a queue's."""
    if not isinstance(state, QueueState):
        return {}
    return {str(entry.session_id): entry for entry in state.entries if entry.session_id is not None}
