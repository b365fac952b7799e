"""Reading from a real nats-server with JetStream. `make test-ingest` runs these tests."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar
from uuid import UUID, uuid4

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec.structs import replace
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from craftnet.clocks import steady
from craftnet.contract.events import SessionProgress
from craftnet.streams.core.messages import DeadLetterReason
from craftnet.streams.core.nats_credentials import NatsCredentials
from craftnet.streams.nats import NatsFactory, NatsStream
from craftnet.streams.nats_settings import PASSWORD_VARIABLE, nats_settings
from craftnet.tests.support.brokers import NatsServer
from craftnet.tests.support.buses import NatsSubjects
from craftnet.tests.support.eventually import until
from craftnet.tests.support.stream_nodes import RecordedSources, StreamNode, start_message


def nkey(kind: int, key: Ed25519PrivateKey) -> str:
    """The text form of a public key: 14 << 3 is an operator's, 0 an account's, 20 << 3 a user's."""
    octets = bytes([kind]) + key.public_key().public_bytes_raw()
    return base64.b32encode(octets + binascii.crc_hqx(octets, 0).to_bytes(2, "little")).rstrip(b"=").decode()


def signed(signer: tuple[int, Ed25519PrivateKey], subject: str, kind: str, **claims: object) -> str:
    """A JWT of NATS."""
    parts: list[dict[str, object]] = [
        {"typ": "JWT", "alg": "ed25519-nkey"},
        {
            "jti": uuid4().hex,
            "iat": 1_700_000_000,
            "iss": nkey(*signer),
            "name": kind,
            "sub": subject,
            "nats": {"type": kind, "version": 2, **claims},
        },
    ]
    text = ".".join(base64.urlsafe_b64encode(msgspec.json.encode(part)).rstrip(b"=").decode() for part in parts)
    return f"{text}.{base64.urlsafe_b64encode(signer[1].sign(text.encode())).rstrip(b'=').decode()}"


def operated_server() -> NatsServer:
    """A server with an operator, an account that has JetStream, and a user of it."""
    operator, account, system, user = (Ed25519PrivateKey.generate() for _ in range(4))
    account_key, system_key = nkey(0, account), nkey(0, system)
    numbers = ("subs", "data", "payload", "imports", "exports", "conn", "leaf")
    stored = ("mem_storage", "disk_storage", "streams", "consumer")
    limits = {
        account_key: {**dict.fromkeys((*numbers, *stored), -1), "wildcards": True},
        system_key: {**dict.fromkeys(numbers, -1), "wildcards": True},
    }
    boss = 14 << 3, operator
    accounts = ", ".join(f"{key}: {signed(boss, key, 'account', limits=made)}" for key, made in limits.items())
    access = f"""
        operator: {signed(boss, nkey(*boss), "operator")}
        system_account: {system_key}
        resolver: MEMORY
        resolver_preload: {{ {accounts} }}
    """
    unlimited = {"subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}}
    jwt = signed((0, account), nkey(20 << 3, user), "user", **unlimited)
    return NatsServer(access, NatsCredentials(jwt=jwt, seed=user.private_bytes_raw()))


def creds_file(credentials: NatsCredentials) -> str:
    """The text of a .creds file, as `nsc` writes it."""
    octets = bytes([18 << 3 | 20 >> 2, (20 << 3 & 0x1F) << 3]) + credentials.seed
    seed = base64.b32encode(octets + binascii.crc_hqx(octets, 0).to_bytes(2, "little")).rstrip(b"=").decode()
    return (
        f"-----BEGIN NATS USER JWT-----\n{credentials.jwt}\n------END NATS USER JWT------\n\n"
        f"*** IMPORTANT ***\n\n-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )


class NatsCase(TestCase):
    """One server for all tests of the class, and a stream of its own for each."""

    timeout = 30
    server: ClassVar[NatsServer | None] = None
    make_server: ClassVar[Callable[[], NatsServer]] = NatsServer

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it.
        """Start the server with the first test; create the test's stream."""
        self.clock = steady(reactor)
        cls = type(self)
        if cls.server is None:
            cls.server = cls.make_server()
            reactor.addSystemEventTrigger("after", "shutdown", cls.server.remove)
            cls.server.start()
        self.nats = cls.server
        self.bus = NatsSubjects(cls.server)
        await self.bus.open()
        self.addCleanup(self.bus.close)
        self.name, self.start, self.report, self.publish = (
            *(self.bus.stream, self.bus.start),
            *(self.bus.report, self.bus.publish),
        )
        self.sources = RecordedSources(self.clock)

    def node(
        self,
        sources: RecordedSources | None = None,
        environ: Mapping[str, str] = MappingProxyType({}),
        *,
        alone: bool = False,
        **more: str,
    ) -> StreamNode:
        """Start a node."""
        stream = NatsFactory(environ).build(self.clock, {"servers": self.nats.url, "stream": self.name, **more})
        node = StreamNode(stream, sources or self.sources, self.clock, alone=alone)
        node.consumer.startService()
        self.addCleanup(self.stop, node)
        return node

    async def stop(self, node: StreamNode) -> None:
        """Stop a node, unless the test did."""
        if node.consumer.running:
            await node.consumer.stopService()

    def shows(self, session: UUID, percent: float) -> bool:
        """Whether this was reported of a session last."""
        return self.sources.percent(session) == percent


class ReadingTests(NatsCase):
    async def test_events_are_applied_and_acknowledged(self) -> None:
        session = uuid4()
        self.start(session)  # before the node: a new consumer begins in the past.
        node = self.node()
        await until(lambda: self.sources.session(session))
        self.report(session, 40)
        await until(lambda: self.sources.percent(session) == 40)
        await node.consumer.stopService()
        self.assertEqual(await self.bus.acknowledged(), self.bus.published)

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
        self.assertEqual(await self.bus.acknowledged(), 4)

    async def test_what_is_not_kept_is_read_again(self) -> None:
        session = uuid4()
        lost = RecordedSources(self.clock)
        lost.unavailable = True
        node = self.node(lost)
        self.start(session)
        await until(lambda: lost.refused)
        await node.consumer.stopService()
        self.assertEqual(await self.bus.acknowledged(), 0)
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
        await self.bus.connect()
        self.start(sessions[1])
        await until(lambda: self.sources.session(sessions[1]))
        await until(lambda: not node.stream.status().problem)
        self.assertEqual([event.session_id for event, _ in self.sources.applied], sessions)

    async def test_stream_that_is_missing_is_named(self) -> None:
        node = self.node(stream="NONE")
        await until(lambda: "stream not found" in node.stream.status().problem)


class SecuredTests(NatsCase):
    """A server that demands TLS, and knows a user, a user's key and a client's certificate."""

    SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
    KEY = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"  # the public key of that seed.

    @classmethod
    def make_server(cls) -> NatsServer:
        """See `NatsCase`."""
        access = f"""
            tls {{ cert_file: FOLDER/server.pem, key_file: FOLDER/key.pem }}
            authorization {{ users = [{{ user: craftnet, password: of-no-value }}, {{ nkey: {cls.KEY} }}] }}
        """
        server = NatsServer(access, NatsCredentials("craftnet", "of-no-value"))
        server.certify()
        server.tls = nats_settings({"servers": "x", "stream": "S", "ca": str(server.ca)}, {}).tls("127.0.0.1")
        return server

    def secret(self, text: str) -> str:
        """A file with a secret."""
        (path := Path(self.mktemp())).write_text(text)
        return str(path)

    async def reads(self, environ: Mapping[str, str] = MappingProxyType({}), **more: str) -> StreamNode:
        """A node with these arguments, after it has read an event."""
        arguments: Any = {"ca": str(self.nats.ca), **more}
        node = self.node(environ=environ, **arguments)
        self.start(session := uuid4())
        await until(lambda: self.sources.session(session))
        return node

    async def test_password_of_a_file_or_the_environment(self) -> None:
        await self.reads(user="craftnet", password_file=self.secret("of-no-value\n"))
        await self.reads({PASSWORD_VARIABLE: "of-no-value"}, user="craftnet", consumer="other")

    async def test_key(self) -> None:
        await self.reads(credentials=self.secret(self.SEED))

    async def test_password_that_changes(self) -> None:
        """Files are read for each connection."""
        path = self.secret("wrong")
        node = self.node(user="craftnet", password_file=path, ca=str(self.nats.ca))
        await until(lambda: "Authorization Violation" in node.stream.status().problem)
        Path(path).write_text("of-no-value")
        self.start(session := uuid4())
        await until(lambda: self.sources.session(session))
        self.assertEqual(node.stream.status().problem, "")

    async def test_other_authority(self) -> None:
        """No secret is sent to a server whose certificate is not trusted."""
        node = self.node(user="craftnet", password_file=self.secret("of-no-value"))
        await until(lambda: "certificate verify failed" in node.stream.status().problem)

    async def test_other_name(self) -> None:
        settings = nats_settings({"servers": self.nats.url, "stream": self.name, "ca": str(self.nats.ca)}, {})
        stream = NatsStream(replace(settings, tls=lambda host: settings.tls("other.example")), self.clock)
        node = StreamNode(stream, self.sources, self.clock)
        node.consumer.startService()
        self.addCleanup(self.stop, node)
        await until(lambda: "failed" in stream.status().problem)


class CertifiedTests(NatsCase):
    """A server that wants a certificate of its clients: the tests show the server's own."""

    @staticmethod
    def certificate(server: NatsServer) -> dict[str, str]:
        """The arguments for it."""
        names = {"ca": "ca.pem", "certificate": "server.pem", "key": "key.pem"}
        return {name: str(server.folder / file) for name, file in names.items()}

    @classmethod
    def make_server(cls) -> NatsServer:
        """See `NatsCase`."""
        files = "cert_file: FOLDER/server.pem, key_file: FOLDER/key.pem, ca_file: FOLDER/ca.pem"
        server = NatsServer(f"tls {{ {files}, verify: true }}")
        server.certify()
        settings = nats_settings({"servers": "x", "stream": "S", **cls.certificate(server)}, {})
        server.tls = settings.tls("127.0.0.1")
        return server

    async def test_certificate(self) -> None:
        arguments: Any = self.certificate(self.nats)
        self.node(**arguments)
        self.start(session := uuid4())
        await until(lambda: self.sources.session(session))


class OperatedTests(NatsCase):
    """A server whose accounts an operator signs: clients show a JWT, and sign the server's nonce."""

    make_server = operated_server

    async def test_credentials(self) -> None:
        (path := Path(self.mktemp())).write_text(creds_file(self.nats.credentials))
        self.node(credentials=str(path))
        self.start(session := uuid4())
        await until(lambda: self.sources.session(session))
