"""Whole servers that read a real Kafka and a real nats-server, as operators run them: `make test-ingest`."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from twisted.web.http_headers import Headers

from craftnet.access.principal import ADMIN
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.tests.support.brokers import KAFKA_PASSWORD, KAFKA_USER, Broker, KafkaBroker, NatsServer
from craftnet.tests.support.buses import Bus, KafkaTopics, NatsSubjects
from craftnet.tests.support.eventually import until, until_async
from craftnet.tests.support.live import token
from craftnet.tests.support.live_metrics import samples
from craftnet.tests.support.nodes import Node
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import PLAYER
from craftnet.tests.support.watchers import Seen, give_up, watch

OPTIONS = ("--http", "tcp:0:interface=127.0.0.1", "--udp", "off", "--drain-time", "0", "--health-interval", "0.5")


class ServiceCase(TestCase):
    """One broker for all tests of the class, and topics or a stream of its own for each."""

    timeout = 90
    broker: ClassVar[Broker | None] = None
    make_broker: ClassVar[Callable[[], Any]]
    make_bus: ClassVar[Callable[..., Bus]]

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it.
        """Start the broker with the first test; create the test's topics."""
        cls = type(self)
        if cls.broker is None:
            cls.broker = cls.make_broker()
            reactor.addSystemEventTrigger("after", "shutdown", cls.broker.remove)
            cls.broker.start()
        self.bus = cls.make_bus(cls.broker)
        await self.bus.open()
        self.addCleanup(self.bus.close)
        self.seen: dict[UUID, Seen] = {}

    def redis(self) -> str:
        """A Redis of its own; returns the text of --backend."""
        server = RedisServer(durable=True)
        self.addCleanup(server.stop)
        server.start()
        return f"redis:port={server.port}:timeout=1"

    def node(self, *options: str, ingest: str = "", **more: str) -> Node:
        """A node that is not started yet."""
        node = Node([*OPTIONS, "--ingest", ingest or self.bus.option, *options], more)
        self.addCleanup(node.end)
        return node

    def watch(self, node: Node, session: UUID, player: UUID = PLAYER) -> Seen:
        """Begin to watch."""
        seen, watching = watch(node.port, session, player, WebSocketTransport)
        self.addCleanup(give_up, watching)
        return seen

    async def ask(self, node: Node, path: str) -> Any:
        """The JSON of an answer to an administrator; None where there is none."""
        headers = Headers({"Authorization": [f"Bearer {token(None, ADMIN)}"]})
        try:
            response = await treq.get(f"{node.url}{path}", headers=headers, persistent=False, timeout=10)
            return msgspec.json.decode(await response.content()) if response.code == 200 else None
        except Exception:  # it was killed meanwhile.
            return None

    async def has(self, node: Node, changes: Mapping[UUID, int]) -> None:
        """Wait until each session has had that many changes: no event of it was lost, or came after a newer one."""
        for session, number in changes.items():
            while (found := await self.ask(node, f"/admin/sessions/{session}")) is None or (
                found["session"]["changes"] < number
            ):
                await deferLater(reactor, 0.02)
            self.assertEqual(found["session"]["changes"], number)

    async def figures(self, node: Node, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The samples of a metric."""
        response = await treq.get(f"{node.url}/metrics", persistent=False)
        return samples(await response.text(), f"craftnet_{name}")

    async def check(self, node: Node) -> dict[str, str]:
        """The health check of the bus."""
        health = await self.ask(node, "/health")
        return dict(health["checks"]["ingest"])

    async def is_well(self, node: Node) -> bool:
        """Whether the health check of the bus finds nothing."""
        return (await self.check(node))["status"] == "ok"

    async def all_acknowledged(self) -> bool:
        """Whether the group has acknowledged all messages, with one that was no event."""
        return await self.bus.acknowledged() == self.bus.published + 1


class ServiceTests:
    """What holds on each bus. `self` is a `ServiceCase` as well.

    Attributes:
        one_reads: whether one member of a group at a time gets the messages.
    """

    one_reads = False

    async def test_watchers_see_events(self: Any) -> None:
        """On two workers that divide the players: each event reaches the worker that has its session."""
        dead = Path(self.mktemp()).absolute()
        http = f"tcp:{reserved_port(self)}:interface=127.0.0.1"
        node = self.node("--workers", "2", "--http", http, "--dead-letters", f"{dead}.jsonl")
        await node.start()
        sessions = {uuid4(): uuid4() for _ in range(8)}
        for session, player in sessions.items():
            self.bus.report(session, 10)  # before its start, in another topic.
            self.bus.start(session, player)
        await self.has(node, dict.fromkeys(sessions, 2))
        seen = [self.watch(node, session, player) for session, player in sessions.items()]
        await until(lambda: all(each.percents for each in seen))
        for session in sessions:
            self.bus.report(session, 70)
        await until(lambda: all(each.percents[-1] >= 70 for each in seen))
        self.bus.publish_event(b"{}", uuid4())
        lines = partial(sorted, dead.parent.glob(f"{dead.name}-w?.jsonl"))
        await until(lambda: [file.read_text() for file in dead.parent.glob(f"{dead.name}-w?.jsonl")])
        (file,) = lines()
        self.assertIn('"reason":"undecodable"', file.read_text())
        await until_async(partial(self.is_well, node))
        # Before the end: Kafka refuses the last offsets of a member that leaves while another one does.
        await until_async(self.all_acknowledged)
        self.assertEqual(await node.end(signal.SIGTERM), 0)

    async def test_killed_between_keeping_and_acknowledging(self: Any) -> None:
        """Nothing is lost; what is read again changes nothing."""
        backend = self.redis()
        node = self.node("--backend", backend)
        await node.start()
        sessions = [uuid4() for _ in range(10)]
        for session in sessions:
            self.bus.start(session)
        await self.has(node, dict.fromkeys(sessions, 1))
        reports = 60
        for number in range(1, reports + 1):
            for session in sessions:
                self.bus.report(session, number)
        while sum((await self.figures(node, "events_total")).values()) < len(sessions) * reports / 4:
            pass
        await node.end(signal.SIGKILL)
        kept = await self.bus.acknowledged()
        self.assertLess(kept, self.bus.published)
        again = self.node("--backend", backend)
        await again.start()
        await self.has(again, dict.fromkeys(sessions, 1 + reports))
        await until_async(partial(self._acknowledged, self.bus.published))

    async def _acknowledged(self: Any, number: int) -> bool:
        return bool(await self.bus.acknowledged() == number)

    async def test_nodes_share_a_group(self: Any) -> None:
        """A second node joins, and one is killed, while events come: none is lost, those of a session stay in order."""
        backend = self.redis()
        nodes = [self.node("--backend", backend) for _ in range(2)]
        await nodes[0].start()
        sessions = [uuid4() for _ in range(12)]
        changes = dict.fromkeys(sessions, 1)
        for session in sessions:
            self.bus.start(session)
        await self.has(nodes[0], changes)
        seen = [self.watch(nodes[0], session) for session in sessions]

        async def report() -> None:
            self.bus.start(new := uuid4())
            changes[new] = 1
            await deferLater(reactor, 0.05)
            for session in sessions:
                changes[session] += 1
                self.bus.report(session, changes[session] / 20)

        async def both_read() -> bool:
            await report()
            read = [sum((await self.figures(node, "events_total")).values()) for node in nodes]
            return all(read) or self.one_reads

        await nodes[1].start()
        await until_async(both_read)
        await nodes[1].end(signal.SIGKILL)
        for _ in range(20):
            await report()
        await self.has(nodes[0], changes)
        rows = [row for each in seen for row in each.positions.values()]
        self.assertEqual([row for row in rows if row != sorted(row)], [])
        self.assertEqual(len(rows), len(sessions))

    async def test_broker_is_away_at_the_start(self: Any) -> None:
        """The log and the health check say so, and the node reads when it is there."""
        self.broker.kill()
        node = self.node()
        await node.start()
        await until(lambda: "events are not read from the message bus: " in node.text)
        check = await self.check(node)
        self.assertEqual(check["status"], "degraded")
        self.assertIn(str(self.broker.port), check["message"])
        self.broker.start()
        await until(lambda: "events are read from the message bus" in node.text)
        await self.bus.reopen()
        self.bus.start(session := uuid4())
        await self.has(node, {session: 1})
        await until_async(partial(self.is_well, node))
        self.assertEqual(node.text.count("events are not read"), 1, node.text)


class KafkaServiceTests(ServiceTests, ServiceCase):
    make_broker, make_bus = KafkaBroker, KafkaTopics

    async def test_sasl_over_tls(self) -> None:
        """As the documents show it: a file of properties, and the password in the environment."""
        kafka: Any = self.broker
        properties = Path(self.mktemp()).absolute()
        properties.write_text(
            f"security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.username={KAFKA_USER}\n"
            f"ssl.ca.location={kafka.ca}\n"
        )
        bus: Any = self.bus
        option = bus.option.replace(str(bus.properties), str(properties))
        option = option.replace(kafka.address, f"localhost:{kafka.secure_port}")
        node = self.node(ingest=option, CRAFTNET_KAFKA_PASSWORD=KAFKA_PASSWORD)
        await node.start()
        self.bus.start(session := uuid4())
        await self.has(node, {session: 1})
        await node.end()
        wrong = self.node(ingest=option, CRAFTNET_KAFKA_PASSWORD="wrong")
        await wrong.start()
        await until(lambda: "events are not read from the message bus" in wrong.text)
        self.assertIn("Authentication failed", wrong.text)
        self.assertNotIn("wrong", wrong.text)


class NatsServiceTests(ServiceTests, ServiceCase):
    make_broker, make_bus = NatsServer, NatsSubjects
    one_reads = True
