"""The protocol of NATS, and the reader of a stream with a server that a test plays."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.streams.core import nats as wire
from craftnet.streams.core.nats_credentials import NatsCredentials, parse_credentials
from craftnet.streams.nats import CHECK_INTERVAL, PULL_BATCH, SILENCE_TIMEOUT, NatsFactory
from craftnet.streams.nats_connection import ACCEPT_TIMEOUT
from craftnet.streams.nats_settings import PASSWORD_VARIABLE, TOKEN_VARIABLE, nats_settings
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.samples import NOW, SESSION
from craftnet.tests.support.stream_nodes import RecordedSources, StreamNode, start_message

WORDS = st.text("abcXYZ019_", min_size=1, max_size=8)
SUBJECTS = st.lists(WORDS, min_size=1, max_size=4).map(".".join)


def shown(frame: wire.Delivery) -> bytes:
    """A message as a server sends it."""
    reply = f"{frame.reply_to} " if frame.reply_to else ""
    if frame.headers:
        head = f"HMSG {frame.subject} 1 {reply}{len(frame.headers)} {len(frame.headers) + len(frame.payload)}"
    else:
        head = f"MSG {frame.subject} 1 {reply}{len(frame.payload)}"
    return head.encode() + b"\r\n" + frame.headers + frame.payload + b"\r\n"


DELIVERIES = st.builds(
    wire.Delivery,
    SUBJECTS,
    st.one_of(st.just(""), SUBJECTS),
    st.one_of(st.just(b""), st.binary(max_size=20).map(lambda rest: b"NATS/1.0\r\nA: 1\r\n\r\n" + rest)),
    st.binary(max_size=50),
)
FRAMES = st.one_of(
    DELIVERIES.map(lambda frame: (shown(frame), frame)),
    st.just((b"PING\r\n", wire.Ping())),
    st.just((b"PONG\r\n", wire.Pong())),
    st.just((b"-ERR 'Stale Connection'\r\n", wire.ServerError("Stale Connection"))),
    st.just((b'INFO {"version":"2.15.2","x":[1]}\r\n', wire.Info("2.15.2"))),
)


class ParserTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True)
    @given(st.lists(FRAMES, max_size=8), st.lists(st.integers(1, 40), max_size=20))
    def test_however_the_bytes_are_cut(self, frames: list[tuple[bytes, wire.Frame]], cuts: list[int]) -> None:
        octets, parser, found = b"".join(octets for octets, _ in frames), wire.NatsParser(), []
        for cut in [*cuts, len(octets)]:
            found += list(parser.feed(octets[:cut]))
            octets = octets[cut:]
        self.assertEqual(found, [frame for _, frame in frames])

    @settings(deadline=None, derandomize=True)
    @given(st.binary(max_size=60))
    def test_anything_else_is_refused(self, octets: bytes) -> None:
        """Nothing but the protocol's own error comes of any bytes."""
        parser = wire.NatsParser()
        try:
            list(parser.feed(octets + b"\r\n"))
        except wire.NatsError:
            return
        self.assertRegex(octets, rb"(?is)\A(\+OK|-ERR|PING|PONG|MSG|HMSG|INFO)")

    def test_what_is_no_message(self) -> None:
        for octets in (
            *(b"MSG a 1\r\n", b"MSG a 1 x\r\n", b"MSG a 1 b c 3\r\n", b"HMSG a 1 9 3\r\n", b"MSG a 1 99999999\r\n"),
            *(b"MSG a 1 1\r\nxyz\r\n", b"INFO {\r\n", b"HTTP/1.1 400\r\n", b"x" * 70_000),
        ):
            self.assertRaises(wire.NatsError, list, wire.NatsParser().feed(octets))

    def test_status_and_headers(self) -> None:
        status = wire.Delivery("s", "", b"NATS/1.0 409 Consumer Deleted\r\n\r\n", b"")
        self.assertEqual((status.status, status.description), (409, "Consumer Deleted"))
        pinned = wire.Delivery("s", "", b"NATS/1.0\r\nNats-Pin-Id: abc\r\n\r\n", b"")
        self.assertEqual((pinned.status, pinned.header("Nats-Pin-Id"), pinned.header("No")), (0, "abc", ""))

    def test_place_of_a_message(self) -> None:
        wanted = wire.Delivered(7, 1_800_000_000.5, 3)
        tail = "1.7.9.1800000000500000000.3"
        self.assertEqual(wire.delivered(f"$JS.ACK.S.c.{tail}"), wanted)
        self.assertEqual(wire.delivered(f"$JS.ACK.domain.account.S.c.{tail}.token"), wanted)
        for other in ("", "_INBOX.x.1", "$JS.ACK.S.c.1.7.9.x.3", "$JS.ACK.S.c.1"):
            self.assertIsNone(wire.delivered(other))


class PlayedServer(SynchronousTestCase):
    """A node in front of a server whose bytes the test sends."""

    SCHEME = "nats"
    INFO = b'INFO {"version":"2.15.2","headers":true,"jetstream":true}\r\n'
    USABLE = {"config": {"ack_policy": "explicit", "priority_policy": "pinned_client"}, "num_pending": 4}  # noqa: RUF012

    def setUp(self) -> None:
        self.reactor = SteppedReactor(NOW)
        self.sources = RecordedSources(self.reactor)
        stream = NatsFactory().build(self.reactor, {"servers": f"{self.SCHEME}://u:p@127.0.0.1:4222", "stream": "S"})
        self.node = StreamNode(stream, self.sources, self.reactor)
        self.node.consumer.startService()
        self.addCleanup(self.node.consumer.stopService)
        self.sequence = 0
        self.accept()

    def accept(self) -> None:
        """Accept the newest connection."""
        factory: Any = self.reactor.tcpClients[-1][2]
        self.protocol: Any = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 4222))
        self.transport = StringTransport()
        self.protocol.makeConnection(self.transport)
        self.send(self.INFO)

    def send(self, octets: bytes) -> None:
        """The server sends bytes."""
        self.protocol.dataReceived(octets)

    def sent(self) -> str:
        """What the node sent since the last look."""
        text: str = self.transport.value().decode()
        self.transport.clear()
        return text

    def answer(self, payload: object) -> None:
        """Answer the question about the consumer."""
        inbox = self.inbox + ".info"
        self.send(shown(wire.Delivery(inbox, "", b"", json.dumps(payload).encode())))

    def read(self) -> str:
        """Let the node begin to read."""
        self.sent()
        self.send(b"PONG\r\n")
        self.inbox = self.sent().partition("SUB ")[2].partition(".*")[0]
        self.answer(self.USABLE)
        return self.sent()

    def deliver(self, value: bytes, headers: bytes = b"") -> str:
        """A message; returns where it is acknowledged."""
        self.sequence += 1
        reply_to = f"$JS.ACK.S.craftnet.1.{self.sequence}.{self.sequence}.1800000000000000000.0"
        self.send(shown(wire.Delivery("S.events", reply_to, headers, value)))
        return reply_to

    def status(self, number: int, text: str) -> None:
        """A status of a request."""
        self.send(shown(wire.Delivery(f"{self.inbox}.{number}", "", f"NATS/1.0 {text}\r\n\r\n".encode(), b"")))


class ReaderTests(PlayedServer):
    def test_connects_with_its_name_and_password(self) -> None:
        line = self.sent()
        options: dict[str, Any] = json.loads(line.partition(" ")[2].partition("\r\n")[0])
        self.assertEqual((options["user"], options["pass"], options["verbose"]), ("u", "p", False))
        self.assertTrue(line.endswith("PING\r\n"))

    def test_requests_and_acknowledges(self) -> None:
        self.assertIn("CONSUMER.MSG.NEXT.S.craftnet", self.read())
        reply_to = self.deliver(start_message(SESSION, NOW), b"NATS/1.0\r\nNats-Pin-Id: pin1\r\n\r\n")
        self.assertEqual(self.sent(), f"PUB {reply_to} 4\r\n+ACK\r\n")
        self.assertTrue(self.sources.session(SESSION))
        self.status(1, "408 Request Timeout")
        self.assertIn('"id":"pin1"', self.sent())

    def test_asks_for_more_in_time(self) -> None:
        self.read()
        requests = 0
        for _ in range(PULL_BATCH + 10):
            self.deliver(b"{}")
            requests += self.sent().count("MSG.NEXT")
        self.assertEqual(requests, 1, "when half of the first ones have come")

    def test_creates_its_consumer(self) -> None:
        self.read()
        self.answer({"error": {"err_code": 10014, "description": "consumer not found"}})
        sent = self.sent()
        self.assertIn("$JS.API.CONSUMER.CREATE.S.craftnet", sent)
        self.assertIn('"opt_start_time":"2027-01-15T07:00:00.000Z"', sent)
        self.assertIn('"pinned_client"', sent)

    def test_consumer_of_another_kind_is_refused(self) -> None:
        self.read()
        self.answer({"config": {"ack_policy": "none"}})
        self.assertIn("explicit acknowledgements", self.node.stream.status().problem)
        self.answer({"config": {"ack_policy": "explicit"}})
        self.assertIn("2.11 or newer", self.node.stream.status().problem)

    def test_another_node_is_pinned(self) -> None:
        """What is not finished comes to that one."""
        self.read()
        self.sources.unavailable = True
        self.deliver(start_message(SESSION, NOW), b"NATS/1.0\r\nNats-Pin-Id: pin1\r\n\r\n")
        self.status(1, "423 Nats-Wrong-Pin-Id")
        self.assertNotIn('"id"', self.sent())
        self.sources.unavailable = False
        self.reactor.advance(1)
        self.assertEqual(self.sources.applied, [])

    def test_acknowledges_on_the_next_connection(self) -> None:
        self.read()
        self.sources.unavailable = True
        reply_to = self.deliver(start_message(SESSION, NOW))
        self.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertIn("lost", self.node.stream.status().problem)
        self.sources.unavailable = False
        self.reactor.advance(1)
        self.accept()
        self.sent()
        self.send(b"PONG\r\n")
        self.assertIn(f"PUB {reply_to} 4\r\n+ACK\r\n", self.sent())

    def test_silent_server_is_left(self) -> None:
        self.read()
        self.reactor.pump([CHECK_INTERVAL] * int(SILENCE_TIMEOUT / CHECK_INTERVAL + 2))
        self.assertTrue(self.transport.disconnected)

    def test_other_protocol_is_left(self) -> None:
        self.read()
        self.send(b"HTTP/1.1 400 Bad Request\r\n")
        self.assertTrue(self.transport.disconnecting)
        self.assertIn("not NATS", self.node.stream.status().problem)

    def test_lag(self) -> None:
        """The node that reads reports it; one that stands by does not report it once more."""
        self.read()
        self.assertEqual(self.node.figure("ingest_lag_messages", topic="S"), 4)
        self.answer({**self.USABLE, "num_waiting": 2})
        self.assertEqual(self.node.figure("ingest_lag_messages", topic="S"), 0)

    def test_refused_credentials_are_tried_less_and_less_often(self) -> None:
        attempts = len(self.reactor.tcpClients)
        for _ in range(12):
            self.send(b"-ERR 'Authorization Violation'\r\n")
            self.protocol.connectionLost(Failure(ConnectionDone()))
            while len(self.reactor.tcpClients) == attempts:
                self.reactor.advance(0.1)
                self.assertIn("Authorization Violation", self.node.stream.status().problem)
            attempts += 1
            before = self.reactor.seconds()
            self.accept()
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(3)
        self.assertEqual((len(self.reactor.tcpClients), self.reactor.seconds() - before), (attempts, 3))

    def test_server_that_does_not_answer_is_left(self) -> None:
        self.reactor.advance(ACCEPT_TIMEOUT)
        self.assertTrue(self.transport.disconnected)
        self.assertIn("did not accept the connection within 10 seconds", self.node.stream.status().problem)


class TlsTests(PlayedServer):
    """A server that `tls://` names."""

    SCHEME = "tls"

    def test_server_without_tls_gets_no_password(self) -> None:
        self.assertEqual(self.sent(), "")
        self.assertTrue(self.transport.disconnecting)
        self.assertIn("offers no TLS, which tls:// insists on", self.node.stream.status().problem)

    def test_bytes_before_tls_are_refused(self) -> None:
        """An attacker between both ends could have sent them (compare RFC 9051, section 11.1)."""
        self.protocol.connectionLost(Failure(ConnectionDone()))
        self.reactor.advance(5)
        self.INFO = b'INFO {"tls_available":true}\r\nPONG\r\n'
        self.accept()
        self.assertIn("sends data before TLS begins", self.node.stream.status().problem)
        self.assertEqual(self.sent(), "")


SEED = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
"""The example of NATS' documentation."""


class CredentialsTests(SynchronousTestCase):
    def test_key(self) -> None:
        answer = parse_credentials(f"{SEED}\n").answer("nonce")
        self.assertEqual(answer["nkey"], "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4")
        public = Ed25519PrivateKey.from_private_bytes(parse_credentials(SEED).seed).public_key()
        public.verify(base64.urlsafe_b64decode(answer["sig"] + "=="), b"nonce")

    def test_what_is_no_seed(self) -> None:
        account = "SAAPN4W3EG6KCJGUQTKTJ5GSB5NHK5CHAJL4DBGFUM3HHROI4XUEP4OBK4"
        for text in ("", "x", SEED[:-1], f"{SEED[:-1]}A", account, f"-----BEGIN USER NKEY SEED-----\n{SEED}\n"):
            error = self.assertRaises(ConfigurationError, parse_credentials, text)
            self.assertNotIn(SEED[2:20], str(error))

    def test_nothing_shows_a_secret(self) -> None:
        shown = repr(NatsCredentials("u", "secret1", "secret2", "secret3", b"secret4"))
        self.assertNotIn("secret", shown)


class SettingsTests(SynchronousTestCase):
    def test_mistakes_are_named(self) -> None:
        for arguments, words in (
            ({}, "servers="),
            ({"servers": "http://x", "stream": "S"}, "nats://"),
            ({"servers": "nats://u:secret@x:99999999", "stream": "S"}, "nats://"),
            ({"servers": "x"}, "stream"),
            ({"servers": "x", "stream": "a b"}, "letters"),
            ({"servers": "x", "stream": "S", "replay": "soon"}, "replay"),
            (
                {"servers": "x", "stream": "S", "user": "u"},
                "a password in password_file=, or in CRAFTNET_NATS_PASSWORD",
            ),
            ({"servers": "x", "stream": "S", "password_file": "f"}, "password_file= needs user="),
            (
                {"servers": "x", "stream": "S", "user": "u", "token_file": "f"},
                "user= and token_file= exclude each other",
            ),
            ({"servers": "x", "stream": "S", "token_file": "/nowhere"}, "token_file=/nowhere cannot be read: No such"),
            ({"servers": "x", "stream": "S", "credentials": __file__}, "expected the blocks NATS USER JWT"),
            ({"servers": "x", "stream": "S", "ca": __file__}, "contains no certificates"),
            ({"servers": "x", "stream": "S", "certificate": "f"}, "certificate= and key= belong together"),
        ):
            error = self.assertRaises(ConfigurationError, nats_settings, arguments, {})
            self.assertIn(words, str(error))
            self.assertNotIn("secret", str(error))

    def test_credentials(self) -> None:
        (path := Path(self.mktemp())).write_text("of-a-file\n")
        environ = {TOKEN_VARIABLE: "of-the-environment", PASSWORD_VARIABLE: "of-the-environment"}
        for arguments, wanted in (
            ({}, NatsCredentials(token="of-the-environment")),
            ({"user": "u"}, NatsCredentials("u", "of-the-environment")),
            ({"user": "u", "password_file": str(path)}, NatsCredentials("u", "of-a-file")),
            ({"token_file": str(path)}, NatsCredentials(token="of-a-file")),
        ):
            found = nats_settings({"servers": "x", "stream": "S", **arguments}, environ)
            self.assertEqual(found.credentials(), wanted)
        url = nats_settings({"servers": "nats://t%2F1@x,tls://u:p@[::1]:4333,x", "stream": "S"}, {}).servers
        self.assertEqual(
            [(each.host, each.port, each.tls, each.credentials) for each in url],
            [
                ("x", 4222, False, NatsCredentials(token="t/1")),
                ("::1", 4333, True, NatsCredentials("u", "p")),
                ("x", 4222, False, None),
            ],
        )
