"""Applies events to what is stored: reads, applies the rule here, and writes if no other node did meanwhile.

Of a thing that this node wrote last, nothing is read: the script that writes compares the state with the one that this
node wrote. Where another node has written since, the state is read after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Generic
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from twisted.internet.defer import DeferredSemaphore

from craftnet.contract.events import ACCEPTED, Event, EventOutcome, rejected
from craftnet.contract.position import HISTORY_LENGTH, HISTORY_SECONDS
from craftnet.crafting.state import QueueEntry, QueueState, SessionState
from craftnet.errors import EventRejected, Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.aggregates import AggregatePlan, Change, Listener, State, plan_events
from craftnet.providers.redis.connection import Unreadable, Value
from craftnet.providers.redis.key_names import PARTITIONS, partition_of
from craftnet.providers.redis.own_commits import OwnCommit, OwnCommits
from craftnet.providers.redis.store import Store
from craftnet.providers.sources import started

MAX_ATTEMPTS = 50
"""Attempts when other nodes are faster."""

ATTEMPTS_TOGETHER = 2
"""Attempts with many things at once: the second one reads what this node did not write last."""

MAX_PER_SCRIPT = 64
"""Things that one script reads or writes: Redis answers nothing else for those milliseconds."""

CONCURRENT_SCRIPTS = 32
"""Scripts of one kind that run at the same time.

Redis runs one after another anyway; what waits in its queue for longer than the timeout would count as lost.
"""

_encode = msgspec.json.Encoder().encode


class _EventRun(Struct, eq=False):
    """The events of one thing, in order.

    Attributes:
        text, name: the id, as text and as octets.
        indices: their places among all events.
        expected: the state for which they are planned, as this node wrote it; None: it was read.
    """

    key: UUID
    text: str
    name: bytes
    events: list[Event]
    indices: list[int]
    expected: bytes | None = None


class _Part(Struct, frozen=True):
    """What to store of one thing, as the script takes it.

    Attributes:
        own: where `commit` is remembered once it is written.
    """

    names: Sequence[str]
    arguments: Sequence[Value]
    own: OwnCommits[Any, Any]
    commit: OwnCommit[Any, Any]


Plans = dict[bytes, AggregatePlan[State, Change]]
"""The plan for each thing, by its name."""

Applied = dict[bytes, Sequence[EventOutcome]]
"""The outcomes of each thing's events, by its name."""


class EventWriter(Generic[State, Change, Listener]):
    """Applies events to the things of one kind."""

    def __init__(self, store: Store[State, Change, Listener]) -> None:
        self._store = store
        self._subject, keys, settings = store.subject, store.keys, store.settings
        name = self._subject.name
        self._keys = keys
        self._floor, self._due = keys.floor(name), keys.due(name)
        self._changes = [keys.changes(partition) for partition in range(PARTITIONS)]
        self._limits: tuple[Value, ...] = (
            max(1, round(settings.memory)),
            settings.remembered,
            settings.backlog,
            name,
            round(HISTORY_SECONDS),
            HISTORY_LENGTH if self._subject.recalled else 0,
        )
        self._room = DeferredSemaphore(CONCURRENT_SCRIPTS)

    async def apply(
        self, events: Sequence[Event], materials: EventWriter[Any, Any, Any] | None = None
    ) -> list[EventOutcome]:
        """As in the interfaces. Things are independent of each other; the events of each stay in order.

        Arguments:
            materials: writes the materials of a starting session, in one step with the session, if given.
        """
        outcomes: list[EventOutcome] = [ACCEPTED] * len(events)
        by_key: dict[int, _EventRun] = {}
        for index, event in enumerate(events):
            try:
                key = self._subject.key(event)
            except EventRejected as error:
                outcomes[index] = rejected(str(error))
                continue
            run = by_key.get(key.int)
            if run is None:
                text = str(key)
                run = by_key[key.int] = _EventRun(key, text, text.encode(), [], [])
            run.events.append(event)
            run.indices.append(index)

        runs = list(by_key.values())
        for first in range(0, len(runs), MAX_PER_SCRIPT):
            together = runs[first : first + MAX_PER_SCRIPT]
            async with self._room:
                applied = await self._apply(together, materials)
            for run in together:
                for index, outcome in zip(run.indices, applied[run.name], strict=True):
                    outcomes[index] = outcome
        return outcomes

    async def _apply(self, runs: Sequence[_EventRun], materials: EventWriter[Any, Any, Any] | None) -> Applied:
        """Applies all at once. What that does not settle is retried separately, so that nothing else waits for it."""
        applied: Applied = {}
        left = runs
        with suppress(Unreadable):  # nothing was written.
            for _ in range(ATTEMPTS_TOGETHER):
                if len(left) > 1:
                    applied |= await self._attempt(left, materials)
                    left = [run for run in left if run.name not in applied]
        for run in left:
            applied[run.name] = await self._apply_alone(run, materials)
        return applied

    async def _apply_alone(
        self, run: _EventRun, materials: EventWriter[Any, Any, Any] | None
    ) -> Sequence[EventOutcome]:
        for _ in range(MAX_ATTEMPTS):
            try:
                applied = await self._attempt([run], materials)
            except Unreadable as error:  # permanent: events of other things must not wait for these.
                return [rejected(error.message)] * len(run.events)
            if run.name in applied:
                return applied[run.name]
        raise Unavailable("Too many nodes change the same thing at the same time.")

    async def _attempt(self, runs: Sequence[_EventRun], materials: EventWriter[Any, Any, Any] | None) -> Applied:
        """Reads and writes once. Leaves out the things that changed meanwhile, and the lost ones.

        Raises:
            Unreadable: a stored value is not craftnet's. Nothing was written.
        """
        trace = None if self._store.tracer is None else _trace_of(runs)
        plans = self._expected(runs)
        unread = [run for run in runs if run.name not in plans]
        if unread:
            plans |= await self._read(unread, trace)
        begun: dict[bytes, _EventRun] = {}
        stocks: Plans[Any, Any] = {}
        if materials is not None:
            for run in unread:
                if run.name in plans and (some := started(run.events, plans[run.name].outcomes)):
                    begun[run.name] = _EventRun(run.key, run.text, run.name, some, [])
            stocks = await materials._read(list(begun.values()), trace) if begun else {}
        now, parts = self._store.time.now().wall, list[tuple[_EventRun, list[_Part]]]()
        for run in runs:
            plan = plans.get(run.name)
            if plan is None or (run.name in begun and run.name not in stocks):
                continue
            own = self._parts(run, plan, now)
            if materials is not None and run.name in begun:
                own += materials._parts(begun[run.name], stocks[run.name], now)
            parts.append((run, own))
        failed = await self._commit([each for each in parts if each[1]], trace)
        return {run.name: plans[run.name].outcomes for run, _ in parts if run.name not in failed}

    def _expected(self, runs: Iterable[_EventRun]) -> Plans[State, Change]:
        """The plans for what this node wrote last, where they accept every event: a refusal could be outdated."""
        own, plans = self._store.own, {}
        for run in runs:
            commit = own.get(run.name)
            if commit is not None:
                plan = plan_events(self._subject, commit.state, run.events, (), [None] * len(run.events))
                if len(plan.steps) == len(run.events):
                    plans[run.name], run.expected = plan, commit.octets
        return plans

    async def _read(self, runs: Sequence[_EventRun], trace: str | None) -> Plans[State, Change]:
        """The plans for events after reading the states, except for lost things."""
        store, name = self._store, self._subject.name
        names = [self._floor, self._keys.waiters, self._due]
        arguments: list[Value] = []
        for run in runs:
            run.expected = None
            names += (self._keys.state(name, run.text), self._keys.seen(name, run.text))
            arguments += (run.text, len(run.events), *[event.event_id.bytes for event in run.events])
            sessions = [] if name != "queue" else [str(event.session_id) for event in run.events]
            arguments += (len(sessions), *sessions)
        plans = {}
        answers = await store.run([run.key for run in runs], scripts.READ, names, arguments, trace)
        for run, (version, state, known, holders, lost) in zip(runs, answers, strict=True):
            if lost:
                await store.forget_lost(run.key)
                continue
            seen = [event.event_id for event, flag in zip(run.events, known, strict=True) if flag]
            entries = [store.entry(run.key, holder) for holder in holders] or [None] * len(run.events)
            before = store.decode(run.key, version, state)
            plans[run.name] = plan_events(self._subject, before, run.events, seen, entries)
        return plans

    def _parts(self, run: _EventRun, plan: AggregatePlan[State, Change], now: float) -> list[_Part]:
        """What to write at `now`, on Redis' clock, if anything."""
        if not plan.steps:
            return []
        name, text, keys, store = self._subject.name, run.text, self._keys, self._store
        names = [
            keys.state(name, text),
            self._floor,
            keys.seen(name, text),
            self._due,
            self._changes[partition_of(run.key)],
            keys.recent(name, text),
        ]
        version, octets = self._subject.version(plan.after), store.encode(plan.after)
        index_entry = _index_entry(plan, now)
        arguments: list[Value] = [
            self._subject.version(plan.before) if run.expected is None else run.expected,
            version,
            octets,
            text,
            f"{now + store.keep(plan.after):.3f}",
            *self._limits,
            index_entry,
            len(plan.steps),
        ]
        if index_entry and isinstance(plan.after, SessionState):
            names.append(keys.player_sessions(plan.after.player_id))
        change_octets = octets
        for step in plan.steps:
            change_octets = octets if step.change is plan.after else store.encode(step.change)
            arguments += (step.event_id.bytes, step.version, change_octets)
        arguments += _claims(text, plan, () if run.expected is None else run.events)
        written = OwnCommit(plan.after, octets, version, plan.steps[-1].change, change_octets)
        return [_Part(names, [len(arguments), *arguments], store.own, written)]

    async def _commit(self, parts: Sequence[tuple[_EventRun, list[_Part]]], trace: str | None) -> set[bytes]:
        """Writes all parts of each thing, or none when another node was faster: returns the names of those."""
        if not parts:
            return set()
        names = [self._keys.data_set, self._keys.numbers, self._keys.waiters]
        arguments: list[Value] = [uuid4().hex]
        for _, own in parts:
            arguments.append(len(own))
            for part in own:
                names += part.names
                arguments += part.arguments
        written = await self._store.run([run.key for run, _ in parts], scripts.COMMIT, names, arguments, trace)
        failed = set()
        for (run, own), succeeded in zip(parts, written, strict=True):
            if not succeeded:
                failed.add(run.name)
            for part in own:
                if succeeded:
                    part.own.keep(run.name, part.commit)
                else:
                    part.own.forget(run.name)
        return failed


def _trace_of(runs: Iterable[_EventRun]) -> str | None:
    """The span of the first event that is traced."""
    traces = (event.trace for run in runs for event in run.events)
    return next((trace for trace in traces if isinstance(trace, str)), None)


def _index_entry(plan: AggregatePlan[Any, Any], now: float) -> str:
    """What becomes of a session in its player's index: when it started, "over", or nothing."""
    before, after = plan.before, plan.after
    if type(after) is not SessionState or _is_under_way(before) == _is_under_way(after):
        return ""
    return f"{now:.3f}" if _is_under_way(after) else "over"


def _is_under_way(state: object) -> bool:
    return isinstance(state, SessionState) and not state.progress.status.terminal


def _claims(player: str, plan: AggregatePlan[Any, Any], unread: Sequence[Event]) -> list[Value]:
    """The claims of a player's queue entries to sessions, as the script takes them.

    Arguments:
        unread: the events whose sessions were not read: the script compares who waits in their names.
    """
    after = plan.after
    if type(after) is not QueueState:
        return [0]
    waiting, waited = _sessions(after.entries), _sessions(plan.before.entries)
    if not waiting and not waited and all(event.session_id is None for event in unread):
        return [0]
    claims = {text: f"{player}{_encode(entry).decode()}" for text, entry in waiting.items()}
    for event in unread:
        if event.session_id is not None:
            claims.setdefault(str(event.session_id), "")
    pairs = [word for claim in claims.items() for word in claim]
    return [len(claims), *pairs, *sorted(waited.keys() - waiting.keys())]


def _sessions(entries: Iterable[QueueEntry]) -> dict[str, QueueEntry]:
    """The entries of sessions, by the session."""
    sessions = {}
    for entry in entries:
        if entry.session_id is not None:
            sessions[str(entry.session_id)] = entry
    return sessions
