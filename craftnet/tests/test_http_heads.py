from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest
from craftnet.http.heads import END, Head, check, origin_form, parse

HOST = (b"Host", b"craft.example:8080")
UPGRADE = ((b"Upgrade", b"WebSocket"), (b"Connection", b"keep-alive, Upgrade"))

tokens = st.text("ABCxyz019-_!", min_size=1, max_size=12).map(str.encode)
values = st.binary(max_size=30).map(lambda raw: bytes(32 + octet % 95 for octet in raw).strip())


def head(
    *fields: tuple[bytes, bytes], method: bytes = b"GET", target: bytes = b"/", version: bytes = b"HTTP/1.1"
) -> Head:
    return Head(method, target, version, fields)


class ParseTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(tokens, st.lists(st.tuples(tokens, values), max_size=6))
    def test_octets_and_back(self, method: bytes, fields: list[tuple[bytes, bytes]]) -> None:
        given_head = Head(method, b"/x?y=z", b"HTTP/1.1", tuple(fields))
        self.assertEqual(parse(given_head.octets.removesuffix(END)), given_head)

    def test_as_text(self) -> None:
        parsed = parse(b"GET / HTTP/1.1\r\nX: a\r\nOrigin: b\x85Y: c\r\nx: d")
        self.assertEqual(parsed.text, {"x": "a, d", "origin": "b\x85Y: c"})
        self.assertEqual(parsed.without(b"x").fields, ((b"Origin", b"b\x85Y: c"),))

    def test_folded_value(self) -> None:
        parsed = parse(b"GET / HTTP/1.1\r\nX: a\r\n \tb")
        self.assertEqual(parsed.fields, ((b"X", b"a b"),))

    def test_no_request_line(self) -> None:
        for octets in (b"", b"GET /", b"GET  / HTTP/1.1", b"\x16\x03\x01"):
            self.assertRaises(BadRequest, parse, octets)

    def test_field_without_colon(self) -> None:
        self.assertRaises(BadRequest, parse, b"GET / HTTP/1.1\r\nHost")


class CheckTests(SynchronousTestCase):
    def refused(self, given_head: Head) -> None:
        self.assertRaises(BadRequest, check, given_head)

    def test_plain(self) -> None:
        for host in (b"craft.example", b"127.0.0.1:8080", b"[::1]:80", b""):
            check(head((b"Host", host)))

    def test_hosts(self) -> None:
        self.refused(head())
        self.refused(head(HOST, HOST))
        self.refused(head(HOST, (b"host", b"other")))
        self.refused(head((b"Host", b"a/b")))
        self.refused(head((b"Host", b"a@b")))
        check(head(version=b"HTTP/1.0"))

    def test_control_characters(self) -> None:
        for octet in (0, 1, 10, 13, 27, 127):
            self.refused(head(HOST, (b"X", b"a%cb" % octet)))
        check(head(HOST, (b"X", b"a\tb\xff")))

    def test_names(self) -> None:
        self.refused(head(HOST, (b"X ", b"a")))
        self.refused(head(HOST, (b"", b"a")))

    def test_request_line(self) -> None:
        self.refused(head(HOST, method=b"G(T"))
        self.refused(head(HOST, target=b"/\xff"))
        self.refused(head(HOST, target=b"health"))
        self.refused(head(HOST, target=b"*"))
        self.refused(head(HOST, version=b"HTTP/2.0"))
        check(head(HOST, method=b"OPTIONS", target=b"*"))
        check(head(HOST, target=b"http://craft.example/health"))

    def test_handshake_with_a_body(self) -> None:
        self.refused(head(HOST, *UPGRADE, (b"Content-Length", b"1")))
        self.refused(head(HOST, *UPGRADE, (b"Transfer-Encoding", b"chunked")))
        check(head(HOST, *UPGRADE, (b"Content-Length", b"0")))


class HandshakeTests(SynchronousTestCase):
    def test_what_is_one(self) -> None:
        self.assertTrue(head(HOST, *UPGRADE).handshake)

    def test_what_is_none(self) -> None:
        self.assertFalse(head(HOST, UPGRADE[0]).handshake)
        self.assertFalse(head(HOST, UPGRADE[1]).handshake)
        self.assertFalse(head(HOST, *UPGRADE, method=b"POST").handshake)
        self.assertFalse(head(HOST, *UPGRADE, version=b"HTTP/1.0").handshake)
        self.assertFalse(head(HOST, (b"Upgrade", b"h2c"), UPGRADE[1]).handshake)


class OriginFormTests(SynchronousTestCase):
    def test_forms(self) -> None:
        self.assertEqual(origin_form(b"/a?b"), b"/a?b")
        self.assertEqual(origin_form(b"http://craft.example/a?b=c"), b"/a?b=c")
        self.assertEqual(origin_form(b"https://craft.example"), b"/")
