"""The authority's end of a message bus, for tests: publishes events, and asks what is acknowledged."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.error import ConnectError
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from craftnet.streams.core import nats as wire
from craftnet.tests.support.brokers import KafkaBroker, NatsServer
from craftnet.tests.support.eventually import until
from craftnet.tests.support.samples import PLAYER
from craftnet.tests.support.stream_nodes import progress_message, start_message

ANSWER_TIMEOUT = 30.0
"""Seconds for an answer of a broker; only a busy machine needs them."""

PARTITIONS = 4


class Bus(ABC):
    """Two kinds of events of one test.

    Attributes:
        published: the number of messages.
    """

    published = 0

    @property
    @abstractmethod
    def option(self) -> str:
        """As for `--ingest`."""

    @abstractmethod
    async def open(self) -> None:
        """Create what the events go into."""

    async def reopen(self) -> None:  # noqa: B027  # most clients connect again by themselves.
        """Connect again, after the broker was away."""

    @abstractmethod
    async def close(self) -> None:
        """Disconnect."""

    @abstractmethod
    def publish_event(self, value: bytes, session: UUID) -> None:
        """A message beside those of progress."""

    @abstractmethod
    def publish_progress(self, value: bytes, session: UUID) -> None:
        """A message of progress."""

    @abstractmethod
    async def acknowledged(self) -> int:
        """How many messages the group has acknowledged."""

    def start(self, session: UUID, player: UUID = PLAYER, ago: float = 5.0) -> None:
        """A session's start, some seconds ago."""
        self.published += 1
        self.publish_event(start_message(session, reactor.seconds() - ago, player), session)

    def report(self, session: UUID, percent: float) -> None:
        """A session's progress."""
        self.published += 1
        self.publish_progress(progress_message(session, reactor.seconds(), percent), session)


class KafkaTopics(Bus):
    """Two topics of a broker, and a consumer group.

    Attributes:
        properties: a file that makes a node learn of a dead member in three seconds.
    """

    def __init__(self, broker: KafkaBroker) -> None:
        name = uuid4().hex
        self._broker = broker
        self._client: dict[str, Any] = {"bootstrap.servers": broker.address, "log_level": 0}
        self.group, self.events, self.progress = f"group-{name}", f"events-{name}", f"progress-{name}"
        self.properties = broker.folder / "client.properties"
        self.properties.write_text("session.timeout.ms=3000\nheartbeat.interval.ms=300\n")

    @property
    def option(self) -> str:
        """See `Bus`."""
        topics = f"{self.events},{self.progress}"
        return f"kafka:properties={self.properties}:brokers={self._broker.address}:group={self.group}:topics={topics}"

    async def open(self) -> None:
        """See `Bus`."""
        await deferToThread(self._create)
        more = {"enable.idempotence": True, "linger.ms": 0, "message.max.bytes": 4_000_000}
        self._producer = Producer({**self._client, **more})  # idempotent: what is sent again stays in order.

    async def close(self) -> None:
        """See `Bus`."""
        await deferToThread(self._producer.flush, ANSWER_TIMEOUT)

    def publish(self, topic: str, value: bytes, key: UUID | None = None) -> None:
        """Hand a message to the producer, which sends it at once."""
        self._producer.produce(topic, value, key=None if key is None else key.bytes)
        self._producer.poll(0)

    def publish_event(self, value: bytes, session: UUID) -> None:
        """See `Bus`."""
        self.publish(self.events, value, session)

    def publish_progress(self, value: bytes, session: UUID) -> None:
        """See `Bus`."""
        self.publish(self.progress, value, session)

    async def acknowledged(self) -> int:
        """See `Bus`."""
        return sum((await self.committed()).values())

    async def committed(self) -> Mapping[str, int]:
        """The committed offsets of the group, summed for each topic."""
        return await deferToThread(self._committed)

    def _create(self) -> None:
        topics = [
            NewTopic(name, PARTITIONS, config={"max.message.bytes": "4000000"}) for name in (self.events, self.progress)
        ]
        admin = AdminClient(self._client)
        for created in admin.create_topics(topics, operation_timeout=ANSWER_TIMEOUT).values():
            created.result(ANSWER_TIMEOUT)

    def _committed(self) -> Mapping[str, int]:
        consumer = Consumer({**self._client, "group.id": self.group})
        wanted = [TopicPartition(topic, n) for topic in (self.events, self.progress) for n in range(PARTITIONS)]
        sums = {self.events: 0, self.progress: 0}
        for found in consumer.committed(wanted, timeout=ANSWER_TIMEOUT):
            sums[found.topic] += max(0, found.offset)
        consumer.close()
        return sums


class _Publisher(Protocol):
    """A client of NATS that publishes, and asks JetStream's API."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._parser = wire.NatsParser()
        self._greeted = self.accepted = False
        self.answers: list[Any] = []

    def dataReceived(self, data: bytes) -> None:
        """See `Protocol`."""
        for frame in self._parser.feed(data):
            match frame:
                case wire.Info() if not self._greeted:
                    self._greeted = True
                    if self._server.tls is not None:
                        self.transport.startTLS(self._server.tls)  # type: ignore[union-attr]  # TCP's has it.
                    self.send(wire.connect("tests", self._server.credentials.answer(frame.nonce)))
                    self.send(wire.subscribe("answers", 1))
                case wire.Ping():
                    self.send(wire.PONG)
                case wire.Pong():
                    self.accepted = True
                case wire.Delivery() if frame.payload:
                    self.answers.append(msgspec.json.decode(frame.payload))
                case wire.ServerError():
                    raise AssertionError(frame.text)

    def send(self, octets: bytes) -> None:
        """Write."""
        assert self.transport is not None
        self.transport.write(octets)


class NatsSubjects(Bus):
    """A stream of a server, with two subjects, and a consumer."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.stream = f"S{uuid4().hex}"

    @property
    def option(self) -> str:
        """See `Bus`."""
        return f"nats:servers={self._server.url}:stream={self.stream}"

    async def open(self) -> None:
        """See `Bus`."""
        await self.connect()
        config = {"name": self.stream, "subjects": [f"{self.stream}.>"]}
        await self.ask(f"$JS.API.STREAM.CREATE.{self.stream}", msgspec.json.encode(config))

    async def connect(self) -> None:
        """Connect, as soon as the server listens."""
        while True:
            try:
                endpoint = HostnameEndpoint(reactor, "127.0.0.1", self._server.port)
                self._publisher: _Publisher = await connectProtocol(endpoint, _Publisher(self._server))
                break
            except ConnectError:
                await deferLater(reactor, 0.01)
        await until(lambda: self._publisher.accepted)

    async def reopen(self) -> None:
        """See `Bus`."""
        await self.connect()

    async def close(self) -> None:
        """See `Bus`."""
        lost: Deferred[None] = Deferred()
        self._publisher.connectionLost = lambda reason: lost.callback(None)  # type: ignore[assignment,method-assign,misc]
        assert self._publisher.transport is not None
        self._publisher.transport.loseConnection()
        await lost

    async def ask(self, subject: str, body: bytes = b"") -> Any:
        """An answer of JetStream."""
        self._publisher.answers.clear()
        self._publisher.send(wire.publish(subject, body, "answers"))
        await until(lambda: self._publisher.answers)
        return self._publisher.answers[0]

    def publish(self, *values: bytes, subject: str = "events") -> None:
        """Messages of the authority."""
        self._publisher.send(b"".join(wire.publish(f"{self.stream}.{subject}", value) for value in values))

    def publish_event(self, value: bytes, session: UUID) -> None:
        """See `Bus`."""
        self.publish(value)

    def publish_progress(self, value: bytes, session: UUID) -> None:
        """See `Bus`."""
        self.publish(value, subject="progress")

    async def acknowledged(self) -> int:
        """See `Bus`."""
        info = await self.ask(f"$JS.API.CONSUMER.INFO.{self.stream}.craftnet")
        stream = await self.ask(f"$JS.API.STREAM.INFO.{self.stream}")
        number: int = stream["state"]["last_seq"] - info["num_pending"] - info["num_ack_pending"]
        return number
