"""Reading from a real Kafka broker. `make test-ingest` runs these tests."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import ClassVar
from uuid import UUID, uuid4

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from craftnet.clocks import steady
from craftnet.contract.events import ACCEPTED, SessionProgress
from craftnet.streams.core.messages import DeadLetterReason
from craftnet.streams.kafka.stream import KafkaFactory
from craftnet.tests.support.brokers import KafkaBroker
from craftnet.tests.support.buses import KafkaTopics
from craftnet.tests.support.eventually import until
from craftnet.tests.support.stream_nodes import RecordedSources, StreamNode, start_message


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
        self.bus = KafkaTopics(cls.broker)
        await self.bus.open()
        self.addCleanup(self.bus.close)
        self.events, self.start, self.report = self.bus.events, self.bus.start, self.bus.report
        self.publish, self.committed = self.bus.publish, self.bus.committed
        self.sources = RecordedSources(self.clock)

    def node(self, sources: RecordedSources | None = None, *, alone: bool = False, **more: str) -> StreamNode:
        """Start a node of the test's group."""
        (properties := Path(self.mktemp())).write_text("session.timeout.ms=6000\nheartbeat.interval.ms=500\n")
        arguments = {
            "brokers": self.kafka.address,
            "group": self.bus.group,
            "topics": f"{self.bus.events},{self.bus.progress}",
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


class ReadingTests(KafkaCase):
    async def test_events_are_applied_and_committed(self) -> None:
        session = uuid4()
        node = self.node()
        self.start(session)
        await until(lambda: self.sources.session(session))
        self.report(session, 40)
        await until(lambda: self.sources.percent(session) == 40)
        await node.consumer.stopService()
        self.assertEqual(await self.committed(), {self.events: 1, self.bus.progress: 1})

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
