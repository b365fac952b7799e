"""What Redis stores of each thing: reads, decodes and encodes it."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from typing import Any, Generic
from uuid import UUID, uuid4

import msgspec
from msgspec import Struct
from twisted.logger import Logger

from craftnet.crafting.state import QueueEntry, SessionState, shifted
from craftnet.errors import BadRequest
from craftnet.providers.inspection import Page, Wanted
from craftnet.providers.redis import scripts
from craftnet.providers.redis.aggregates import Aggregate, Change, Listener, State
from craftnet.providers.redis.connection import CommandTracer, RedisConnection, Unreadable, Value
from craftnet.providers.redis.key_names import KeyNames, partition_of
from craftnet.providers.redis.own_commits import OwnCommits
from craftnet.providers.redis.server_clock import ServerClock
from craftnet.providers.redis.settings import RedisSettings
from craftnet.providers.redis.stream_positions import StreamPosition

STATES_PER_SCAN = 100
"""States that are looked at for one page of a list."""

_CURSOR = re.compile(r"([0-9]{1,20}):([0-9]{1,9})")

_encode = msgspec.json.Encoder().encode
_read_entry = msgspec.json.Decoder(QueueEntry).decode
_log = Logger()


class StoredState(Struct, Generic[State], frozen=True):
    """What Redis stores of one thing.

    Attributes:
        end: the end of its partition's stream at that moment.
        data_set: the name of the data set that Redis had then; empty when it had none.
    """

    state: State
    end: StreamPosition
    data_set: str


class Store(Generic[State, Change, Listener]):
    """All things of one kind.

    Arguments:
        time: Redis' clock. It dates what is stored; what is read is converted to the steady clock.

    Attributes:
        own: what this node wrote last.
    """

    def __init__(
        self,
        subject: Aggregate[State, Change, Listener],
        keys: KeyNames,
        link: RedisConnection,
        settings: RedisSettings,
        time: ServerClock,
    ) -> None:
        self.subject = subject
        self.keys = keys
        self.settings = settings
        self.time = time
        self.own: OwnCommits[State, Change] = OwnCommits()
        self._link = link

    @property
    def tracer(self) -> CommandTracer | None:
        """Traces the scripts that traced events need; None: none."""
        return self._link.tracer

    async def look(self, key: UUID) -> StoredState[State]:
        """The stored state of one thing.

        Raises:
            Unavailable: it cannot be read.
        """
        names = [
            self.keys.state(self.subject.name, key),
            self.keys.floor(self.subject.name),
            self.keys.changes(partition_of(key)),
            self.keys.numbers,
            self.keys.data_set,
            self.keys.due(self.subject.name),
        ]
        while True:
            answer = await self.run((key,), scripts.LOOK, names, (str(key),))
            version, state, entry, number, data_set, lost = answer
            if not lost:
                return StoredState(
                    self.decode(key, version, state), StreamPosition(entry, int(number)), data_set.decode()
                )
            await self.forget_lost(key)

    async def place(self, session_id: UUID) -> QueueEntry | None:
        """The queue entry of a session; raises as `look` does."""
        return self.entry(session_id, await self._link.ask("HGET", self.keys.waiters, str(session_id)))

    async def recall(self, key: UUID, version: int) -> tuple[str, Sequence[Change]]:
        """The data set's name, and the known changes of one thing after `version`; raises as `look`."""
        names = [self.keys.recent(self.subject.name, key), self.keys.changes(partition_of(key)), self.keys.data_set]
        data_set, *changes = await self.run((key,), scripts.RECALL, names, (version,))
        try:
            return data_set.decode(), [self.read_change(one) for one in changes]
        except msgspec.DecodeError as error:
            raise self._unreadable(key, error) from None

    def read_change(self, octets: bytes) -> Change:
        """Decodes a change in a stream; raises `msgspec.DecodeError`."""
        return shifted(self.subject.read_change(octets), -self.time.ahead)

    async def count(self) -> int:
        """The number of stored things; raises as `look` does."""
        number: int = await self._link.ask("ZCARD", self.keys.due(self.subject.name))
        return number

    async def page(self, cursor: str | None, limit: int, wanted: Wanted | None) -> Page:
        """As `IListing.page`, in no order. A cursor is Redis' own, and how many of its answer were on earlier pages."""
        match = _CURSOR.fullmatch(cursor or "0:0")
        if match is None:
            raise BadRequest("cursor takes the `next` of another page.")
        due = self.keys.due(self.subject.name)
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

    async def forget_lost(self, key: UUID) -> None:
        """Redis evicted it, or another program deleted it: its watchers learn of it, and its versions may restart."""
        name = self.subject.name
        names = [
            self.keys.state(name, key),
            self.keys.due(name),
            self.keys.changes(partition_of(key)),
            self.keys.recent(name, key),
            self.keys.numbers,
            self.keys.data_set,
        ]
        if await self.run((key,), scripts.LOST, names, (str(key), name, self.settings.backlog, uuid4().hex)):
            _log.error("Redis has lost {kind} {id}: does it evict keys?", kind=name, id=key, **self._ids(key))

    async def run(
        self,
        keys: Collection[UUID],
        script: bytes,
        names: Sequence[str],
        arguments: Sequence[Value],
        trace: str | None = None,
    ) -> Any:
        """Runs a script about `keys`.

        Arguments:
            trace: the span above that of the script, as in traceparent; None: it is not traced.

        Raises:
            Unavailable: as `RedisConnection.run`.
            Unreadable: a value is not craftnet's; with several keys, it is unknown which.
        """
        running, tracer = self._link.run(script, names, arguments), self._link.tracer
        try:
            if trace is None or tracer is None:
                return await running
            return await tracer.command("read" if script is scripts.READ else "commit", trace, running)
        except Unreadable as error:
            if len(keys) > 1:
                raise  # it is logged when each is retried separately.
            (key,) = keys
            raise self._unreadable(key, error) from None

    def _read_state(self, octets: bytes) -> State:
        return shifted(self.subject.read_state(octets), -self.time.ahead)

    def encode(self, value: State | Change) -> bytes:
        """A state or a change, as Redis has it."""
        return _encode(shifted(value, self.time.ahead))

    def keep(self, state: State) -> float:
        """The retention of a state, in seconds."""
        over = isinstance(state, SessionState) and state.progress.status.terminal
        return self.settings.retention if over else self.settings.idle

    def decode(self, key: UUID, version: bytes, state: bytes | None) -> State:
        """A stored state; raises `Unreadable`."""
        try:
            number = int(version)
            found = self.subject.blank(key, number) if state is None else self._read_state(state)
        except (ValueError, msgspec.DecodeError) as error:
            raise self._unreadable(key, error) from None
        if self.subject.version(found) != number:
            raise self._unreadable(key, ValueError(f"its version is not {number}"))
        return found

    def _unreadable(self, key: UUID, error: Exception) -> Unreadable:
        name, ids = self.subject.name, self._ids(key)
        _log.error("what Redis keeps of {kind} {id} is not ours: {error}", kind=name, id=key, error=error, **ids)
        return Unreadable("The value stored in Redis cannot be read.")

    def _ids(self, key: UUID) -> dict[str, UUID]:
        """The id as a field of a log line: of a player for queues, else of a session."""
        return {"player_id" if self.subject.name == "queue" else "session_id": key}

    def entry(self, key: UUID, holder: bytes | None) -> QueueEntry | None:
        """Decodes the queue entry that a session waits as; raises `Unreadable`."""
        try:
            return None if holder is None else _read_entry(holder[36:])
        except msgspec.DecodeError as error:
            raise self._unreadable(key, error) from None
