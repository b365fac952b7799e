"""Tests the requests that `craftnet.http.connection` refuses."""

from __future__ import annotations

from craftnet.tests.support.http_wire import request
from craftnet.tests.support.sniffer_case import HOST, SnifferTestCase


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
