"""RFC 9112: how a server must read and frame HTTP/1.1, each case octet for octet over a real socket."""

from __future__ import annotations

from typing import NamedTuple

from craftnet.http.request_head import TARGET_LIMIT
from craftnet.tests.support.http_wire import Answer, answers
from craftnet.tests.support.live import LiveTestCase, in_thread

HOST = b"Host: craft.example\r\n"
LAST = b"GET /health/live HTTP/1.1\r\n" + HOST + b"\r\n"
"""Follows what each case sends. It must be answered after a request that was read, and not after one that was not."""

CHUNKED = HOST + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n"
SIZED = HOST + b"Content-Type: application/json\r\nContent-Length: "
BODY = b'{"services": []}'


def get(fields: bytes = HOST, line: bytes = b"GET /health/live HTTP/1.1") -> bytes:
    """A request without a body."""
    return line + b"\r\n" + fields + b"\r\n"


def post(fields: bytes, body: bytes, version: bytes = b"HTTP/1.1") -> bytes:
    """A request whose framing is what `fields` say."""
    return b"POST /health/batch " + version + b"\r\n" + fields + b"\r\n" + body


def chunks(*, size: bytes = b"10", extension: bytes = b"", end: bytes = b"\r\n", trailers: bytes = b"") -> bytes:
    """A request with `BODY` in one chunk."""
    return post(CHUNKED, size + extension + b"\r\n" + BODY + end + b"0\r\n" + trailers + b"\r\n")


class Case(NamedTuple):
    """The octets sent, and the statuses of the answers."""

    section: str
    octets: bytes
    statuses: tuple[int, ...]


READ = (
    Case("2.2", b"\r\n" + get(), (200,)),
    Case("2.3, RFC 9110 section 6.2", get(line=b"GET /health/live HTTP/1.9"), (200,)),
    Case("3", get(line=b"GET /" + b"x" * (TARGET_LIMIT - 1) + b" HTTP/1.1"), (404,)),
    Case("3.2", get(b"Host:\r\n"), (200,)),
    Case("3.2", get(b"Host: [::1]:8080\r\n"), (200,)),
    Case("3.2.1", get(line=b"GET /health/live?a=b HTTP/1.1"), (200,)),
    Case("3.2.2", get(line=b"GET http://craft.example/health/live HTTP/1.1"), (200,)),
    Case("3.2.2", get(line=b"GET HTTP://craft.example:8080/health/live?a HTTP/1.1"), (200,)),
    Case("3.2.4", get(line=b"OPTIONS * HTTP/1.1"), (200,)),
    Case("3.2.4", get(line=b"OPTIONS http://craft.example HTTP/1.1"), (200,)),
    Case("5.1", get(b"hOST:\tcraft.example \t\r\n"), (200,)),
    Case("6.2", post(SIZED + b"16\r\n", BODY), (200,)),
    Case("6.2", post(SIZED + b"0" * 5000 + b"16\r\n", BODY), (200,)),
    Case("6.3", get() + get(), (200, 200)),
    Case("7.1", chunks(), (200,)),
    Case("7.1", chunks(size=b"0010"), (200,)),
    Case("7.1", post(CHUNKED, b"a\r\n" + BODY[:10] + b"\r\n6\r\n" + BODY[10:] + b"\r\n000\r\n\r\n"), (200,)),
    Case("7.1", post(CHUNKED.replace(b"chunked", b"CHUNKED"), b"10\r\n" + BODY + b"\r\n0\r\n\r\n"), (200,)),
    Case("7.1.1", chunks(extension=b";a;b=c"), (200,)),
    Case("7.1.1", chunks(extension=b' ; a = "x;\\"y\\""\t;b'), (200,)),
    Case("7.1.2", chunks(trailers=b"X: y\r\nContent-Length: 5\r\nTransfer-Encoding: z\r\n"), (200,)),
    Case(
        "9.3.2",
        get() + chunks() + get(line=b"GET /nowhere HTTP/1.1") + post(SIZED + b"16\r\n", BODY),
        (200, 200, 404, 200),
    ),
)
"""Valid requests: the connection continues, and `LAST` is answered."""

REFUSED = (
    Case("2.2", b"GET /health/live HTTP/1.1\n" + HOST + b"\r\n", (400,)),
    Case("2.2", b"GET /health/live HTTP/1.1\nHost: craft.example\n\n", (400,)),
    Case("2.2", get(HOST + b"X: a\rb\r\n"), (400,)),
    Case("2.2", get(b" X: y\r\n" + HOST), (400,)),
    Case("2.2", b"\x16\x03\x01\x02\x00\x01\r\n\r\n", (400,)),
    Case("2.3", get(line=b"GET /health/live http/1.1"), (400,)),
    Case("2.3", get(line=b"GET /health/live HTTP/1.10"), (400,)),
    Case("2.3", get(line=b"GET /health/live HTTP/2.0"), (505,)),
    Case("2.3", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (505,)),
    Case("3", get(line=b"GET /health/live"), (400,)),
    Case("3", get(line=b"GET  /health/live HTTP/1.1"), (400,)),
    Case("3", get(line=b"GET\t/health/live HTTP/1.1"), (400,)),
    Case("3", get(line=b"GET /health/live HTTP/1.1 "), (400,)),
    Case("3", get(line=b"GET /" + b"x" * TARGET_LIMIT + b" HTTP/1.1"), (414,)),
    Case("3", b"GET /" + b"x" * 100_000, (414,)),
    Case("3.1", get(line=b"G@T /health/live HTTP/1.1"), (400,)),
    Case("3.2", get(b""), (400,)),
    Case("3.2", get(HOST + HOST), (400,)),
    Case("3.2", get(b"Host: craft.example, other.example\r\n"), (400,)),
    Case("3.2", get(b"Host: [1:2]\r\n"), (400,)),
    Case("3.2", get(b"Host: http://craft.example\r\n"), (400,)),
    Case("3.2", get(line=b"GET /health/live#fragment HTTP/1.1"), (400,)),
    Case("3.2.2", get(line=b"GET http://[/health/live HTTP/1.1"), (400,)),
    Case("3.2.2", get(line=b"GET http:///health/live HTTP/1.1"), (400,)),
    Case("3.2.2, RFC 9110 section 4.2.4", get(line=b"GET http://user@craft.example/ HTTP/1.1"), (400,)),
    Case("3.2.3", get(line=b"CONNECT craft.example:443 HTTP/1.1"), (400,)),
    Case("3.2.3", get(line=b"GET craft.example:443 HTTP/1.1"), (400,)),
    Case("3.2.4", get(line=b"GET * HTTP/1.1"), (400,)),
    Case("5.1", get(b"Host : craft.example\r\n"), (400,)),
    Case("5.1", get(HOST + b"nonsense\r\n"), (400,)),
    Case("5.2", get(HOST + b"X: a\r\n b\r\n"), (400,)),
    Case("6.1", post(HOST + b"Transfer-Encoding: identity\r\n", b""), (400,)),
    Case("6.1", post(HOST + b"Transfer-Encoding: gzip\r\n", b""), (400,)),
    Case("6.1", post(HOST + b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), (501,)),
    Case("6.1", post(CHUNKED + b"Transfer-Encoding: identity\r\n", b"0\r\n\r\n"), (400,)),
    Case("6.1", post(CHUNKED + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"), (400,)),
    Case("6.1", post(HOST + b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), (400,)),
    Case("6.1", post(HOST + b"Transfer-Encoding: chunked;a=b\r\n", b"0\r\n\r\n"), (400,)),
    Case("6.1", post(HOST + b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), (400,)),
    Case("6.1", post(HOST + b"Transfer-Encoding:\r\n", b""), (400,)),
    Case("6.1", post(CHUNKED, b"0\r\n\r\n", b"HTTP/1.0"), (400,)),
    Case("6.3 item 3", post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n"), (400,)),
    Case("6.3 item 5", post(SIZED + b"16\r\nContent-Length: 16\r\n", BODY), (400,)),
    *(
        Case("6.3 item 5", post(SIZED + length + b"\r\n", BODY), (400,))
        for length in (b"16, 16", b"+16", b"-1", b"0x10", b"1 6", b"")
    ),
    Case("6.3, RFC 9110 section 8.6", post(SIZED + b"9" * 5000 + b"\r\n", BODY), (413,)),
    *(
        Case("7.1", chunks(size=size), (400,))
        for size in (b"", b"0x10", b"+10", b"-1", b"10 ", b"g", b"1" * 17, b"_10")
    ),
    Case("7.1", chunks(size=b"f"), (400,)),
    Case("7.1", chunks(end=b""), (400,)),
    Case("7.1", post(CHUNKED, b"10\n" + BODY + b"\n0\n\n"), (400,)),
    Case("7.1.1", chunks(extension=b";"), (400,)),
    Case("7.1.1", chunks(extension=b';a="x'), (400,)),
    Case("7.1.1", chunks(extension=b";a=\x00"), (400,)),
    Case("7.1.1", chunks(extension=b";" + b"a" * 5000), (431,)),
    Case("7.1.2", chunks(trailers=b"nonsense\r\n"), (400,)),
    Case("7.1.2", chunks(trailers=b"X : y\r\n"), (400,)),
    Case("7.1.2", chunks(trailers=b"X: y\r\n folded\r\n"), (400,)),
    Case("7.1.2", chunks(trailers=(b"X: " + b"y" * 3000 + b"\r\n") * 9), (431,)),
    Case("8", post(SIZED + b"100000\r\n", BODY)[:-1], (413,)),
    Case("9.6", get(HOST + b"Connection: close\r\n"), (200,)),
    Case("9.6, RFC 9110 section 5.6.1", get(HOST + b"Connection: x,, Close ,\r\n"), (200,)),
    Case("9.6", get(HOST + b"Connection: x\r\nConnection: close\r\n"), (200,)),
    Case("9.3", get(line=b"GET /health/live HTTP/1.0"), (200,)),
    Case("9.3", get(b"Connection: keep-alive\r\n", b"GET /health/live HTTP/1.0"), (200,)),
)
"""Requests after which the connection ends: `LAST` is not answered, and every answer but 1xx says so (section 9.6)."""


class MessageTests(LiveTestCase):
    """Every case as a connection's first request, and as a later one."""

    async def given(self, octets: bytes) -> list[Answer]:
        return list(answers(await in_thread(self.send_raw, octets)))

    async def test_read(self) -> None:
        for case in READ:
            for before in (b"", LAST):
                given = await self.given(before + case.octets + LAST)
                expected = [*([200] if before else []), *case.statuses, 200]
                self.assertEqual([answer.status for answer in given], expected, case)

    async def test_refused(self) -> None:
        for case in REFUSED:
            for before in (b"", LAST):
                given = await self.given(before + case.octets + LAST)
                self.assertEqual(
                    [answer.status for answer in given], [*([200] if before else []), *case.statuses], case
                )
                self.assertEqual(given[-1].fields["connection"], "close", case)

    async def test_octet_by_octet(self) -> None:
        """Where a segment of TCP ends means nothing (section 2.2)."""
        for case in (READ[0], READ[-3], REFUSED[0]):
            octets = await in_thread(self.send_raw, case.octets, at_once=False)
            self.assertEqual([answer.status for answer in answers(octets)], list(case.statuses), case)

    async def test_incomplete(self) -> None:
        """Section 8: an incomplete request is not carried out."""
        for octets in (get()[:-1], post(SIZED + b"16\r\n", BODY)[:-1], chunks()[:-1]):
            self.assertEqual(await self.given(octets), [])
            self.assertEqual([answer.status for answer in await self.given(LAST + octets)], [200])

    async def test_status_line(self) -> None:
        """Section 4: the server's own version, three digits, and the phrase of RFC 9110 section 15."""
        for line, octets in (
            (b"HTTP/1.1 200 OK", get(line=b"GET /health/live HTTP/1.0")),
            (b"HTTP/1.1 204 No Content", get(line=b"OPTIONS /health HTTP/1.1")),
            (b"HTTP/1.1 400 Bad Request", get(b"")),
            (b"HTTP/1.1 401 Unauthorized", get(line=b"GET /health/ws HTTP/1.1")),
            (b"HTTP/1.1 404 Not Found", get(line=b"GET /nowhere HTTP/1.1")),
            (b"HTTP/1.1 405 Method Not Allowed", get(line=b"POST /health HTTP/1.1")),
            (b"HTTP/1.1 412 Precondition Failed", get(HOST + b'If-Match: "x"\r\n')),
            (b"HTTP/1.1 413 Content Too Large", post(SIZED + b"9999999\r\nAuthorization: x\r\n", b"")),
            (b"HTTP/1.1 414 URI Too Long", get(line=b"GET /" + b"x" * TARGET_LIMIT + b" HTTP/1.1")),
            (b"HTTP/1.1 415 Unsupported Media Type", post(HOST + b"Content-Length: 16\r\n", BODY)),
            (b"HTTP/1.1 431 Request Header Fields Too Large", get(HOST + b"X: " + b"y" * 20_000 + b"\r\n")),
            (b"HTTP/1.1 501 Not Implemented", post(HOST + b"Transfer-Encoding: x, chunked\r\n", b"")),
            (b"HTTP/1.1 505 HTTP Version Not Supported", get(line=b"GET / HTTP/3.0")),
        ):
            self.assertEqual((await in_thread(self.send_raw, octets)).partition(b"\r\n")[0], line)
