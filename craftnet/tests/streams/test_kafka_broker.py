"""Reading from a real Kafka broker. `make test-ingest` runs these tests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid4

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from craftnet.clocks import steady
from craftnet.contract.events import ACCEPTED, SessionProgress
from craftnet.streams.core.messages import DeadLetterReason
from craftnet.streams.kafka.stream import KafkaFactory
from craftnet.tests.support.brokers import KafkaBroker
from craftnet.tests.support.eventually import until
from craftnet.tests.support.stream_nodes import RecordedSources, StreamNode, progress_message, start_message

ANSWER_TIMEOUT = 30.0
"""Seconds for an answer of the broker; only a busy machine needs them."""

PARTITIONS = 4


class KafkaCase(TestCase):
    """One broker for all tests of the class, and topics of its own for each."""

    timeout = 60
    broker: ClassVar[KafkaBroker | None] = None

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it.
        """Start the broker with the first test; create the test's topics."""
        self.clock = steady(reactor)
        cls = type(self)
        if cls.broker is None:
            cls.broker = KafkaBroker()
            reactor.addSystemEventTrigger("after", "shutdown", cls.broker.remove)
            cls.broker.start()
        self.kafka = cls.broker
        name = uuid4().hex
        self.group, self.events, self.progress = f"group-{name}", f"events-{name}", f"progress-{name}"
        self.sources = RecordedSources(self.clock)
        await deferToThread(self._create_topics)
        self.producer = Producer(
            {
                "bootstrap.servers": self.kafka.address,
                "enable.idempotence": True,  # else what is sent again may come out of order.
                "linger.ms": 0,
                "message.max.bytes": 4_000_000,
                "log_level": 0,
            }
        )
        self.addCleanup(self.producer.flush, ANSWER_TIMEOUT)

    def _create_topics(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.kafka.address, "log_level": 0})
        topics = [
            NewTopic(name, PARTITIONS, config={"max.message.bytes": "4000000"}) for name in (self.events, self.progress)
        ]
        for created in admin.create_topics(topics, operation_timeout=ANSWER_TIMEOUT).values():
            created.result(ANSWER_TIMEOUT)

    def node(self, sources: RecordedSources | None = None, *, alone: bool = False, **more: str) -> StreamNode:
        """Start a node of the test's group."""
        (properties := Path(self.mktemp())).write_text("session.timeout.ms=6000\nheartbeat.interval.ms=500\n")
        arguments = {
            "brokers": self.kafka.address,
            "group": self.group,
            "topics": f"{self.events},{self.progress}",
            "properties": str(properties),
            **more,
        }
        stream = KafkaFactory().build(self.clock, arguments)
        node = StreamNode(stream, sources or self.sources, self.clock, alone=alone)
        node.consumer.startService()
        self.addCleanup(self.stop, node)
        return node

    async def stop(self, node: StreamNode) -> None:
        """Stop a node, unless the test did."""
        if node.consumer.running:
            await node.consumer.stopService()

    def publish(self, topic: str, value: bytes, key: UUID | None = None) -> None:
        """Hand a message to the producer, which sends it at once."""
        self.producer.produce(topic, value, key=None if key is None else key.bytes)
        self.producer.poll(0)

    def start(self, session: UUID) -> None:
        self.publish(self.events, start_message(session, self.clock.wall() - 5), session)

    def report(self, session: UUID, percent: float) -> None:
        self.publish(self.progress, progress_message(session, self.clock.wall(), percent), session)

    async def committed(self) -> Mapping[str, int]:
        """The committed offsets of the test's group, summed for each topic."""

        def ask() -> Mapping[str, int]:
            consumer = Consumer({"bootstrap.servers": self.kafka.address, "group.id": self.group})
            wanted = [TopicPartition(topic, n) for topic in (self.events, self.progress) for n in range(PARTITIONS)]
            sums: dict[str, int] = defaultdict(int)
            for found in consumer.committed(wanted, timeout=ANSWER_TIMEOUT):
                sums[found.topic] += max(0, found.offset)
            consumer.close()
            return sums

        return await deferToThread(ask)


class ReadingTests(KafkaCase):
    async def test_events_are_applied_and_committed(self) -> None:
        session = uuid4()
        node = self.node()
        self.start(session)
        await until(lambda: self.sources.session(session))
        self.report(session, 40)
        await until(lambda: self.sources.percent(session) == 40)
        await node.consumer.stopService()
        self.assertEqual(await self.committed(), {self.events: 1, self.progress: 1})

    async def test_progress_before_its_start_waits(self) -> None:
        session = uuid4()
        node = self.node()
        self.report(session, 40)
        await until(lambda: node.figure("ingest_waiting_events"))
        self.start(session)
        await until(lambda: self.sources.percent(session) == 40)
        self.assertEqual(node.dead, [])
        self.assertEqual(node.figure("events_total", verdict="rejected"), 0)

    async def test_poison_is_given_up(self) -> None:
        session = uuid4()
        node = self.node()
        self.publish(self.events, b"\xff\x00", session)
        self.publish(self.events, b"x" * 1_100_000, session)
        self.publish(self.events, start_message(session, self.clock.wall()).replace(b"start", b"start2"), session)
        self.start(session)
        await until(lambda: self.sources.session(session))
        reasons = [letter.reason for letter in node.dead]
        wanted = [DeadLetterReason.UNDECODABLE, DeadLetterReason.TOO_LARGE, DeadLetterReason.UNKNOWN_TYPE]
        self.assertEqual(reasons, wanted)
        await node.consumer.stopService()
        self.assertEqual((await self.committed())[self.events], 4)

    async def test_what_is_not_kept_is_read_again(self) -> None:
        """A node that loses its store, and then its life, has committed nothing."""
        session = uuid4()
        lost = RecordedSources(self.clock)
        lost.unavailable = True
        node = self.node(lost)
        self.start(session)
        await until(lambda: lost.refused)
        await node.consumer.stopService()
        self.assertEqual((await self.committed())[self.events], 0)
        self.node()
        await until(lambda: self.sources.session(session))

    async def test_rebalance(self) -> None:
        """A second node joins and leaves while events come: each is applied, those of a session in order."""
        sessions = [uuid4() for _ in range(20)]
        first = self.node()
        for session in sessions:
            self.start(session)
        await until(lambda: all(map(self.sources.session, sessions)))
        reported = 0

        async def report_once() -> None:
            nonlocal reported
            reported += 1
            self.start(started := uuid4())
            for session in sessions:
                self.report(session, reported / 100)
            await until(lambda: all(self.sources.percent(session) == reported / 100 for session in sessions))
            await until(lambda: self.sources.session(started))

        await report_once()
        second = self.node()
        while not second.figure("events_total", verdict="accepted"):
            await report_once()
        await second.consumer.stopService()
        for _ in range(5):
            await report_once()
        seen: dict[UUID | None, list[float]] = defaultdict(list)
        for event, outcome in self.sources.applied:
            if isinstance(event.data, SessionProgress) and outcome.verdict.value == "accepted":
                seen[event.session_id].append(event.data.progress_percentage)
        for session in sessions:
            self.assertEqual(seen[session], [number / 100 for number in range(1, reported + 1)])
        self.assertEqual([*first.dead, *second.dead], [])

    async def test_broker_is_killed_and_started_again(self) -> None:
        sessions = [uuid4(), uuid4()]
        node = self.node()
        self.start(sessions[0])
        await until(lambda: self.sources.session(sessions[0]))
        self.kafka.kill()
        await until(lambda: node.stream.status().problem)
        self.kafka.start()
        self.start(sessions[1])
        await until(lambda: self.sources.session(sessions[1]))
        await until(lambda: not node.stream.status().problem)
        accepted = [event.session_id for event, outcome in self.sources.applied if outcome == ACCEPTED]
        self.assertEqual(accepted, sessions)
