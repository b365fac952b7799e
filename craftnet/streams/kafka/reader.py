"""Reads from Kafka in a thread of its own: polls, stays a member of the consumer group, and commits offsets.

Only librdkafka's calls block. The reactor's thread shares two values with this thread: a queue of finished messages,
and whether reading is paused. Needs confluent-kafka (the extra `craftnet[kafka]`).
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from twisted.logger import Logger

from craftnet.streams.core.messages import StreamMessage
from craftnet.streams.core.offsets import PartitionOffsets
from craftnet.streams.interfaces import StreamStatus

POLL_TIMEOUT = 0.1
"""Seconds that a poll waits for a message. A due commit or a pause waits no longer than this."""

READ_BATCH = 500
"""Maximum number of messages handed to the receiver in one call."""

COMMIT_INTERVAL = 1.0
"""Seconds between commits. After a crash, the next reader reads up to this much again."""

MEASURE_INTERVAL = 1.0
"""Seconds between measurements of the lag."""

QUERY_INTERVAL = 5.0
"""Seconds between queries of the brokers, which show whether they respond."""

SETTLING = 10.0
"""Seconds after a rebalance within which further members may still join or leave."""

ANSWER_TIMEOUT = 10.0
"""Seconds that a query may take on whose answer reading depends."""

QUERY_TIMEOUT = 1.0
"""Seconds that any other query may take."""

NOT_JOINED = "the consumer group is not joined yet"
"""The problem of a reader that has just begun."""

_REBALANCING = frozenset({KafkaError.ILLEGAL_GENERATION, KafkaError.REBALANCE_IN_PROGRESS})
"""Errors of commits during a rebalance. The commit is repeated, or the partition's next reader resumes."""

_TIMING = re.compile(r" \(after [0-9]+ms .*\)$")
"""What librdkafka adds to a reason: it differs from one attempt to the next."""

_TOPIC_ERRORS = frozenset({KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED})


class KafkaConsumer(Protocol):
    """The methods of `confluent_kafka.Consumer` that the reader calls."""

    def subscribe(self, topics: list[str], on_assign: Any = ..., on_revoke: Any = ..., on_lost: Any = ...) -> None:
        """Joins the group; the callbacks are called in `poll` and `close`."""

    def poll(self, timeout: float) -> Any:
        """The next message, or None."""

    def consume(self, num_messages: int, timeout: float) -> list[Any]:
        """Up to `num_messages` messages."""

    def incremental_assign(self, partitions: list[Any]) -> None:
        """Adds partitions to those that are read."""

    def incremental_unassign(self, partitions: list[Any]) -> None:
        """Removes partitions from those that are read."""

    def pause(self, partitions: list[Any]) -> None:
        """Stops fetching from these partitions."""

    def resume(self, partitions: list[Any]) -> None:
        """Resumes fetching from these partitions."""

    def committed(self, partitions: list[Any], timeout: float) -> list[Any]:
        """The committed offsets of these partitions."""

    def offsets_for_times(self, partitions: list[Any], timeout: float) -> list[Any]:
        """The first offset of each partition at or after a date, in Unix milliseconds."""

    def get_watermark_offsets(self, partition: Any, timeout: float = ..., cached: bool = ...) -> Any:
        """The first offset of a partition, and the one after its last."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        """The metadata of a topic."""

    def commit(self, *, offsets: list[Any], asynchronous: bool) -> Any:
        """Commits offsets."""

    def close(self) -> None:
        """Leaves the group."""


class KafkaReceiver(Protocol):
    """Takes the messages that the reader reads. Its methods are called in the reader's thread."""

    def deliver(self, messages: Sequence[StreamMessage]) -> None:
        """Hands messages over; does not block."""

    def revoke(self, partitions: Collection[str]) -> None:
        """Gives partitions back. Returns once no message of theirs is being applied."""


class _Partition:
    """A partition assigned to this reader."""

    def __init__(self, topic: str, number: int, begin: int | None) -> None:
        self.topic = topic
        self.number = number
        self.name = f"{topic}/{number}"
        self.offsets = PartitionOffsets(begin)

    def at(self, offset: int) -> TopicPartition:
        """An offset of this partition, in librdkafka's form."""
        return TopicPartition(self.topic, self.number, offset)

    @property
    def handle(self) -> TopicPartition:
        """This partition, in librdkafka's form."""
        return TopicPartition(self.topic, self.number)


class KafkaReader:
    """One membership of a consumer group, from joining to leaving.

    Arguments:
        make_consumer: makes a `confluent_kafka.Consumer` with these callbacks.
        replay: seconds; a partition without a committed offset is read from this long ago.
        wall: the system's clock, Unix seconds.
        steady: the steady clock, seconds.

    Attributes:
        finished: messages that need not be read again; the reactor's thread appends them.
        pausing: whether reading should pause; the reactor's thread sets it.
        stopping: whether the reader should leave the group; the reactor's thread sets it.
        status: the current status; replaced as a whole.
    """

    _log = Logger()

    def __init__(
        self,
        make_consumer: Callable[[dict[str, Any]], KafkaConsumer],
        topics: Sequence[str],
        replay: float,
        receiver: KafkaReceiver,
        wall: Callable[[], float],
        steady: Callable[[], float],
    ) -> None:
        self._topics = list(topics)
        self._replay = replay
        self._receiver = receiver
        self._wall = wall
        self._steady = steady
        self._partitions: dict[tuple[str, int], _Partition] = {}
        self._named: dict[str, _Partition] = {}
        self._paused = False
        self._problem = NOT_JOINED
        self._topic_problem = ""
        self._fatal: KafkaException | None = None
        self._partial = False
        self._balanced_at: float | None = steady()
        self._commit_at = self._measure_at = self._query_at = 0.0
        self.finished: deque[Sequence[StreamMessage]] = deque()
        self.pausing = False
        self.stopping = False
        self.status = StreamStatus(self._problem)
        self._consumer = make_consumer({"error_cb": self._failed, "on_commit": self._committed})

    def run(self) -> None:
        """Reads until `stopping` is set, then commits and leaves the group.

        Raises:
            KafkaException: the membership is lost; a new reader may join again.
        """
        try:
            self._consumer.subscribe(
                self._topics, on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            while not self.stopping:
                self.turn()
        finally:
            self._obey()
            if not self._problem:
                self._commit(self._partitions.values(), asynchronous=False)
            self._consumer.close()

    def turn(self) -> None:
        """Runs one iteration; takes `POLL_TIMEOUT` seconds if no message arrives."""
        self._obey()
        first = self._consumer.poll(POLL_TIMEOUT)
        if self._fatal is not None:
            raise self._fatal
        if first is not None:
            # Not consume() alone: it waits for the last message of a batch, not for the first.
            read = [first, *self._consumer.consume(READ_BATCH - 1, 0)]
            messages = [message for message in map(self._message, read) if message is not None]
            if messages:
                self._problem = ""
                self._receiver.deliver(messages)
        now = self._steady()
        if now >= self._commit_at:
            self._commit_at = now + COMMIT_INTERVAL
            self._commit(self._partitions.values(), asynchronous=True)
        if now >= self._measure_at:
            self._measure_at = now + MEASURE_INTERVAL
            self._measure(now)

    def _obey(self) -> None:
        """Applies what the reactor's thread has requested."""
        while self.finished:
            for message in self.finished.popleft():
                partition = self._named.get(message.partition)
                if partition is not None:
                    partition.offsets.finished(message.offset)
        if self.pausing != self._paused:
            self._paused = self.pausing
            handles = [partition.handle for partition in self._partitions.values()]
            if self._paused:
                self._consumer.pause(handles)
            else:
                self._consumer.resume(handles)

    def _message(self, message: Any) -> StreamMessage | None:
        """Converts a message of librdkafka; returns None for an error or a partition that was given back."""
        if (error := message.error()) is not None:
            if error.code() in _TOPIC_ERRORS:
                self._topic_problem = error.str()
            elif error.fatal():
                raise KafkaException(error)
            else:
                self._failed(error)
            return None
        partition = self._partitions.get((message.topic(), message.partition()))
        if partition is None:
            return None
        offset = message.offset()
        partition.offsets.received(offset)
        kind, milliseconds = message.timestamp()
        return StreamMessage(message.value() or b"", partition.name, offset, milliseconds / 1000 if kind else 0.0)

    def _assigned(self, consumer: KafkaConsumer, handles: list[TopicPartition]) -> None:
        self._balanced_at = self._steady()
        try:
            begins = self._begin(consumer, handles)
        except KafkaException as error:  # must not propagate out of a callback of librdkafka.
            self._fatal = error
            return
        for handle in begins:
            partition = _Partition(handle.topic, handle.partition, handle.offset if handle.offset >= 0 else None)
            self._partitions[handle.topic, handle.partition] = self._named[partition.name] = partition
        consumer.incremental_assign(begins)
        if self._paused and begins:
            consumer.pause(begins)
        self._problem = self._topic_problem = ""

    def _begin(self, consumer: KafkaConsumer, handles: list[TopicPartition]) -> list[TopicPartition]:
        """Where reading begins: at the committed offsets, or else `replay` seconds ago.

        Raises:
            KafkaException: the brokers do not say.
        """
        if not handles:
            return []
        begins = list(consumer.committed(handles, timeout=ANSWER_TIMEOUT))
        since = int((self._wall() - self._replay) * 1000)
        new = [TopicPartition(each.topic, each.partition, since) for each in begins if each.offset < 0]
        if new:
            found = new if not self._replay else consumer.offsets_for_times(new, timeout=ANSWER_TIMEOUT)
            ends = {}
            for each in found:
                offset = each.offset
                if not self._replay or offset < 0:  # no message is that recent.
                    offset = consumer.get_watermark_offsets(
                        TopicPartition(each.topic, each.partition), timeout=ANSWER_TIMEOUT
                    )[1]
                ends[each.topic, each.partition] = offset
            begins = [
                TopicPartition(each.topic, each.partition, ends.get((each.topic, each.partition), each.offset))
                for each in begins
            ]
        return begins

    def _revoked(self, consumer: KafkaConsumer, handles: list[TopicPartition]) -> None:
        """Gives partitions to another member, after finishing and committing what is being applied."""
        gone = self._given_back(handles)
        self._obey()
        self._commit(gone, asynchronous=False)
        self._drop(gone)
        consumer.incremental_unassign(handles)

    def _lost(self, consumer: KafkaConsumer, handles: list[TopicPartition]) -> None:
        """Drops partitions without a commit: another member may be reading them already."""
        self._drop(self._given_back(handles))
        consumer.incremental_unassign(handles)

    def _given_back(self, handles: Iterable[TopicPartition]) -> list[_Partition]:
        self._balanced_at = self._steady()
        keys = [(handle.topic, handle.partition) for handle in handles]
        gone = [self._partitions[key] for key in keys if key in self._partitions]
        self._receiver.revoke(frozenset(partition.name for partition in gone))
        return gone

    def _drop(self, gone: Iterable[_Partition]) -> None:
        for partition in gone:
            self._partitions.pop((partition.topic, partition.number), None)
            self._named.pop(partition.name, None)

    def _commit(self, partitions: Iterable[_Partition], *, asynchronous: bool) -> None:
        """Commits finished offsets. Messages whose commit fails are read again."""
        offsets = [
            partition.at(position)
            for partition in partitions
            if (position := partition.offsets.uncommitted) is not None
        ]
        if not offsets:
            return
        try:
            self._consumer.commit(offsets=offsets, asynchronous=asynchronous)
        except KafkaException as error:
            self._log.warn("offsets cannot be committed to Kafka: {reason}", reason=error.args[0].str())

    def _committed(self, error: KafkaError | None, handles: list[TopicPartition]) -> None:
        for handle in handles:
            partition = self._partitions.get((handle.topic, handle.partition))
            if error is None and handle.error is None and partition is not None:
                partition.offsets.committed(handle.offset)
        if error is not None and error.code() not in _REBALANCING:
            self._log.warn("offsets were not committed to Kafka: {reason}", reason=error.str())

    def _failed(self, error: KafkaError) -> None:
        """Records a connection error. librdkafka keeps retrying."""
        if error.name() != "_ALL_BROKERS_DOWN" or self._problem in ("", NOT_JOINED):
            self._problem = _TIMING.sub("", error.str())  # else the reason is known, and this says less.

    def _measure(self, now: float) -> None:
        ask = now >= self._query_at
        if ask:
            self._query_at = now + QUERY_INTERVAL
        lag: Counter[str] = Counter(dict.fromkeys(self._topics, 0))
        for number, partition in enumerate(self._partitions.values()):
            # While nothing is fetched, only a query shows whether new messages arrived.
            # If the first query fails, the others are skipped in this iteration.
            more = not number or (self._paused and not self._problem)
            lag[partition.topic] += self._lag_of(partition, ask=ask and more)
        if self._balanced_at is not None and now >= self._balanced_at + SETTLING and not self._problem:
            self._count_partitions()
        self.status = StreamStatus(self._problem or self._topic_problem, dict(lag), self._partial)

    def _lag_of(self, partition: _Partition, *, ask: bool) -> int:
        if ask:
            try:
                low, high = self._consumer.get_watermark_offsets(partition.handle, timeout=QUERY_TIMEOUT)
                self._problem = ""
            except KafkaException as error:
                self._problem = error.args[0].str()
                ask = False
        if not ask:
            low, high = self._consumer.get_watermark_offsets(partition.handle, cached=True)
        position = partition.offsets.position
        return max(0, high - (low if position is None else position)) if high >= 0 else 0

    def _count_partitions(self) -> None:
        """Checks whether other members read a part of the topics."""
        try:
            found = [self._consumer.list_topics(topic, timeout=QUERY_TIMEOUT).topics[topic] for topic in self._topics]
        except KafkaException as error:
            self._problem = error.args[0].str()
            return
        self._balanced_at = None
        self._partial = len(self._partitions) < sum(len(topic.partitions) for topic in found)
