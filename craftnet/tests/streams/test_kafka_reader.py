"""The thread that reads from Kafka, turn by turn, with a consumer that a test plays."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.streams.core.messages import StreamMessage
from craftnet.streams.kafka.reader import COMMIT_INTERVAL, QUERY_INTERVAL, SETTLING, KafkaReader
from craftnet.streams.kafka.stream import KafkaFactory, kafka_settings
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW

AWAY = KafkaError(KafkaError.LEADER_NOT_AVAILABLE)


class FakeMessage:
    """A message of librdkafka's."""

    def __init__(self, offset: int, value: bytes | None = b"{}", number: int = 0, error: Any = None) -> None:
        self._offset, self._value, self._number, self._error = offset, value, number, error

    def error(self) -> Any:
        return self._error

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return self._number

    def offset(self) -> int:
        return self._offset

    def value(self) -> bytes | None:
        return self._value

    def timestamp(self) -> tuple[int, int]:
        return 1, int(NOW * 1000)


class FakeKafka:
    """A `KafkaConsumer` of a topic with two partitions, which says what a test says."""

    def __init__(self, callbacks: dict[str, Callable[..., None]]) -> None:
        self.callbacks = callbacks
        self.rebalance: dict[str, Callable[[Any, list[TopicPartition]], None]] = {}
        self.messages: list[FakeMessage] = []
        self.calls: list[tuple[str, Any]] = []
        self.known: dict[int, int] = {}  # committed offsets.
        self.ends = {0: 10, 1: 20}
        self.away = False
        self.refuse_commits = False

    def subscribe(self, topics: list[str], on_assign: Any = None, on_revoke: Any = None, on_lost: Any = None) -> None:
        self.rebalance = {"on_assign": on_assign, "on_revoke": on_revoke, "on_lost": on_lost}

    def poll(self, timeout: float) -> Any:
        return self.messages.pop(0) if self.messages else None

    def consume(self, num_messages: int, timeout: float) -> list[Any]:
        taken, self.messages = self.messages[:num_messages], self.messages[num_messages:]
        return taken

    def _note(self, name: str, partitions: list[TopicPartition]) -> None:
        self.calls.append((name, [(each.partition, each.offset) for each in partitions]))

    def incremental_assign(self, partitions: list[Any]) -> None:
        self._note("assign", partitions)

    def incremental_unassign(self, partitions: list[Any]) -> None:
        self._note("unassign", partitions)

    def pause(self, partitions: list[Any]) -> None:
        self.calls.append(("pause", [each.partition for each in partitions]))

    def resume(self, partitions: list[Any]) -> None:
        self.calls.append(("resume", [each.partition for each in partitions]))

    def _check(self) -> None:
        if self.away:
            raise KafkaException(AWAY)

    def committed(self, partitions: list[Any], timeout: float) -> list[Any]:
        self._check()
        return [TopicPartition("t", each.partition, self.known.get(each.partition, -1001)) for each in partitions]

    def offsets_for_times(self, partitions: list[Any], timeout: float) -> list[Any]:
        self.calls.append(("since", [each.offset for each in partitions]))
        return [TopicPartition("t", each.partition, 3 if each.partition == 0 else -1) for each in partitions]

    def get_watermark_offsets(self, partition: Any, timeout: float = 0, cached: bool = False) -> Any:
        if not cached:
            self.calls.append(("ask", partition.partition))
            self._check()
        return 0, self.ends[partition.partition]

    def list_topics(self, topic: str, timeout: float) -> Any:
        return SimpleNamespace(topics={topic: SimpleNamespace(partitions={0: None, 1: None})})

    def commit(self, *, offsets: list[Any], asynchronous: bool) -> Any:
        if self.refuse_commits:
            raise KafkaException(AWAY)
        self._note("commit" if asynchronous else "commit and wait", offsets)
        self.known.update((each.partition, each.offset) for each in offsets)
        self.callbacks["on_commit"](None, offsets)

    def close(self) -> None:
        self.calls.append(("close", None))

    def said(self, *names: str) -> list[tuple[str, Any]]:
        """What was called since the last look, of these names."""
        found = [call for call in self.calls if call[0] in names]
        self.calls.clear()
        return found


class ReaderCase(SynchronousTestCase):
    replay = 3600.0

    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.delivered: list[StreamMessage] = []
        self.revoked: list[Collection[str]] = []
        self.when_revoked: Callable[[], None] = lambda: None
        self.made: list[FakeKafka] = []
        self.reader = KafkaReader(self.make, ["t"], self.replay, self, self.clock.wall, self.clock.seconds)
        (self.kafka,) = self.made
        self.reader.stopping = True

    def make(self, callbacks: dict[str, Any]) -> FakeKafka:
        """Make the consumer."""
        self.made.append(FakeKafka(callbacks))
        return self.made[-1]

    def deliver(self, messages: Sequence[StreamMessage]) -> None:
        """See `KafkaReceiver`."""
        self.delivered += messages

    def revoke(self, partitions: Collection[str]) -> None:
        """See `KafkaReceiver`."""
        self.revoked.append(partitions)
        self.when_revoked()

    def rebalance(self, kind: str, *numbers: int) -> None:
        """The group gives or takes partitions."""
        if not self.kafka.rebalance:
            self.reader.run()  # subscribes, and stops at once.
            self.kafka.calls.clear()
        self.kafka.rebalance[kind](self.kafka, [TopicPartition("t", number) for number in numbers])

    def turn(self, seconds: float = 0.0) -> None:
        """One turn, some time later."""
        self.clock.advance(seconds)
        self.reader.turn()


class ProblemTests(ReaderCase):
    """What the health check and the log say of librdkafka's errors."""

    def problem_after(self, *codes: int) -> str:
        """The problem after these errors."""
        for code in codes:
            self.kafka.callbacks["error_cb"](KafkaError(code))
        self.turn(2)
        return self.reader.status.problem

    def test_reason_outlasts_its_consequence(self) -> None:
        """A refused password also makes all brokers unusable, which says less."""
        names = {name: getattr(KafkaError, name) for name in ("_AUTHENTICATION", "_ALL_BROKERS_DOWN")}
        reason = KafkaError(names["_AUTHENTICATION"]).str()
        self.assertEqual(self.problem_after(names["_AUTHENTICATION"], names["_ALL_BROKERS_DOWN"]), reason)

    def test_brokers_that_are_away(self) -> None:
        down = getattr(KafkaError, "_ALL_BROKERS_DOWN")  # noqa: B009  # a public constant with a private name.
        self.assertEqual(self.problem_after(down), KafkaError(down).str())

    def test_how_long_an_attempt_took_is_left_out(self) -> None:
        """So that the log has one line for one reason."""
        code = getattr(KafkaError, "_TRANSPORT")  # noqa: B009  # as above.
        for took in ("(after 0ms in state CONNECT)", "(after 12ms in state CONNECT, 1 identical error(s) suppressed)"):
            self.kafka.callbacks["error_cb"](KafkaError(code, f"Connection refused {took}"))
            self.turn(2)
            self.assertEqual(self.reader.status.problem, "Connection refused")


class AssignedTests(ReaderCase):
    def test_begins_where_the_group_stopped_or_in_the_past(self) -> None:
        self.kafka.known[0] = 7
        self.rebalance("on_assign", 0, 1)
        since = int((NOW - 3600) * 1000)
        self.assertEqual(self.kafka.said("since", "assign"), [("since", [since]), ("assign", [(0, 7), (1, 20)])])

    def test_error_ends_this_membership(self) -> None:
        self.kafka.away = True
        self.rebalance("on_assign", 0)
        self.assertRaises(KafkaException, self.reader.turn)

    def test_stays_paused(self) -> None:
        self.reader.pausing = True
        self.rebalance("on_assign")
        self.turn()
        self.rebalance("on_assign", 0)
        self.assertIn(("pause", [0]), self.kafka.calls)


class NextMessageTests(ReaderCase):
    replay = 0.0

    def test_new_group_without_replay(self) -> None:
        self.rebalance("on_assign", 0, 1)
        self.assertEqual(self.kafka.said("since", "assign"), [("assign", [(0, 10), (1, 20)])])


class ReadingTests(ReaderCase):
    def setUp(self) -> None:
        super().setUp()
        self.kafka.known.update({0: 5, 1: 5})
        self.rebalance("on_assign", 0, 1)
        self.kafka.calls.clear()

    def test_delivers_what_is_there_together(self) -> None:
        self.kafka.messages = [FakeMessage(5, b"a"), FakeMessage(6, None), FakeMessage(5, b"c", number=1)]
        self.turn()
        self.assertEqual(
            [(each.value, each.partition, each.offset, each.timestamp) for each in self.delivered],
            [(b"a", "t/0", 5, NOW), (b"", "t/0", 6, NOW), (b"c", "t/1", 5, NOW)],
        )

    def test_commits_what_is_finished_and_nothing_else(self) -> None:
        self.kafka.messages = [FakeMessage(5), FakeMessage(6), FakeMessage(7)]
        self.turn(COMMIT_INTERVAL)
        self.reader.finished.append([self.delivered[0], self.delivered[2]])
        self.turn(COMMIT_INTERVAL)
        self.turn(COMMIT_INTERVAL)
        self.assertEqual(self.kafka.said("commit"), [("commit", [(0, 6)])])
        self.reader.finished.append([self.delivered[1]])
        self.turn(COMMIT_INTERVAL)
        self.assertEqual(self.kafka.said("commit"), [("commit", [(0, 8)])])

    def test_refused_commit_is_repeated(self) -> None:
        self.kafka.messages = [FakeMessage(5)]
        self.turn()
        self.reader.finished.append(self.delivered)
        self.kafka.refuse_commits = True
        self.turn(COMMIT_INTERVAL)
        self.kafka.refuse_commits = False
        self.turn(COMMIT_INTERVAL)
        self.assertEqual(self.kafka.said("commit"), [("commit", [(0, 6)])])

    def test_pauses_and_resumes(self) -> None:
        self.reader.pausing = True
        self.turn()
        self.turn()
        self.reader.pausing = False
        self.turn()
        self.assertEqual(self.kafka.said("pause", "resume"), [("pause", [0, 1]), ("resume", [0, 1])])

    def test_hands_over_after_the_last_commit(self) -> None:
        """What was being applied is finished while the partition is handed over, and is committed."""
        self.kafka.messages = [FakeMessage(5), FakeMessage(6), FakeMessage(5, number=1)]
        self.turn()
        self.when_revoked = lambda: self.reader.finished.append([self.delivered[0]])
        self.rebalance("on_revoke", 0)
        self.assertEqual(self.revoked, [{"t/0"}])
        self.assertEqual(
            self.kafka.said("commit and wait", "unassign"), [("commit and wait", [(0, 6)]), ("unassign", [(0, -1001)])]
        )
        self.kafka.messages = [FakeMessage(7)]
        self.delivered.clear()
        self.turn()
        self.assertEqual(self.delivered, [], "of a partition that is gone")

    def test_commits_nothing_of_what_is_lost(self) -> None:
        self.kafka.messages = [FakeMessage(5)]
        self.turn()
        self.reader.finished.append(self.delivered)
        self.rebalance("on_lost", 0)
        self.turn(COMMIT_INTERVAL)
        self.assertEqual(self.kafka.said("commit", "commit and wait"), [])

    def test_lag(self) -> None:
        self.turn(1)
        self.assertEqual(self.reader.status.lag, {"t": 5 + 15})

    def test_asks_for_the_lag_while_paused(self) -> None:
        self.turn(1)
        self.reader.pausing = True
        self.kafka.calls.clear()
        self.turn(QUERY_INTERVAL)
        self.assertEqual(self.kafka.said("ask"), [("ask", 0), ("ask", 1)])

    def test_brokers_that_are_away(self) -> None:
        self.kafka.away = True
        self.turn(QUERY_INTERVAL)
        self.assertIn("Leader", self.reader.status.problem)
        self.kafka.away = False
        self.turn(QUERY_INTERVAL)
        self.assertEqual(self.reader.status.problem, "")

    def test_topic_that_is_missing(self) -> None:
        self.kafka.messages = [FakeMessage(0, error=KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART))]
        self.turn(QUERY_INTERVAL)
        self.assertIn("Unknown topic", self.reader.status.problem)

    def test_others_in_the_group(self) -> None:
        self.turn(SETTLING)
        self.assertFalse(self.reader.status.partial)
        self.rebalance("on_revoke", 1)
        self.turn(SETTLING)
        self.assertTrue(self.reader.status.partial)


class SettingsTests(SynchronousTestCase):
    def test_mistakes_are_named(self) -> None:
        for arguments, words in (
            ({}, "brokers="),
            ({"brokers": "x", "topics": ","}, "topics="),
            ({"brokers": "x", "replay": "-1"}, "from 0"),
            ({"brokers": "x", "properties": "/no/such/file"}, "No such file"),
        ):
            self.assertIn(words, str(self.assertRaises(ConfigurationError, kafka_settings, arguments, {})))

    def test_properties(self) -> None:
        path = Path(self.mktemp())
        path.write_text("# comment\n\nsasl.password=a=b\nsession.timeout.ms = 7000\n")
        configuration = kafka_settings({"brokers": "x", "properties": str(path)}, {}).configuration
        self.assertEqual((configuration["sasl.password"], configuration["session.timeout.ms"]), ("a=b", "7000"))
        self.assertFalse(configuration["enable.auto.commit"])
        for line, words in (("group.id=x", "craftnet sets group.id"), ("secret", "line 1: expected name=value")):
            path.write_text(line)
            error = self.assertRaises(ConfigurationError, kafka_settings, {"brokers": "x", "properties": str(path)}, {})
            self.assertIn(words, str(error))

    def test_property_that_there_is_not(self) -> None:
        path = Path(self.mktemp())
        path.write_text("no.such.thing=1\n")
        arguments = {"brokers": "x", "properties": str(path)}
        error = self.assertRaises(ConfigurationError, KafkaFactory().build, SteppedClock(), arguments)
        self.assertIn("no.such.thing", str(error))
