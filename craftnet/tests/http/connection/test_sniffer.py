from __future__ import annotations

from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer

from craftnet.http.connection.http_connection import HttpConnection
from craftnet.http.connection.sniffer import ProtocolSniffer
from craftnet.http.exchange import Response
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.http_wire import UPGRADE, Listener, Wire, request
from craftnet.tests.support.sniffer_case import HOST, SnifferTestCase

CALLS = 55
"""Of Python functions, for a POST from its octets to those of its answer; what endpoints do comes on top."""


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
        for _ in range(2):  # the first one is read by the sniffer, the second one fills the caches.
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
