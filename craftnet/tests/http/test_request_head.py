from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest, CodingNotImplemented, HeadersTooLarge, Refusal, TargetTooLong
from craftnet.http.request_head import (
    FIELD_LIMIT,
    HEAD_END,
    KEPT_HEADS,
    TARGET_LIMIT,
    Head,
    has_bare_line_feed,
    parse_head,
    parse_repeated_head,
    path_and_query,
)

HOST = b"Host: craft.example:8080"
UPGRADE = (b"Upgrade: WebSocket", b"Connection: keep-alive, Upgrade")

tokens = st.text("ABCxyz019-_!", min_size=1, max_size=12).map(str.encode)
values = st.binary(max_size=30).map(lambda raw: bytes(32 + octet % 95 for octet in raw).strip())
heads = st.binary(max_size=60) | st.lists(
    st.sampled_from(
        (
            *(
                b"GET ",
                b"/",
                b" HTTP/1.1",
                b"\r\nHost: x",
                b"\r\n",
                b"\n",
                b"http://",
                b"[::1]",
                b"[",
                b"%",
                b"*",
                b" ",
            ),
            *(b"\r\nContent-Length: ", b"7", b"0" * 5000, b"\r\nTransfer-Encoding: chunked", b"OPTIONS ", b"\x00"),
            *(b":99999", b"\xff", b"\r\nUpgrade: websocket", b"\r\nConnection: upgrade", b"?a=b", b"#", b",", b"\t"),
        )
    ),
    max_size=12,
).map(b"".join)


def octets(*lines: bytes, method: bytes = b"GET", target: bytes = b"/", version: bytes = b"HTTP/1.1") -> bytes:
    return b"\r\n".join((b" ".join((method, target, version)), *lines))


class ParseTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(tokens, st.lists(st.tuples(tokens, values), max_size=6), st.none() | st.integers(0, 10**14))
    def test_octets_and_back(self, method: bytes, fields: list[tuple[bytes, bytes]], length: int | None) -> None:
        head = Head(method, b"/x?y=z", b"HTTP/1.1", ((b"Host", b"x"), *fields), length)
        self.assertEqual(parse_head(head.octets.removesuffix(HEAD_END)), head)

    def test_as_text(self) -> None:
        parsed = parse_head(octets(HOST, b"X: a", b"Origin: b\x85Y: c", b"x: d"))
        self.assertEqual(parsed.text, {"host": "craft.example:8080", "x": "a, d", "origin": "b\x85Y: c"})

    @settings(deadline=None, derandomize=True, max_examples=1000)
    @given(heads)
    def test_anything(self, given_octets: bytes) -> None:
        """It is refused, or parsed as the octets written from it."""
        try:
            head = parse_head(given_octets)
        except Refusal:
            return
        self.assertEqual(parse_head(head.octets.removesuffix(HEAD_END)), head)

    def test_absolute_form(self) -> None:
        """Its authority is the Host, whatever the field says."""
        for target, expected, host in (
            (b"http://other.example/a?b=c", b"/a?b=c", b"other.example"),
            (b"HTTPS://other.example:1", b"/", b"other.example:1"),
            (b"http://[::1]?b", b"/?b", b"[::1]"),
        ):
            head = parse_head(octets(HOST, target=target))
            self.assertEqual((head.target, head.values(b"host")), (expected, [host]))
        self.assertEqual(parse_head(octets(HOST, method=b"OPTIONS", target=b"http://other.example")).target, b"*")

    def test_repeated(self) -> None:
        """The same head again is parsed once, and only so many are remembered."""
        first = parse_repeated_head(octets(HOST))
        self.assertEqual(first, parse_head(octets(HOST)))
        self.assertIs(parse_repeated_head(octets(HOST)), first)
        for number in range(KEPT_HEADS):
            parse_repeated_head(octets(HOST, b"X: %d" % number))
        self.assertIsNot(parse_repeated_head(octets(HOST)), first)

    @settings(deadline=None, derandomize=True, max_examples=60)
    @given(st.lists(st.sampled_from((b"\r", b"\n", b"\r\n", b"x")), max_size=8).map(b"".join), st.integers(0, 8))
    def test_bare_line_feed(self, given_octets: bytes, first: int) -> None:
        """Octets that arrive in two pieces are judged like those in one."""
        found = re.search(rb"(?<!\r)\n", given_octets) is not None
        pieces = ((0, first), (first, len(given_octets)))
        self.assertIs(any(has_bare_line_feed(given_octets, *each) for each in pieces), found)

    def test_long_numbers(self) -> None:
        self.assertEqual(parse_head(octets(HOST, b"Content-Length: " + b"0" * 5000 + b"7")).length, 7)
        self.assertGreater(parse_head(octets(HOST, b"Content-Length: " + b"9" * 5000)).length or 0, 10**14)

    def test_limits(self) -> None:
        parse_head(octets(HOST, target=b"/" * TARGET_LIMIT))
        self.assertRaises(TargetTooLong, parse_head, octets(HOST, target=b"/" * (TARGET_LIMIT + 1)))
        parse_head(octets(HOST, *[b"X: y"] * (FIELD_LIMIT - 1)))
        self.assertRaises(HeadersTooLarge, parse_head, octets(HOST, *[b"X: y"] * FIELD_LIMIT))

    def test_unknown_coding(self) -> None:
        self.assertRaises(CodingNotImplemented, parse_head, octets(HOST, b"Transfer-Encoding: gzip, chunked"))


class RefusalTests(SynchronousTestCase):
    def refused(self, given_octets: bytes) -> None:
        self.assertRaises(BadRequest, parse_head, given_octets)

    def test_no_request_line(self) -> None:
        for given_octets in (b"", b"GET /", b"GET  / HTTP/1.1", b"\x16\x03\x01", octets(HOST, version=b"http/1.1")):
            self.refused(given_octets)

    def test_hosts(self) -> None:
        for host in (b"craft.example", b"127.0.0.1:8080", b"[::1]:80", b"", b"a%20b", b"a:", b"[::ffff:1.2.3.4]"):
            parse_head(octets(b"Host: " + host))
        for host in (b"a/b", b"a@b", b"[1:2]", b"[::1", b"::1", b"a:65536", b"a:b", b"a%2", b"a b", b"\xff", b"[v1.x]"):
            self.refused(octets(b"Host: " + host))
        self.refused(octets())
        self.refused(octets(HOST, HOST))
        self.refused(octets(HOST, b"host: other"))
        parse_head(octets(version=b"HTTP/1.0"))

    def test_targets(self) -> None:
        for target in (
            *(b"health", b"*", b"/\xff", b"/a#b", b"craft.example:80", b"ftp://craft.example/"),
            *(b"http://[/", b"http:///health", b"http://:80/", b"http://[1:2]/", b"http://user@craft.example/"),
        ):
            self.refused(octets(HOST, target=target))
        parse_head(octets(HOST, method=b"OPTIONS", target=b"*"))

    def test_fields(self) -> None:
        for octet in (0, 1, 10, 13, 27, 127):
            self.refused(octets(HOST, b"X: a%cb" % octet))
        parse_head(octets(HOST, b"X: a\tb\xff"))
        for line in (b"X : a", b": a", b"nonsense", b" folded", b"\tfolded", b""):
            self.refused(octets(HOST, line))

    def test_handshake_with_a_body(self) -> None:
        self.refused(octets(HOST, *UPGRADE, b"Content-Length: 1"))
        self.refused(octets(HOST, *UPGRADE, b"Transfer-Encoding: chunked"))
        self.assertTrue(parse_head(octets(HOST, *UPGRADE, b"Content-Length: 0")).handshake)


class HandshakeTests(SynchronousTestCase):
    def test_what_is_one(self) -> None:
        self.assertTrue(parse_head(octets(HOST, *UPGRADE)).handshake)

    def test_what_is_none(self) -> None:
        for head in (
            octets(HOST, UPGRADE[0]),
            octets(HOST, UPGRADE[1]),
            octets(HOST, *UPGRADE, method=b"POST"),
            octets(HOST, *UPGRADE, version=b"HTTP/1.0"),
            octets(HOST, b"Upgrade: h2c", UPGRADE[1]),
        ):
            self.assertFalse(parse_head(head).handshake)


class TargetTests(SynchronousTestCase):
    def test_taken_apart(self) -> None:
        self.assertEqual(
            path_and_query(b"/a/%C3%A9%2f/?b=c&b=%20&d=&e"),
            (("a", "é/", ""), {"b": ("c", " "), "d": ("",), "e": ("",)}),
        )
        self.assertEqual(path_and_query(b"//a"), (("", "a"), {}))

    def test_not_utf8(self) -> None:
        for target in (b"/%ff", b"/?a=%ff", b"/?%ff=a"):
            self.assertRaises(BadRequest, path_and_query, target)
