from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.authorization import Authorization
from craftnet.access.principal import Principal
from craftnet.contract.routes import BasePaths
from craftnet.http.connection.channel import HttpConnection, HttpSite
from craftnet.http.connection.lingering_close import LingeringClose
from craftnet.http.connection.sniffer import ProtocolSniffer
from craftnet.http.exchange import Call, Endpoint, GuardedEndpoint, Response
from craftnet.http.resource import Router, RouteTable
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.fakes import SteppedClock, TableAuthority
from craftnet.tests.support.http_wire import UPGRADE, Answer, House, Listener, Wire, request
from craftnet.tests.support.samples import NOW

HOST = b"Host: craft.example\r\n"

CALLS = 120
"""Of Python functions, for a POST from its octets to those of its answer; what endpoints do comes on top."""


class Echo(Endpoint):
    """Returns what it received."""

    methods = ("GET", "POST")

    async def respond(self, call: Call) -> Response:
        return Response(200, call.body or call.path.encode(), media_type="text/plain")


class Guarded(GuardedEndpoint[bytes]):
    """Returns what it received with a token."""

    methods = ("POST",)

    def read(self, call: Call) -> bytes:
        return call.body

    async def decide(self, call: Call, principal: Principal, asked: bytes) -> Response:
        return Response(200, asked)


class Slow(Endpoint):
    """Answers on request of the test."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Response]] = []
        self.cancelled: list[Deferred[Response]] = []

    async def respond(self, call: Call) -> Response:
        self.waiting.append(Deferred(self.cancelled.append))
        return await self.waiting[-1]


class SnifferTestCase(SynchronousTestCase):
    anonymous: int | None = None

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.metrics = Metrics()
        self.slow = Slow()
        backend = MemoryBackend(self.clock, MemorySettings())
        guarded = Guarded(Authorization(TableAuthority({}), backend.sessions, backend.queues))
        table = RouteTable(BasePaths(), {"/": Echo(), "/echo": Echo(), "/slow": self.slow, "/guarded": guarded})
        routes = Router(table, self.metrics, self.clock.wall)
        site = HttpSite(routes, self.clock, self.metrics, body_limit=1000, idle=60.0, anonymous_limit=self.anonymous)
        self.house = House(site, self.clock, self.metrics)
        self.wire = self.house.wire()

    def assert_refused(self, answer: Answer, status: int, wire: Wire | None = None) -> None:
        """In the contract's shape, and the connection goes away."""
        wire = wire or self.wire
        self.assertEqual((answer.status, answer.json["code"]), (status, status))
        self.assertEqual(answer.fields["content-type"], "application/json")
        self.assertEqual(answer.fields["connection"], "close")
        self.assertIsInstance(wire.protocol, LingeringClose)
        self.assertTrue(wire.disconnecting)
        self.assertIsNone(wire.producer)

    def assert_nothing_runs(self) -> None:
        """No timer is left once every connection is gone."""
        for wire in self.house.wires:
            wire.hang_up()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class FirstRequestTests(SnifferTestCase):
    def test_request(self) -> None:
        answer = self.wire.ask(request("/echo"))
        self.assertEqual((answer.status, answer.body), (200, b"/echo"))
        self.assertIsInstance(self.wire.protocol, HttpConnection)
        self.assert_nothing_runs()

    def test_request_octet_by_octet(self) -> None:
        for octet in request("/echo", "POST", body=b"hello"):
            self.wire.receive(bytes([octet]))
        (answer,) = self.wire.take()
        self.assertEqual(answer.body, b"hello")

    def test_empty_line_first(self) -> None:
        self.assertEqual(self.wire.ask(b"\r\n" + request("/echo")).status, 200)

    def test_http_1_0(self) -> None:
        answer = self.wire.ask(b"GET /echo HTTP/1.0\r\n\r\n")
        self.assertEqual(answer.body, b"/echo")
        self.assertTrue(self.wire.disconnecting)

    def test_proxy_form(self) -> None:
        self.assertEqual(self.wire.ask(request("http://craft.example/echo")).body, b"/echo")

    def test_pipelined(self) -> None:
        self.wire.receive(request("/") + request("/echo", "POST", body=b"x") + request("/nowhere"))
        self.assertEqual([answer.status for answer in self.wire.take()], [200, 200, 404])

    def test_no_version_in_server_field(self) -> None:
        self.assertEqual(self.wire.ask(request()).fields["server"], "craftnet")
        self.assertEqual(self.wire.ask(request()).fields["x-content-type-options"], "nosniff")


class HandshakeTests(SnifferTestCase):
    handshake = request("/ws/queue/x", fields=HOST + UPGRADE)

    def upgraded(self, wire: Wire) -> Listener:
        protocol = wire.protocol
        assert isinstance(protocol, Listener)
        self.assertIs(protocol.transport, wire)
        self.assertIsNone(wire.producer)
        self.assertEqual(wire.producerState, "producing")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return protocol

    def test_first(self) -> None:
        self.wire.receive(self.handshake + b"\x81\x85frame")
        self.assertEqual(self.upgraded(self.wire).received, self.handshake + b"\x81\x85frame")
        self.assertEqual(self.wire.value(), b"")

    def test_in_pieces(self) -> None:
        for octet in self.handshake:
            self.wire.receive(bytes([octet]))
        self.wire.receive(b"frame")
        self.assertEqual(self.upgraded(self.wire).received, self.handshake + b"frame")

    def test_on_a_kept_alive_connection(self) -> None:
        self.wire.ask(request("/echo"))
        self.wire.ask(request("/echo", "POST", body=b"x"))
        self.wire.receive(self.handshake)
        self.wire.receive(b"frame")
        received = self.upgraded(self.wire).received
        self.assertTrue(received.startswith(b"GET /ws/queue/x HTTP/1.1\r\n"))
        self.assertIn(b"Host: craft.example\r\n", received)
        self.assertIn(b"Connection: keep-alive, Upgrade\r\n", received)
        self.assertTrue(received.endswith(b"\r\n\r\nframe"))
        self.assertEqual(self.wire.value(), b"")

    def test_head_is_parsed_once(self) -> None:
        """Also on a kept-alive connection: the WebSocket protocol gets the head that the HTTP channel read."""
        self.wire.ask(request("/echo"))
        with counted() as calls:
            self.wire.receive(self.handshake)
        self.assertEqual(calls["craftnet.http.request_head.parse_head"], 1)
        self.upgraded(self.wire)

    def test_pipelined_behind_a_request(self) -> None:
        """Octets after the handshake in the same read are not lost."""
        self.wire.receive(request("/echo") + self.handshake + b"frame")
        self.assertTrue(self.upgraded(self.wire).received.endswith(b"\r\n\r\nframe"))
        self.assertEqual([answer.body for answer in self.wire.take()], [b"/echo"])

    def test_pipelined_behind_a_slow_request(self) -> None:
        self.wire.receive(request("/slow") + self.handshake)
        self.assertEqual(self.house.listeners.built, [])
        self.slow.waiting[0].callback(Response(200, b"done"))
        self.assertEqual([answer.body for answer in self.wire.take()], [b"done"])
        self.upgraded(self.wire)

    def test_not_in_http_1_0(self) -> None:
        self.wire.receive(b"GET /echo HTTP/1.0\r\n" + HOST + UPGRADE + b"\r\n")
        self.assertEqual(self.house.listeners.built, [])

    def test_with_a_body(self) -> None:
        fields = HOST + UPGRADE
        self.assert_refused(self.wire.ask(request(fields=fields, body=b"x")), 400)
        later = self.house.wire()
        later.ask(request())
        self.assert_refused(later.ask(request(fields=fields, body=b"x")), 400, later)

    def test_no_such_route(self) -> None:
        self.house.listeners.full = True
        self.wire.receive(self.handshake)
        self.assertTrue(self.wire.disconnecting)


class RefusalTestCase(SnifferTestCase):
    """Each for a connection's first request and for a later one."""

    def assert_both_refused(self, octets: bytes, status: int) -> None:
        first, later = self.house.wire(), self.house.wire()
        later.ask(request())
        for wire in (first, later):
            self.assert_refused(wire.ask(octets), status, wire)
            wire.receive(b"whatever else\r\n\r\n")
            self.assertEqual(wire.take(), [])
        self.assert_nothing_runs()


class RefusalTests(RefusalTestCase):
    """Invalid requests."""

    def test_two_hosts(self) -> None:
        self.assert_both_refused(request(fields=HOST + HOST), 400)
        self.assertEqual(self.house.refusals("bad_request"), 2)

    def test_no_host(self) -> None:
        self.assert_both_refused(request(fields=b""), 400)

    def test_control_characters(self) -> None:
        for octet in (0, 1, 13, 27, 127):
            self.assert_both_refused(request(fields=HOST + b"X: a%cb\r\n" % octet), 400)

    def test_no_http(self) -> None:
        for octets in (
            b"\x16\x03\x01\x02\x00\r\n\r\n",
            b"hello\r\n\r\n",
            b"GET / HTTP/1.1\n\n",
            b"G T / HTTP/1.1\r\n\r\n",
        ):
            self.assert_both_refused(octets, 400)

    def test_broken_field_is_not_followed_by_a_request(self) -> None:
        self.assert_both_refused(request("/echo", fields=b"nonsense\r\nX: y\r\n" + HOST), 400)

    def test_bad_framing(self) -> None:
        for fields in (
            b"Content-Length: x\r\n",
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip\r\n",
        ):
            self.assert_both_refused(request(method="POST", fields=HOST + fields), 400)

    def test_broken_chunk(self) -> None:
        fields = HOST + b"Transfer-Encoding: chunked\r\n"
        self.assert_both_refused(request("/echo", "POST", fields=fields) + b"zz\r\nhello\r\n0\r\n\r\n", 400)

    def test_head_too_long(self) -> None:
        self.assert_both_refused(request(fields=HOST + b"X: " + b"y" * 17000 + b"\r\n"), 431)
        self.assert_both_refused(request(fields=HOST + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 600), 431)

    def test_endless_head(self) -> None:
        self.wire.receive(b"GET /" + b"x" * 16379)
        self.assertEqual(self.wire.value(), b"")
        self.assert_refused(self.wire.ask(b"x"), 414)

    def test_too_many_fields(self) -> None:
        self.assert_both_refused(request(fields=HOST + b"X: y\r\n" * 600), 431)

    def test_body_that_says_it_is_too_long(self) -> None:
        """It is refused before any of it was read."""
        self.assert_both_refused(request(method="POST", fields=HOST + b"Content-Length: 1001\r\n"), 413)
        self.assertEqual(self.house.refusals("body_too_large"), 2)

    def test_body_too_long_is_not_invited(self) -> None:
        fields = HOST + b"Content-Length: 1001\r\nExpect: 100-continue\r\n"
        self.assert_both_refused(request(method="POST", fields=fields), 413)

    def test_body_that_becomes_too_long(self) -> None:
        fields = HOST + b"Transfer-Encoding: chunked\r\n"
        chunk = b"190\r\n" + b"x" * 400 + b"\r\n"
        octets = request("/echo", "POST", fields=fields) + chunk * 4 + b"0\r\n\r\n"
        self.assert_both_refused(octets, 413)

    def test_body_just_short_enough(self) -> None:
        self.assertEqual(len(self.wire.ask(request("/echo", "POST", body=b"x" * 1000)).body), 1000)


class AnonymousBodyTests(RefusalTestCase):
    """Who shows no token sends little."""

    anonymous = 100
    TOKEN = HOST + b"Authorization: Bearer x\r\n"

    def test_not_even_read(self) -> None:
        """Whatever else is wrong with the request comes before that; a token would help on some routes only."""
        long = HOST + b"Content-Length: 101\r\n"
        for target, method, status in (
            ("/nothing", "POST", 404),
            ("/guarded", "PUT", 405),
            ("/guarded", "POST", 401),
            ("/echo", "POST", 413),
        ):
            self.assert_both_refused(request(target, method, fields=long), status)

    def test_chunked(self) -> None:
        octets = request("/guarded", "POST", fields=HOST + b"Transfer-Encoding: chunked\r\n")
        self.assert_both_refused(octets + b"65\r\n" + b"x" * 101 + b"\r\n0\r\n\r\n", 401)

    def test_taken(self) -> None:
        for fields, length in ((HOST, 100), (self.TOKEN, 101), (self.TOKEN, 1000)):
            answer = self.wire.ask(request("/echo", "POST", fields=fields, body=b"x" * length))
            self.assertEqual((answer.status, len(answer.body)), (200, length))


class RequestTimeoutTests(SnifferTestCase):
    def test_silence(self) -> None:
        self.wire.receive(b"GET / HT")
        self.clock.advance(9.9)
        self.assertFalse(self.wire.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(self.wire.disconnected)

    def test_client_disconnects(self) -> None:
        self.wire.receive(b"GET / HT")
        self.assert_nothing_runs()

    def test_idle_connection(self) -> None:
        self.wire.ask(request())
        self.clock.advance(59)
        self.wire.ask(request())
        self.clock.advance(59)
        self.assertFalse(self.wire.disconnecting)
        self.clock.advance(1.5)
        self.assertTrue(self.wire.disconnecting)

    def test_dripping_request(self) -> None:
        """A client cannot hold a connection by sending an octet now and then."""
        self.wire.ask(request())
        for _ in range(12):
            self.wire.receive(b"x")
            self.clock.advance(5.1)
        self.assertTrue(self.wire.disconnecting)

    def test_slow_answer(self) -> None:
        """The limit is for the client's part."""
        self.wire.receive(request("/slow"))
        self.clock.advance(120)
        self.assertFalse(self.wire.disconnecting)
        self.slow.waiting[0].callback(Response(200, b"done"))
        self.assertEqual(self.wire.take()[0].body, b"done")

    def test_client_leaves_before_the_answer(self) -> None:
        self.wire.receive(request("/slow"))
        self.wire.hang_up()
        self.assertEqual(self.slow.cancelled, self.slow.waiting)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual(self.wire.value(), b"")


class PaceTests(SnifferTestCase):
    """Clients that ask faster than they are answered, or than they read."""

    def test_far_ahead(self) -> None:
        """Octets that arrive during a request wait, up to a limit, and none is lost."""
        self.wire.receive(request("/slow"))
        self.wire.receive(request("/echo") * 100)
        self.assertEqual(self.wire.producerState, "producing")
        self.wire.receive(request("/echo") * 400)
        self.assertEqual(self.wire.producerState, "paused")
        self.slow.waiting[0].callback(Response(200, b"done"))
        self.assertEqual(self.wire.producerState, "producing")
        self.assertEqual([answer.body for answer in self.wire.take()], [b"done"] + [b"/echo"] * 500)

    def test_answers_that_are_not_read(self) -> None:
        """Nothing is answered until they are, and little is read."""
        self.wire.ask(request("/echo"))
        protocol = self.wire.protocol
        assert IPushProducer.providedBy(protocol)
        protocol.pauseProducing()
        self.wire.receive(request("/echo") * 2)
        self.assertEqual((self.wire.value(), self.wire.producerState), (b"", "paused"))
        protocol.resumeProducing()
        self.assertEqual((len(self.wire.take()), self.wire.producerState), (2, "producing"))

    def test_answers_that_are_not_read_before_the_end(self) -> None:
        """A client that closed its half receives its answer when it reads."""
        self.wire.ask(request("/echo"))
        protocol = self.wire.protocol
        assert isinstance(protocol, HttpConnection)
        protocol.pauseProducing()
        self.wire.receive(request("/echo"))
        protocol.readConnectionLost()
        self.assertFalse(self.wire.disconnecting)
        protocol.resumeProducing()
        self.assertEqual(len(self.wire.take()), 1)
        self.assertTrue(self.wire.disconnecting)

    def test_idle_client_that_does_not_read(self) -> None:
        """It has a while to read the rest."""
        self.wire.ask(request("/echo"))
        self.clock.pump([60, 14.9])
        self.assertTrue(self.wire.disconnecting)
        self.assertFalse(self.wire.disconnected)
        self.clock.pump([0.2])
        self.assertTrue(self.wire.disconnected)

    def test_calls(self) -> None:
        """A small POST takes few calls of Python functions, so that it stays cheap."""
        octets = request("/echo", "POST", fields=HOST + b"Content-Type: text/plain\r\nAccept: */*\r\n", body=b"{}")
        self.wire.ask(octets)
        with counted() as calls:
            self.wire.receive(octets)
        self.assertLessEqual(calls.total(), CALLS, calls.most_common())


class HalfClosedTests(SnifferTestCase):
    """Clients that send, and then close their half of the connection (RFC 9112 section 9.6)."""

    def close_half(self) -> None:
        protocol = self.wire.protocol
        assert IHalfCloseableProtocol.providedBy(protocol)
        protocol.readConnectionLost()

    def test_everything_asked_is_answered(self) -> None:
        self.wire.receive(request("/echo") + request("/slow") + request("/"))
        self.close_half()
        self.assertFalse(self.wire.disconnecting)
        self.slow.waiting[0].callback(Response(200, b"done"))
        self.assertEqual([answer.body for answer in self.wire.take()], [b"/echo", b"done", b"/"])
        self.assertTrue(self.wire.disconnecting)
        self.assert_nothing_runs()

    def test_nothing_asked(self) -> None:
        self.wire.ask(request("/echo"))
        self.wire.receive(b"GET /echo HT")
        self.close_half()
        self.assertTrue(self.wire.disconnecting)
        self.assert_nothing_runs()

    def test_refused(self) -> None:
        self.wire.receive(request(fields=HOST + HOST))
        self.close_half()
        (answer,) = self.wire.take()
        self.assert_refused(answer, 400)
        self.assert_nothing_runs()


class DrainTests(SnifferTestCase):
    """The server stops while connections are kept alive."""

    def test_last_answers(self) -> None:
        self.house.factory.doStart()
        idle, busy = self.house.wire(), self.house.wire()
        self.assertNotIn("connection", idle.ask(request("/echo")).fields)
        busy.receive(request("/slow"))
        self.house.factory.doStop()
        self.slow.waiting[0].callback(Response(200, b"done"))
        for answer, wire in ((idle.ask(request("/echo")), idle), (busy.take()[0], busy)):
            self.assertEqual((answer.status, answer.fields["connection"]), (200, "close"))
            self.assertTrue(wire.disconnecting)


class FactoryTests(SnifferTestCase):
    def test_starts_and_stops_what_lies_behind(self) -> None:
        self.house.factory.doStart()
        self.assertEqual(self.house.listeners.numPorts, 1)
        self.house.factory.doStop()
        self.assertEqual(self.house.listeners.numPorts, 0)
        self.assert_nothing_runs()

    def test_sniffer_is_small(self) -> None:
        self.assertIsInstance(self.wire.protocol, ProtocolSniffer)
        self.assertFalse(hasattr(self.wire.protocol, "__dict__"))
