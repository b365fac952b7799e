"""Applies events to what is stored: reads, applies the rule here, and writes if no other node did meanwhile."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Generic
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from twisted.internet.defer import DeferredSemaphore
from twisted.logger import Logger

from craftnet.contract.events import ACCEPTED, Event, EventOutcome, rejected
from craftnet.contract.position import HISTORY_LENGTH, HISTORY_SECONDS
from craftnet.crafting.state import QueueEntry, QueueState, SessionState, shifted
from craftnet.errors import BadRequest, EventRejected, Unavailable
from craftnet.providers.inspection import Page, Wanted
from craftnet.providers.redis import scripts
from craftnet.providers.redis.aggregates import Aggregate, AggregatePlan, Change, Listener, State, plan_events
from craftnet.providers.redis.connection import RedisConnection, Unreadable, Value
from craftnet.providers.redis.key_names import KeyNames, partition_of
from craftnet.providers.redis.server_clock import ServerClock
from craftnet.providers.redis.settings import RedisSettings
from craftnet.providers.redis.stream_positions import StreamPosition
from craftnet.providers.sources import started

STATES_PER_SCAN = 100
"""States that are looked at for one page of a list."""

_CURSOR = re.compile(r"([0-9]{1,20}):([0-9]{1,9})")

MAX_ATTEMPTS = 50
"""Attempts when other nodes are faster."""

MAX_PER_SCRIPT = 64
"""Things that one script reads or writes: Redis answers nothing else for those milliseconds."""

CONCURRENT_SCRIPTS = 32
"""Scripts of one kind that run at the same time.

Redis runs one after another anyway; what waits in its queue for longer than the timeout would count as lost.
"""

_encode = msgspec.json.Encoder().encode
_read_entry = msgspec.json.Decoder(QueueEntry).decode
_log = Logger()

Runs = Mapping[UUID, Sequence[Event]]
"""The events of each of several things, in order."""

Applied = dict[UUID, Sequence[EventOutcome]]
"""Their outcomes, one for each event."""


class StoredState(Struct, Generic[State], frozen=True):
    """What Redis stores of one thing.

    Attributes:
        end: the end of its partition's stream at that moment.
        data_set: the name of the data set that Redis had then; empty when it had none.
    """

    state: State
    end: StreamPosition
    data_set: str


class _Part(Struct, frozen=True):
    """What to store of one thing, as the script takes it."""

    names: Sequence[str]
    arguments: Sequence[Value]


class Store(Generic[State, Change, Listener]):
    """All things of one kind.

    Arguments:
        time: Redis' clock. It dates what is stored; what is read is converted to the steady clock.
    """

    def __init__(
        self,
        subject: Aggregate[State, Change, Listener],
        keys: KeyNames,
        link: RedisConnection,
        settings: RedisSettings,
        time: ServerClock,
    ) -> None:
        self._subject = subject
        self._keys = keys
        self._link = link
        self._settings = settings
        self._time = time
        self._room = DeferredSemaphore(CONCURRENT_SCRIPTS)

    async def look(self, key: UUID) -> StoredState[State]:
        """The stored state of one thing.

        Raises:
            Unavailable: it cannot be read.
        """
        names = [
            self._keys.state(self._subject.name, key),
            self._keys.floor(self._subject.name),
            self._keys.changes(partition_of(key)),
            self._keys.numbers,
            self._keys.data_set,
            self._keys.due(self._subject.name),
        ]
        while True:
            answer = await self._run((key,), scripts.LOOK, names, (str(key),))
            version, state, entry, number, data_set, lost = answer
            if not lost:
                return StoredState(
                    self._state(key, version, state), StreamPosition(entry, int(number)), data_set.decode()
                )
            await self._forget_lost(key)

    async def place(self, session_id: UUID) -> QueueEntry | None:
        """The queue entry of a session; raises as `look` does."""
        return self._place(session_id, await self._link.ask("HGET", self._keys.waiters, str(session_id)))

    async def recall(self, key: UUID, version: int) -> tuple[str, Sequence[Change]]:
        """The data set's name, and the known changes of one thing after `version`; raises as `look`."""
        names = [self._keys.recent(self._subject.name, key), self._keys.changes(partition_of(key)), self._keys.data_set]
        data_set, *changes = await self._run((key,), scripts.RECALL, names, (version,))
        try:
            return data_set.decode(), [self.read_change(one) for one in changes]
        except msgspec.DecodeError as error:
            raise self._unreadable(key, error) from None

    def read_change(self, octets: bytes) -> Change:
        """Decodes a change in a stream; raises `msgspec.DecodeError`."""
        return shifted(self._subject.read_change(octets), -self._time.ahead)

    async def count(self) -> int:
        """The number of stored things; raises as `look` does."""
        number: int = await self._link.ask("ZCARD", self._keys.due(self._subject.name))
        return number

    async def page(self, cursor: str | None, limit: int, wanted: Wanted | None) -> Page:
        """As `IListing.page`, in no order. A cursor is Redis' own, and how many of its answer were on earlier pages."""
        match = _CURSOR.fullmatch(cursor or "0:0")
        if match is None:
            raise BadRequest("cursor takes the `next` of another page.")
        due = self._keys.due(self._subject.name)
        after, answer = await self._link.ask("ZSCAN", due, match[1], "COUNT", STATES_PER_SCAN)
        members, seen, found = answer[::2], int(match[2]), list[Any]()
        for member in members[seen : seen + STATES_PER_SCAN]:
            seen += 1
            state = (await self.look(UUID(member.decode()))).state
            if state is not None and (wanted is None or wanted(state)):
                found.append(state)
                if len(found) == limit:
                    break
        if seen < len(members):
            return found, f"{match[1]}:{seen}"
        return found, None if after == b"0" else f"{after.decode()}:0"

    async def apply(self, events: Sequence[Event], materials: Store[Any, Any, Any] | None = None) -> list[EventOutcome]:
        """As in the interfaces. Things are independent of each other; the events of each stay in order.

        Arguments:
            materials: stores the materials of a starting session, in one step with the session, if given.
        """
        outcomes: list[EventOutcome] = [ACCEPTED] * len(events)
        runs: dict[UUID, list[int]] = {}
        for index, event in enumerate(events):
            try:
                runs.setdefault(self._subject.key(event), []).append(index)
            except EventRejected as error:
                outcomes[index] = rejected(str(error))

        keys = list(runs)
        for first in range(0, len(keys), MAX_PER_SCRIPT):
            together = {key: [events[index] for index in runs[key]] for key in keys[first : first + MAX_PER_SCRIPT]}
            async with self._room:
                applied = await self._apply(together, materials)
            for key, some in applied.items():
                for index, outcome in zip(runs[key], some, strict=True):
                    outcomes[index] = outcome
        return outcomes

    async def _apply(self, runs: Runs, materials: Store[Any, Any, Any] | None) -> Applied:
        """Applies all at once. What that does not settle is retried separately, so that nothing else waits for it."""
        try:
            applied = await self._attempt(runs, materials) if len(runs) > 1 else {}
        except Unreadable:  # nothing was written.
            applied = {}
        for key in [key for key in runs if key not in applied]:
            applied[key] = await self._apply_alone(key, runs[key], materials)
        return applied

    async def _apply_alone(
        self, key: UUID, events: Sequence[Event], materials: Store[Any, Any, Any] | None
    ) -> Sequence[EventOutcome]:
        for _ in range(MAX_ATTEMPTS):
            try:
                applied = await self._attempt({key: events}, materials)
            except Unreadable as error:  # permanent: events of other things must not wait for these.
                return [rejected(error.message)] * len(events)
            if key in applied:
                return applied[key]
        raise Unavailable("Too many nodes change the same thing at the same time.")

    async def _attempt(self, runs: Runs, materials: Store[Any, Any, Any] | None) -> Applied:
        """Reads and writes once. Leaves out the things that changed meanwhile, and the lost ones.

        Raises:
            Unreadable: a stored value is not craftnet's. Nothing was written.
        """
        trace = None if self._link.tracer is None else _trace_of(runs)
        plans = await self._plan(runs, trace)
        begun, stocks = {}, {}
        if materials is not None:
            begun = {key: some for key, one in plans.items() if (some := started(runs[key], one.outcomes))}
            stocks = await materials._plan(begun, trace) if begun else {}
        parts = {}
        for key, planned in plans.items():
            if key not in begun:
                parts[key] = self._parts(key, planned)
            elif materials is not None and key in stocks:
                parts[key] = self._parts(key, planned) + materials._parts(key, stocks[key])
        failed = await self._commit({key: own for key, own in parts.items() if own}, trace)
        return {key: plans[key].outcomes for key in parts if key not in failed}

    async def _plan(self, runs: Runs, trace: str | None) -> dict[UUID, AggregatePlan[State, Change]]:
        """The plans for events, except for lost things."""
        name = self._subject.name
        names = [self._keys.floor(name), self._keys.waiters, self._keys.due(name)]
        arguments: list[Value] = []
        for key, events in runs.items():
            text = str(key)
            names += (self._keys.state(name, text), self._keys.seen(name, text))
            arguments += (text, len(events), *[event.event_id.bytes for event in events])
            sessions = [] if name != "queue" else [str(event.session_id) for event in events]
            arguments += (len(sessions), *sessions)
        plans = {}
        answers = await self._run(runs, scripts.READ, names, arguments, trace)
        for (key, events), (version, state, known, holders, lost) in zip(runs.items(), answers, strict=True):
            if lost:
                await self._forget_lost(key)
                continue
            seen = [event.event_id for event, flag in zip(events, known, strict=True) if flag]
            places = [self._place(key, holder) for holder in holders] or [None] * len(events)
            plans[key] = plan_events(self._subject, self._state(key, version, state), events, seen, places)
        return plans

    def _parts(self, key: UUID, planned: AggregatePlan[State, Change]) -> list[_Part]:
        """What to write, if anything."""
        if not planned.steps:
            return []
        name, text, settings = self._subject.name, str(key), self._settings
        names = [
            self._keys.state(name, text),
            self._keys.floor(name),
            self._keys.seen(name, text),
            self._keys.due(name),
            self._keys.changes(partition_of(key)),
            self._keys.recent(name, text),
        ]
        claims = _sessions(planned.after)
        arguments: list[Value] = [
            self._subject.version(planned.before),
            self._subject.version(planned.after),
            self._encode(planned.after),
            text,
            f"{self._time.now().wall + self._keep(planned.after):.3f}",
            max(1, round(settings.memory)),
            settings.remembered,
            settings.backlog,
            name,
            round(HISTORY_SECONDS),
            HISTORY_LENGTH if self._subject.recalled else 0,
            self._index_entry(planned),
            len(planned.steps),
        ]
        if arguments[-2] != "" and isinstance(planned.after, SessionState):
            names.append(self._keys.player_sessions(planned.after.player_id))
        for step in planned.steps:
            arguments += (step.event_id.bytes, step.version, self._encode(step.change))
        arguments.append(len(claims))
        for session_id, entry in claims.items():
            arguments += (session_id, f"{text}{_encode(entry).decode()}")
        arguments += sorted(_sessions(planned.before).keys() - claims.keys())
        return [_Part(names, [len(arguments), *arguments])]

    def _index_entry(self, planned: AggregatePlan[State, Change]) -> str:
        """What becomes of a session in its player's index: when it started, "over", or nothing."""
        before, after = planned.before, planned.after
        if not isinstance(after, SessionState) or _is_under_way(before) == _is_under_way(after):
            return ""
        return f"{self._time.now().wall:.3f}" if _is_under_way(after) else "over"

    async def _commit(self, parts: Mapping[UUID, Sequence[_Part]], trace: str | None) -> set[UUID]:
        """Writes all parts of each thing, or none when another node was faster: returns those."""
        if not parts:
            return set()
        names = [self._keys.data_set, self._keys.numbers, self._keys.waiters]
        arguments: list[Value] = [uuid4().hex]
        for own in parts.values():
            arguments.append(len(own))
            for part in own:
                names += part.names
                arguments += part.arguments
        written = await self._run(parts, scripts.COMMIT, names, arguments, trace)
        return {key for key, one in zip(parts, written, strict=True) if not one}

    async def _forget_lost(self, key: UUID) -> None:
        """Redis evicted it, or another program deleted it: its watchers learn of it, and its versions may restart."""
        name = self._subject.name
        names = [
            self._keys.state(name, key),
            self._keys.due(name),
            self._keys.changes(partition_of(key)),
            self._keys.recent(name, key),
            self._keys.numbers,
            self._keys.data_set,
        ]
        if await self._run((key,), scripts.LOST, names, (str(key), name, self._settings.backlog, uuid4().hex)):
            _log.error("Redis has lost {kind} {id}: does it evict keys?", kind=name, id=key, **self._ids(key))

    async def _run(
        self,
        keys: Collection[UUID],
        script: bytes,
        names: Sequence[str],
        arguments: Sequence[Value],
        trace: str | None = None,
    ) -> Any:
        running, tracer = self._link.run(script, names, arguments), self._link.tracer
        try:
            if trace is None or tracer is None:
                return await running
            return await tracer.command("read" if script is scripts.READ else "commit", trace, running)
        except Unreadable as error:
            if len(keys) > 1:
                raise  # one of them, unknown which. It is logged when each is retried separately.
            (key,) = keys
            raise self._unreadable(key, error) from None

    def _read_state(self, octets: bytes) -> State:
        return shifted(self._subject.read_state(octets), -self._time.ahead)

    def _encode(self, value: State | Change) -> bytes:
        return _encode(shifted(value, self._time.ahead))

    def _keep(self, state: State) -> float:
        """The retention of a state, in seconds."""
        over = isinstance(state, SessionState) and state.progress.status.terminal
        return self._settings.retention if over else self._settings.idle

    def _state(self, key: UUID, version: bytes, state: bytes | None) -> State:
        try:
            number = int(version)
            found = self._subject.blank(key, number) if state is None else self._read_state(state)
        except (ValueError, msgspec.DecodeError) as error:
            raise self._unreadable(key, error) from None
        if self._subject.version(found) != number:
            raise self._unreadable(key, ValueError(f"its version is not {number}"))
        return found

    def _unreadable(self, key: UUID, error: Exception) -> Unreadable:
        name, ids = self._subject.name, self._ids(key)
        _log.error("what Redis keeps of {kind} {id} is not ours: {error}", kind=name, id=key, error=error, **ids)
        return Unreadable("The value stored in Redis cannot be read.")

    def _ids(self, key: UUID) -> dict[str, UUID]:
        """The id as a field of a log line: of a player for queues, else of a session."""
        return {"player_id" if self._subject.name == "queue" else "session_id": key}

    def _place(self, key: UUID, holder: bytes | None) -> QueueEntry | None:
        """Decodes the entry after the player's id."""
        try:
            return None if holder is None else _read_entry(holder[36:])
        except msgspec.DecodeError as error:
            raise self._unreadable(key, error) from None


def _trace_of(runs: Runs) -> str | None:
    """The span of the first event that is traced."""
    traces = (event.trace for events in runs.values() for event in events)
    return next((trace for trace in traces if isinstance(trace, str)), None)


def _is_under_way(state: object) -> bool:
    return isinstance(state, SessionState) and not state.progress.status.terminal


def _sessions(state: object) -> dict[str, QueueEntry]:
    """The waiting sessions in the state of a queue."""
    if not isinstance(state, QueueState):
        return {}
    return {str(entry.session_id): entry for entry in state.entries if entry.session_id is not None}
