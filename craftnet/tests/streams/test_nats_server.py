"""Reading from a real nats-server with JetStream. `make test-ingest` runs these tests."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from craftnet.clocks import steady
from craftnet.contract.events import SessionProgress
from craftnet.streams.core import nats as wire
from craftnet.streams.core.messages import DeadLetterReason
from craftnet.streams.nats import NatsFactory
from craftnet.tests.support.brokers import NatsServer
from craftnet.tests.support.eventually import until
from craftnet.tests.support.stream_nodes import RecordedSources, StreamNode, progress_message, start_message


class Publisher(Protocol):
    """The authority: publishes, and asks JetStream's API."""

    def connectionMade(self) -> None:
        """See `Protocol`."""
        self.parser = wire.NatsParser()
        self.answers: list[Any] = []
        self.send(wire.connect("tests") + wire.subscribe("answers", 1))

    def dataReceived(self, data: bytes) -> None:
        """See `Protocol`."""
        for frame in self.parser.feed(data):
            if isinstance(frame, wire.Ping):
                self.send(wire.PONG)
            elif isinstance(frame, wire.Delivery) and frame.payload:
                self.answers.append(msgspec.json.decode(frame.payload))

    def send(self, octets: bytes) -> None:
        assert self.transport is not None
        self.transport.write(octets)

    async def ask(self, subject: str, body: bytes = b"") -> Any:
        """An answer of JetStream."""
        self.answers.clear()
        self.send(wire.publish(subject, body, "answers"))
        await until(lambda: self.answers)
        return self.answers[0]


class NatsCase(TestCase):
    """One server for all tests of the class, and a stream of its own for each."""

    timeout = 60
    server: ClassVar[NatsServer | None] = None

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it.
        """Start the server with the first test; create the test's stream."""
        self.clock = steady(reactor)
        cls = type(self)
        if cls.server is None:
            cls.server = NatsServer()
            reactor.addSystemEventTrigger("after", "shutdown", cls.server.remove)
            cls.server.start()
        self.nats = cls.server
        self.name = f"S{uuid4().hex}"
        self.sources = RecordedSources(self.clock)
        self.publisher = await self.connect()
        self.addCleanup(self.disconnect)
        config = {"name": self.name, "subjects": [f"{self.name}.>"]}
        await self.publisher.ask(f"$JS.API.STREAM.CREATE.{self.name}", msgspec.json.encode(config))

    async def connect(self) -> Publisher:
        """Connect, as soon as the server listens."""
        while True:
            try:
                endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.nats.port)
                publisher: Publisher = await connectProtocol(endpoint, Publisher())
                return publisher
            except ConnectError:
                await deferLater(reactor, 0.01)

    async def disconnect(self) -> None:
        """Close the publisher's connection."""
        lost: Deferred[None] = Deferred()
        self.publisher.connectionLost = lambda reason: lost.callback(None)  # type: ignore[assignment,method-assign,misc]
        assert self.publisher.transport is not None
        self.publisher.transport.loseConnection()
        await lost

    def node(self, sources: RecordedSources | None = None, *, alone: bool = False, **more: str) -> StreamNode:
        """Start a node."""
        arguments = {"servers": self.nats.url, "stream": self.name, **more}
        node = StreamNode(NatsFactory().build(self.clock, arguments), sources or self.sources, self.clock, alone=alone)
        node.consumer.startService()
        self.addCleanup(self.stop, node)
        return node

    async def stop(self, node: StreamNode) -> None:
        """Stop a node, unless the test did."""
        if node.consumer.running:
            await node.consumer.stopService()

    def publish(self, *values: bytes, subject: str = "events") -> None:
        """Messages of the authority."""
        self.publisher.send(b"".join(wire.publish(f"{self.name}.{subject}", value) for value in values))

    def start(self, session: UUID) -> None:
        """A session's start."""
        self.publish(start_message(session, self.clock.wall() - 5))

    def report(self, session: UUID, percent: float) -> None:
        """A session's progress."""
        self.publish(progress_message(session, self.clock.wall(), percent), subject="progress")

    def shows(self, session: UUID, percent: float) -> bool:
        """Whether this was reported of a session last."""
        return self.sources.percent(session) == percent

    async def left(self) -> int:
        """Messages that are not acknowledged, delivered or not."""
        info = await self.publisher.ask(f"$JS.API.CONSUMER.INFO.{self.name}.craftnet")
        number: int = info["num_pending"] + info["num_ack_pending"]
        return number


class ReadingTests(NatsCase):
    async def test_events_are_applied_and_acknowledged(self) -> None:
        session = uuid4()
        self.start(session)  # before the node: a new consumer begins in the past.
        node = self.node()
        await until(lambda: self.sources.session(session))
        self.report(session, 40)
        await until(lambda: self.sources.percent(session) == 40)
        await node.consumer.stopService()
        self.assertEqual(await self.left(), 0)

    async def test_progress_before_its_start_waits(self) -> None:
        session = uuid4()
        node = self.node()
        self.report(session, 40)
        await until(lambda: node.figure("ingest_waiting_events"))
        self.assertEqual(node.figure("ingest_lag_messages", topic=self.name), 1)
        self.start(session)
        await until(lambda: self.sources.percent(session) == 40)
        self.assertEqual(node.dead, [])

    async def test_poison_is_given_up(self) -> None:
        session = uuid4()
        node = self.node()
        self.publish(b"\xff\x00", b"", start_message(session, self.clock.wall()).replace(b"start", b"start2"))
        self.start(session)
        await until(lambda: self.sources.session(session))
        bad, unknown = DeadLetterReason.UNDECODABLE, DeadLetterReason.UNKNOWN_TYPE
        self.assertEqual([letter.reason for letter in node.dead], [bad, bad, unknown])
        await node.consumer.stopService()
        self.assertEqual(await self.left(), 0)

    async def test_what_is_not_kept_is_read_again(self) -> None:
        session = uuid4()
        lost = RecordedSources(self.clock)
        lost.unavailable = True
        node = self.node(lost)
        self.start(session)
        await until(lambda: lost.refused)
        await node.consumer.stopService()
        self.assertEqual(await self.left(), 1)
        self.node()
        await until(lambda: self.sources.session(session))

    async def test_one_node_reads_and_another_goes_on(self) -> None:
        """Each event once, in order, although two nodes ask."""
        session = uuid4()
        nodes = [self.node(), self.node()]
        self.start(session)
        await until(lambda: self.sources.session(session))
        reported = 0
        for _ in range(3):
            for _ in range(50):
                reported += 1
                self.report(session, reported / 10)
            await until(partial(self.shows, session, reported / 10))
            reading = [node for node in nodes if node.figure("events_total", verdict="accepted")]
            if reported == 50:
                self.assertEqual(len(reading), 1)
                await reading[0].consumer.stopService()
        seen = [
            event.data.progress_percentage
            for event, _ in self.sources.applied
            if isinstance(event.data, SessionProgress)
        ]
        self.assertEqual(seen, [number / 10 for number in range(1, 151)])
        self.assertEqual(len(reading), 2)

    async def test_group_of_several_is_noticed(self) -> None:
        first = self.node(alone=True)
        self.node(alone=True)
        await until(lambda: first.stream.status().partial)

    async def test_server_is_killed_and_started_again(self) -> None:
        sessions = [uuid4(), uuid4()]
        node = self.node()
        self.start(sessions[0])
        await until(lambda: self.sources.session(sessions[0]))
        self.nats.kill()
        await until(lambda: node.stream.status().problem)
        self.nats.start()
        self.publisher = await self.connect()
        self.start(sessions[1])
        await until(lambda: self.sources.session(sessions[1]))
        await until(lambda: not node.stream.status().problem)
        self.assertEqual([event.session_id for event, _ in self.sources.applied], sessions)

    async def test_stream_that_is_missing_is_named(self) -> None:
        node = self.node(stream="NONE")
        await until(lambda: "stream not found" in node.stream.status().problem)
