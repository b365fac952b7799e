"""Reads the streams of changes for which this node has watchers, and delivers the changes to topics."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID, uuid4

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, TimeoutError
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.connection import RedisConnection, Unanswered, Unreadable, Value
from craftnet.providers.redis.interruptible_read import BLOCK_SECONDS, InterruptibleRead
from craftnet.providers.redis.key_names import PARTITIONS, KeyNames, partition_of
from craftnet.providers.redis.lag import CATCH_UP_TIMEOUT, Lag
from craftnet.providers.redis.player_index import PlayerIndex
from craftnet.providers.redis.server_info import ask_data_set, ask_epoch
from craftnet.providers.redis.store import Store, StoredState
from craftnet.providers.redis.stream_positions import StreamPosition, StreamPositions
from craftnet.providers.redis.topics import Topics
from craftnet.runtime.deferreds import RestartedTask, Waiters, gathered

PRUNE_INTERVAL = 1.0
"""Seconds after which partitions without watchers are dropped."""

CHECK_INTERVAL = 1.0
"""Seconds between checks whether this node keeps up, and whether the blocking read covers the right streams."""

RETRY_DELAY = 0.2
"""Seconds from a failure to the next attempt."""

STATES_PER_READ = 200
"""Maximum number of states in one read after a reconnection."""

AnyTopics = Topics[Any, Any, Any]
AnyStore = Store[Any, Any, Any]


class ChangeReader(Service):
    """The reader of a node; each node has one.

    Arguments:
        blocking: the connection for `InterruptibleRead`, which nothing else uses.
        asking: the connection for all other commands.
        watched: the topics of every kind, each with its store.
        players: receives the starts of sessions.

    Attributes:
        epoch: as in `ISharedSource`: the data set's name and the server's epoch. While losses are being compared, a
            name that no other node has; a new one whenever versions restart.
        lag: how far this node lags.
    """

    _log = Logger()

    def __init__(
        self,
        blocking: RedisConnection,
        asking: RedisConnection,
        keys: KeyNames,
        watched: Sequence[tuple[AnyTopics, AnyStore]],
        players: PlayerIndex,
        reactor: Any,
    ) -> None:
        self._blocking, self._asking, self._players = blocking, asking, players
        self._keys = keys
        self._watched = watched
        self._kinds = {topics.subject.name.encode(): (topics, store) for topics, store in watched}
        self._reactor = reactor
        self._positions = StreamPositions()
        self.lag = Lag(self._positions, self._ends_known, lambda: asking.up, blocking.renew, reactor)
        # The partitions that the present blocking read covers, and those by the names of their streams.
        self._asked: frozenset[int] = frozenset()
        self._streams: dict[Value, int] = {}
        self._pruned = 0.0
        self._reading = RestartedTask(
            self._read_on, "reading changes from Redis", RETRY_DELAY, reactor, self._failed_to_read, (Unavailable,)
        )
        self._read = InterruptibleRead(blocking, asking, self._is_outdated, reactor)
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor
        self._data_set: str | None = None
        # Whether versions restarted although the data set has the same name.
        self._begun_again = False
        # Whether other nodes have the same epoch, within which no version shrinks.
        self._common = False
        # The connections over which the data set's name was read, and after which all watched things were compared.
        self._compared: tuple[int, int] | None = None
        self._settling: Waiters[None] = Waiters()
        self.epoch: str | None = None

    def startService(self) -> None:
        """Starts reading."""
        super().startService()
        self._read.start()
        self._looking.start(CHECK_INTERVAL, now=False)
        self._reading.start()

    def stopService(self) -> None:
        """Stops reading."""
        super().stopService()
        self._looking.stop()
        self._reading.stop()
        self._read.stop()
        self.lag.stop()
        self._settling.cancel()

    def follow(self, key: UUID, position: StreamPosition) -> None:
        """Reads the partition of `key` from `position` on, unless it is already read."""
        self._positions.follow(partition_of(key), position)
        self._read.interrupt_if_outdated()

    async def follow_all(self) -> None:
        """Reads every partition from its end on; raises as `settled` does."""
        await self.settled()
        _, ends = await self._ends(range(PARTITIONS))
        for partition, end in ends.items():
            self._positions.follow(partition, end)
        self._read.interrupt_if_outdated()

    async def look(self, store: AnyStore, key: UUID) -> StoredState[Any]:
        """The state of a thing in Redis, in the present epoch; raises as `Store.look` does."""
        while True:
            await self.settled()
            connections, kept = self.connections(), await store.look(key)
            if self.holds(connections, kept.data_set):
                return kept

    async def settled(self) -> None:
        """Waits until the contents of Redis are known.

        Raises:
            Unavailable: that takes too long.
        """
        while not self.is_settled:
            await self._asking.ask("PING")  # without Redis, waiting is pointless.
            if self.is_settled:
                return
            try:
                await self._settling.wait().addTimeout(CATCH_UP_TIMEOUT, self._reactor)
            except (TimeoutError, CancelledError):
                raise Unavailable("This node does not know yet what Redis has.") from None

    def holds(self, connections: tuple[int, int], data_set: str) -> bool:
        """Whether what was read over these connections, from this data set, belongs to the present epoch."""
        if connections != self._compared or connections != self.connections():
            return False
        if data_set != self._data_set:
            self._unsettle()
            return False
        return True

    @property
    def is_settled(self) -> bool:
        """Whether the contents of Redis are known over the present connections."""
        return self._compared is not None and self._compared == self.connections()

    def _unsettle(self) -> None:
        """Requires everything to be compared again."""
        self._compared = None
        self._read.interrupt_if_outdated()

    def connections(self) -> tuple[int, int]:
        """The present connections."""
        return self._blocking.generation, self._asking.generation

    def _look(self) -> None:
        self._read.interrupt_if_outdated()
        self.lag.look()

    def _is_outdated(self) -> bool:
        """Whether the blocking read must cover other streams by now."""
        covered = self._asked >= self._positions.partitions
        return not (covered and self.is_settled) or bool(self._positions.gaps)

    def _failed_to_read(self, failure: Failure) -> None:
        self._read.interrupt_by(None)
        if failure.check(Unanswered):
            self.lag.unanswered()

    async def _read_on(self) -> None:
        while self.running:
            # Another connection may lead to another server: then everything is compared again.
            await self._read.connected()
            await self._catch_up()
            while self.running and self.is_settled:
                await self._turn(BLOCK_SECONDS)
                await self._mend()
                self.lag.read()

    async def _catch_up(self) -> None:
        """After a connection or a loss: reads what the streams still have, then compares with what they have lost."""
        client = await self._read.ask_client()
        connections = self._read.generation, self._asking.generation
        data_set = await ask_data_set(self._asking, self._keys)
        if self._begun_again and data_set == self._data_set:
            arguments = (data_set, uuid4().hex)
            data_set = (await self._asking.run(scripts.RENAME, [self._keys.data_set], arguments)).decode()
        epoch = f"{data_set} {await ask_epoch(self._asking, self._keys)}"
        replaced, same = self._data_set not in (None, data_set), epoch == self.epoch
        if replaced:
            self._log.warn("Redis has another data set than before: {name}", name=data_set)
        self._begun_again = False
        if not same:  # changes delivered before everything is compared belong to neither.
            self._common = False
            self.epoch = None if self.epoch is None else uuid4().hex
        _, ends = await self._ends(self._positions.partitions)
        self._positions.replaced(ends)
        await self._read_to(ends, anything=True)
        self._positions.gaps.clear()  # everything watched is compared.
        for topics, store in self._watched:
            await self._compare(topics, store, topics.watched(), replaced)
        await self._players.compare()
        if self._begun_again or await ask_data_set(self._asking, self._keys) != data_set:
            return  # something was lost meanwhile.
        await self._read.read((self._keys.nothing,), (b"$",), None)  # Redis answers this connection.
        self._data_set, self.epoch, self._common = data_set, epoch, True
        self._compared = connections
        self._read.interrupt_by(client)
        if not self.is_settled:
            return  # a connection was lost meanwhile, and the next may lead to another server.
        self._settling.release(None)
        self.lag.read()
        self.lag.settled()

    async def _ends_known(self, partitions: Collection[int]) -> Mapping[int, StreamPosition] | None:
        """The ends of partitions in the present epoch; None while that is not settled."""
        if not self.is_settled:
            return None
        connections = self.connections()
        data_set, ends = await self._ends(partitions)
        return ends if self.holds(connections, data_set) else None

    async def _ends(self, wanted: Collection[int]) -> tuple[str, dict[int, StreamPosition]]:
        """The data set's name, and the ends of its streams."""
        names = {partition: self._keys.changes(partition) for partition in wanted}
        keys = [self._keys.data_set, self._keys.numbers, *names.values()]
        data_set, *answers = await self._asking.run(scripts.ENDS, keys, ())
        ends = (StreamPosition(entry, int(number)) for entry, number in answers)
        return data_set.decode(), dict(zip(names, ends, strict=True))

    async def _read_to(self, ends: Mapping[int, StreamPosition], *, anything: bool = False) -> None:
        """Reads up to `ends`, as far as there is anything; `anything` as for `_turn`."""
        behind = self._positions.behind(ends)
        while behind:
            read = await self._turn(None, anything=anything)
            behind = self._positions.behind({partition: ends[partition] for partition in behind & read})

    async def _mend(self) -> None:
        """Compares the watched things in the partitions with gaps."""
        while self._positions.gaps:
            partitions, self._positions.gaps = self._positions.gaps, set()
            self._positions.mending = partitions
            self._log.warn("changes of {count} partitions were trimmed before they were read", count=len(partitions))
            try:
                for topics, store in self._watched:
                    keys = [key for key in topics.watched() if partition_of(key) in partitions]
                    await self._compare(topics, store, keys, False)
                await self._players.compare()
            finally:
                self._positions.mending = set()

    async def _compare(self, topics: AnyTopics, store: AnyStore, wanted: Iterable[UUID], replaced: bool) -> None:
        """Delivers what changed while this node could not receive it."""
        keys = list(wanted)
        while keys:
            some, keys = keys[:STATES_PER_READ], keys[STATES_PER_READ:]
            held = {key: topics.version(key) for key in some}
            answers = await gathered(self._kept(store, key) for key in some)
            ahead = []
            ends: dict[int, StreamPosition] = {}
            for key, kept in answers:
                if kept is None:
                    continue
                state = kept.state
                found = topics.subject.version(state)
                if 0 < found < held[key] and self._common:
                    self._begun_again = True
                    self._unsettle()
                # Versions restarted, or a replica that is the master now misses the newest ones, or has
                # other ones in their place.
                elif replaced or found < held[key] or found == held[key] == topics.version(key):
                    self._replace(topics, key, kept)
                elif found > held[key]:
                    ahead.append((key, kept))
                    ends[partition_of(key)] = kept.end  # that of the last state read, so that none is further.
            # What is only new, and not lost, is in the streams by now, and is delivered in full.
            await self._read_to(ends, anything=True)
            for key, kept in ahead:
                topics.reached(key, kept.state, kept.end)

    def _replace(self, topics: AnyTopics, key: UUID, kept: StoredState[Any]) -> None:
        """Delivers another state than before, perhaps with a lower version: it belongs to a new epoch."""
        if topics.differs(key, kept.state) and not self._common:
            self.epoch = uuid4().hex
        topics.replaced(key, kept.state, kept.end)

    async def _kept(self, store: AnyStore, key: UUID) -> tuple[UUID, StoredState[Any] | None]:
        """None where the stored value is not craftnet's: its watchers keep what they have."""
        with suppress(Unreadable):
            return key, await store.look(key)
        return key, None

    async def _turn(self, wait: float | None, *, anything: bool = False) -> set[int]:
        """Reads once; returns the partitions with entries.

        Arguments:
            wait: seconds for which Redis may hold the read.
            anything: also delivers changes of other data sets, because everything is compared afterwards.
        """
        self._prune()
        if self._asked != self._positions.partitions:  # rarely different from one turn to the next.
            self._asked = frozenset(self._positions.partitions)
            self._streams = {self._keys.changes(each).encode(): each for each in sorted(self._asked)}
        if not (streams := self._streams):
            # A read is needed, so that it can be interrupted, and a dead connection shows.
            await self._read.read((self._keys.nothing,), (b"$",), wait)
            return set()
        answer = await self._read.read(streams, [self._positions.entry(each) for each in streams.values()], wait)
        read = {streams[name]: entries for name, entries in answer or ()}
        if not anything and not self.is_settled:
            return set(read)
        for partition, entries in read.items():
            for name, values in entries:
                fields = dict(zip(values[::2], values[1::2], strict=False))
                if not anything and not self._is_of_now(fields):
                    return set(read)
                self._dispatch(fields, self._positions.heard(partition, name, fields))
        return set(read)

    def _is_of_now(self, fields: Mapping[bytes, bytes]) -> bool:
        """Whether a change belongs to the present epoch, and all earlier ones did.

        Earlier versions of craftnet did not store that.
        """
        if self._data_set is not None and fields.get(b"epoch") not in (None, self._data_set.encode()):
            self._unsettle()
        return self._compared is not None

    def _prune(self) -> None:
        if (now := self._reactor.seconds()) - self._pruned >= PRUNE_INTERVAL:
            self._pruned = now
            wanted = {partition_of(key) for topics, _ in self._watched for key in topics.watched()}
            self._positions.keep(set(range(PARTITIONS)) if self._players else wanted)

    def _dispatch(self, fields: Mapping[bytes, bytes], entry: StreamPosition) -> None:
        try:
            topics, store = self._kinds[fields[b"kind"]]
            self._players.changed(fields)
            name, version = fields[b"id"], int(fields[b"version"])
            octets = fields[b"change"] if version else b""
            own, key = store.own.heard(name, version, octets), topics.key(name)
            if key is None:
                return
            change = own or (store.read_change(octets) if version else None)
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            self._log.error("a change in Redis is not ours: {error}", error=error, **_ids(fields))
            return
        if not version:
            if not self._common:
                self.epoch = uuid4().hex
            topics.forgotten(key, entry)
        elif not topics.changed(key, version, change, entry) and self._common:
            self._begun_again = True
            self._unsettle()


def _ids(fields: Mapping[bytes, bytes]) -> dict[str, str]:
    """The id of a change as a field of a log line: a player's for queues, else a session's; none if it is no id."""
    try:
        key = str(UUID(fields[b"id"].decode()))
    except (KeyError, ValueError):
        return {}
    return {"player_id" if fields.get(b"kind") == b"queue" else "session_id": key}
