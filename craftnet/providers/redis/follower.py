"""Reads the streams of changes that this node has watchers for, and tells them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.providers.redis import scripts
from craftnet.providers.redis.era import ask_data_set, ask_era
from craftnet.providers.redis.keys import Keys, partition_of
from craftnet.providers.redis.ledger import Kept, Ledger
from craftnet.providers.redis.link import Link, Unreadable, Value
from craftnet.providers.redis.marks import Mark, Marks
from craftnet.providers.redis.topics import Topics

BLOCK = 5.0
"""Seconds for which Redis holds a question that nothing has happened for. A dead connection shows after them."""

BATCH = 100
"""Changes of each stream that are read at once: the reactor has other things to do, too."""

PRUNE = 1.0
"""Seconds after which a look is due for partitions that nobody watches any more."""

LOOK = 1.0
"""Seconds after which the question that Redis holds is looked at: another connection may have made it a wrong one."""

COUNT = 5.0
"""Seconds after which the numbers of the changes are looked at: what was trimmed last shows in them only."""

RETRY = 0.2
"""Seconds until Redis is asked again."""

AT_ONCE = 200
"""States that are read at once after a reconnection."""

AnyTopics = Topics[Any, Any, Any]
AnyLedger = Ledger[Any, Any, Any]


class Follower(Service):
    """The one reader of a node.

    Arguments:
        blocking: a connection that nothing else uses, whose timeout is longer than `BLOCK`.
        asking: the connection for everything else.
        watched: the topics of every kind, each with its ledger.
    """

    _log = Logger()

    def __init__(
        self, blocking: Link, asking: Link, keys: Keys, watched: Sequence[tuple[AnyTopics, AnyLedger]], reactor: Any
    ) -> None:
        self._blocking = blocking
        self._asking = asking
        self._keys = keys
        self._watched = watched
        self._topics = {topics.subject.name: topics for topics, _ in watched}
        self._reactor = reactor
        self._marks = Marks()
        self._counted = 0.0
        # Which partitions the question that Redis holds now is about.
        self._asked: frozenset[int] = frozenset()
        self._generation = 0
        self._client: int | None = None
        self._pruned = 0.0
        self._reading: Deferred[None] | None = None
        self._interrupting = False
        self._again: IDelayedCall | None = None
        self._looking = LoopingCall(self._interrupt)
        self._looking.clock = reactor
        # The name of the data set, and of what this server has kept of it.
        self._data_set: str | None = None
        self._era: str | None = None
        # The connections over which that was asked, and after which all that is watched was compared.
        self._compared: tuple[int, int] | None = None

    @property
    def epoch(self) -> str | None:
        """As in `IShared`: None from a new connection until it is known whose it is, and what that has kept."""
        return self._era if self._compared == self._connections() else None

    def startService(self) -> None:
        """Begin to read."""
        super().startService()
        self._interrupting = False
        self._looking.start(LOOK, now=False)
        self._begin()

    def stopService(self) -> None:
        """Read no more."""
        super().stopService()
        self._looking.stop()
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        if self._again is not None and self._again.active():
            self._again.cancel()

    def follow(self, key: UUID, mark: Mark) -> None:
        """Read the partition of `key` from `mark` on, if it is not read already."""
        self._marks.follow(partition_of(key), mark)
        self._interrupt()

    def _connections(self) -> tuple[int, int]:
        return self._blocking.generation, self._asking.generation

    def _interrupt(self) -> None:
        """Make Redis answer the question that it holds, if there is more to ask by now."""
        asked_all = self._asked >= self._marks.partitions and self._compared == self._connections()
        if self._client is None or self._interrupting or asked_all:
            return
        self._interrupting = True
        asked = Deferred.fromCoroutine(self._asking.ask("CLIENT", "UNBLOCK", self._client))
        asked.addBoth(self._interrupted)

    def _interrupted(self, answer: int | Failure) -> None:
        """It may not have held the question yet, or there is more to ask since: look again."""
        if self.running:
            self._again = self._reactor.callLater(0.01, self._look_again)
        if isinstance(answer, Failure):
            answer.trap(Unavailable)

    def _look_again(self) -> None:
        self._interrupting = False
        self._interrupt()

    def _begin(self) -> None:
        self._reading = Deferred.fromCoroutine(self._read_on())
        self._reading.addErrback(self._stopped)

    async def _read_on(self) -> None:
        while self.running:
            await self._blocking.connected()
            # Whoever is behind another connection may keep something else: then all is compared again.
            self._generation = self._blocking.generation
            try:
                await self._catch_up()
                while self.running and self._compared == self._connections():
                    await self._turn(BLOCK)
                    await self._count()
                    await self._mend()
            except Unavailable:
                self._client = None
                await deferLater(self._reactor, RETRY)

    async def _catch_up(self) -> None:
        """After a connection: read what the streams still have, then compare with what they have lost."""
        client = await self._blocking.ask("CLIENT", "ID", generation=self._generation)
        connections = self._generation, self._asking.generation
        data_set, era = await ask_data_set(self._asking, self._keys), await ask_era(self._asking, self._keys)
        if era == self._era:
            self._compared = connections  # nothing was lost, and what follows was there all the time.
        anew = self._data_set not in (None, data_set)
        if anew:
            self._log.warn("Redis has another data set than before: {name}", name=data_set)
        ends = await self._ends()
        self._marks.replaced(ends)
        await self._read_to(ends)
        self._marks.gaps.clear()  # all that is watched is compared.
        for topics, ledger in self._watched:
            await self._compare(topics, ledger, topics.watched(), anew)
        self._data_set, self._era, self._compared, self._client = data_set, era, connections, client

    async def _ends(self) -> dict[int, Mark]:
        """Where the streams end that are read."""
        partitions = tuple(self._marks.partitions)
        names = [self._keys.changes(partition) for partition in partitions]
        answers = await self._asking.run(scripts.ENDS, [self._keys.numbers, *names], ())
        ends = [Mark(entry, int(number)) for entry, number in answers]
        return dict(zip(partitions, ends, strict=True))

    async def _read_to(self, ends: Mapping[int, Mark]) -> None:
        """Read on until there, as far as there is anything."""
        behind = self._marks.behind(ends)
        while behind:
            told = await self._turn(None)
            behind = self._marks.behind({partition: ends[partition] for partition in behind & told})

    async def _count(self) -> None:
        """Now and then: when the newest changes were trimmed, no later one shows that they are missing."""
        now = self._reactor.seconds()
        if now - self._counted < COUNT:
            return
        self._counted = now
        before, ends = self._marks.numbers(), await self._ends()
        await self._read_to(ends)
        self._marks.counted(before, ends)

    async def _mend(self) -> None:
        """Compare what is watched in the partitions with gaps."""
        while self._marks.gaps:
            partitions, self._marks.gaps = self._marks.gaps, set()
            self._log.warn("changes of {count} partitions were trimmed before they were read", count=len(partitions))
            for topics, ledger in self._watched:
                keys = [key for key in topics.watched() if partition_of(key) in partitions]
                await self._compare(topics, ledger, keys, False)

    async def _compare(self, topics: AnyTopics, ledger: AnyLedger, wanted: Iterable[UUID], anew: bool) -> None:
        """Tell what changed while nobody could hear it."""
        keys = list(wanted)
        while keys:
            some, keys = keys[:AT_ONCE], keys[AT_ONCE:]
            held = {key: topics.version(key) for key in some}
            asked = [Deferred.fromCoroutine(self._look(ledger, key)) for key in some]
            try:
                answers = await gatherResults(asked, consumeErrors=True)
            except FirstError as error:
                error.subFailure.raiseException()
            ahead = []
            ends: dict[int, Mark] = {}
            for key, kept in answers:
                if kept is None:
                    continue
                state = kept.state
                found = topics.subject.version(state)
                if anew or found < held[key]:
                    # Versions began again, or a replica that is the master now missed the newest ones.
                    topics.replaced(key, state)
                elif found == held[key] == topics.version(key):
                    topics.replaced(key, state)  # it missed some, too, if it has other ones in their place.
                elif found > held[key]:
                    ahead.append((key, state))
                    ends[partition_of(key)] = kept.end  # of what was asked last, so that none is further.
            # What is only new, and not lost, is in the streams by now, and is told in full.
            await self._read_to(ends)
            for key, state in ahead:
                topics.reached(key, state)

    async def _look(self, ledger: AnyLedger, key: UUID) -> tuple[UUID, Kept[Any] | None]:
        """Nothing where what is kept is not ours: those who watch it know what they knew."""
        try:
            return key, await ledger.look(key)
        except Unreadable:
            return key, None

    async def _turn(self, wait: float | None) -> set[int]:
        """Read once; the partitions in which anything was there."""
        self._prune()
        self._asked = frozenset(self._marks.partitions)
        if not self._asked:
            if wait is not None:
                # Something must be asked, so that it can be interrupted, and a dead connection shows.
                await self._read((self._keys.nothing,), (b"$",), wait)
            return set()
        partitions = sorted(self._asked)
        names = [self._keys.changes(partition) for partition in partitions]
        by_name = {name.encode(): partition for name, partition in zip(names, partitions, strict=True)}
        answer = await self._read(names, [self._marks.entry(partition) for partition in partitions], wait)
        told = {by_name[name]: entries for name, entries in answer or ()}
        for partition, entries in told.items():
            for name, values in entries:
                fields = dict(zip(values[::2], values[1::2], strict=False))
                self._marks.heard(partition, name, fields)
                self._dispatch(fields)
        return set(told)

    def _prune(self) -> None:
        now = self._reactor.seconds()
        if now - self._pruned >= PRUNE:
            self._pruned = now
            self._marks.keep({partition_of(key) for topics, _ in self._watched for key in topics.watched()})

    async def _read(self, names: Iterable[str], positions: Iterable[bytes], wait: float | None) -> Any:
        blocked: tuple[Value, ...] = () if wait is None else ("BLOCK", round(wait * 1000))
        question = ("XREAD", "COUNT", BATCH, *blocked, "STREAMS", *names, *positions)
        return await self._blocking.ask(*question, generation=self._generation)

    def _dispatch(self, fields: Mapping[bytes, bytes]) -> None:
        try:
            topics = self._topics[fields[b"kind"].decode()]
            key, version = UUID(fields[b"id"].decode()), int(fields[b"version"])
            if key not in topics:
                return
            change = topics.subject.read_change(fields[b"change"]) if version else None
        except (KeyError, ValueError, msgspec.DecodeError) as error:
            self._log.error("a change in Redis is not ours: {error}", error=error)
            return
        if version:
            topics.changed(key, version, change)
        else:
            topics.forgotten(key)

    def _stopped(self, failure: Failure) -> None:
        """Only stopping ends it; anything else is a bug of ours, after which it goes on."""
        if failure.check(CancelledError) and not self.running:
            return
        self._log.failure("reading changes from Redis failed", failure)
        if self.running:
            self._client = None
            self._reactor.callLater(RETRY, self._begin)
