"""RFC 9110: a server's HTTP semantics, each case octet for octet over a real socket."""

from __future__ import annotations

import gzip
import re
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from craftnet.access.principal import ADMIN
from craftnet.http.request_head import TARGET_LIMIT
from craftnet.tests.support.http_wire import Answer, answers
from craftnet.tests.support.live import LiveTestCase, in_thread, token
from craftnet.tests.support.samples import PLAYER

HOST = "Host: craft.example"
JSON = "Content-Type: application/json"
BODY = '{"services": []}'
LONG = "/" * (TARGET_LIMIT + 1)


class Case(NamedTuple):
    """A request, and what must hold of its answer.

    Attributes:
        fields: header fields of the answer; None for those that must not be there, ... for any value.
    """

    section: str
    line: str
    lines: tuple[str, ...]
    body: str
    status: int
    fields: dict[str, object]


def case(section: str, line: str, *lines: str, body: str = "", status: int = 200, **fields: object) -> Case:
    """A `Case`; the request has a Host unless `lines` do, and underscores stand for hyphens in names of fields."""
    named = lines if any(line.startswith("Host:") for line in lines) else (HOST, *lines)
    return Case(section, line, named, body, status, {name.replace("_", "-"): value for name, value in fields.items()})


CASES = (
    # 5: fields
    case("5.1", "GET /health/live HTTP/1.1", "Unheard-Of: x"),
    case("5.3", "GET /health HTTP/1.1", "Accept-Encoding: br", "accept-encoding: gzip", content_encoding="gzip"),
    case("5.4", "GET /health/live HTTP/1.1", "X: " + "y" * 20_000, status=431),
    case("5.5", "GET /health/live HTTP/1.1", "X: a\x00b", status=400),
    case("5.5", "GET /health/live HTTP/1.1", "X: \xe9\xff"),
    case("5.6.1", "GET /health HTTP/1.1", "Accept-Encoding: ,, gzip ,", content_encoding="gzip"),
    # 6: messages
    case("6.6.1", "GET /health HTTP/1.1", date=...),
    case("6.6.1", "GET /nowhere HTTP/1.1", status=404, date=...),
    case("6.6.1", "OPTIONS /health HTTP/1.1", status=204, date=...),
    case("6.6.1", "GET * HTTP/1.1", status=400, date=...),
    # 7: routing and upgrades
    case("7.8", "GET /health/live HTTP/1.1", "Connection: Upgrade", "Upgrade: h2c, unheard-of"),
    case("7.8", "GET /health/live HTTP/1.1", "Upgrade: websocket"),
    case("7.8", f"GET /ws/queue/{PLAYER} HTTP/1.0", "Connection: Upgrade", "Upgrade: websocket", status=401),
    # 8: representations
    case("8.6", "OPTIONS /health HTTP/1.1", status=204, content_length=None, transfer_encoding=None, content_type=None),
    case("8.6", "OPTIONS * HTTP/1.1", content_length="0"),
    case("8.3", "GET /health HTTP/1.1", content_type="application/json"),
    # 9: methods
    case("9.1", "get /health HTTP/1.1", status=405, allow="GET, HEAD, OPTIONS"),
    case("9.3.7", "OPTIONS /health/batch HTTP/1.1", status=204, allow="POST, OPTIONS"),
    case("9.3.8", "TRACE /health HTTP/1.1", "X: secret", status=405, allow="GET, HEAD, OPTIONS"),
    # 11: authentication
    case("11.6.1", "GET /health/ws HTTP/1.1", status=401, www_authenticate=...),
    case("11.6.1", "GET /health/ws HTTP/1.1", "Authorization: Bearer x", status=401, www_authenticate=...),
    case("11.6.1", "GET /health/ws HTTP/1.1", "Authorization: Basic eDp5", status=401, www_authenticate=...),
    # 12: negotiation
    case(
        "12.5.3",
        "GET /health HTTP/1.1",
        "Accept-Encoding: gzip;q=0, *",
        content_encoding=None,
        vary="Accept-Encoding, Origin",
    ),
    case("12.5.3", "GET /health HTTP/1.1", content_encoding=None, vary="Accept-Encoding, Origin"),
    # 13: conditional requests; TAG stands for the health report's entity tag
    case("13.1.1", "GET /health HTTP/1.1", "If-Match: *"),
    case("13.1.1", "GET /health HTTP/1.1", 'If-Match: "x, y", TAG'),
    case("13.1.1", "GET /health HTTP/1.1", "If-Match: W/TAG", status=412, content_type="application/json"),
    case("13.1.1", "HEAD /health HTTP/1.1", 'If-Match: "x"', status=412),
    case("13.1.1", "GET /metrics HTTP/1.1", 'If-Match: "x"', status=412),
    case(
        "13.1.2",
        "GET /health HTTP/1.1",
        "If-None-Match: TAG",
        status=304,
        etag=...,
        cache_control=...,
        vary=...,
        date=...,
    ),
    case("13.1.2", "HEAD /health HTTP/1.1", "If-None-Match: W/TAG", status=304),
    case("13.1.2", "GET /health HTTP/1.1", "If-None-Match: *", status=304, content_length=None),
    case("13.1.2", "GET /health HTTP/1.1", 'If-None-Match: "x,TAG"'),
    case("13.1.3", "GET /health HTTP/1.1", "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT"),
    case("13.1.4", "GET /health HTTP/1.1", "If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"),
    case("13.2.1", "GET /nowhere HTTP/1.1", "If-None-Match: *", status=404),
    case("13.2.2", "GET /health HTTP/1.1", 'If-Match: "x"', "If-None-Match: TAG", status=412),
    case("13.2.1", "POST /health/batch HTTP/1.1", JSON, "If-None-Match: *", "Content-Length: 16", body=BODY),
    # 14: ranges
    case("14.2", "GET /health HTTP/1.1", "Range: bytes=0-3", content_range=None),
    # 15: statuses
    case("15.5.15", f"GET {LONG} HTTP/1.1", status=414),
    case(
        "15.5.16", "POST /health/batch HTTP/1.1", "Content-Type: text/html", "Content-Length: 16", body=BODY, status=415
    ),
    case(
        "15.5.22",
        f"GET /ws/queue/{PLAYER} HTTP/1.1",
        "Authorization: Bearer TOKEN",
        "Accept: text/html",
        status=426,
        upgrade="websocket",
    ),
)

BODILESS = (
    # section 9.3.2: what HEAD gets, also where a request is refused before it is routed.
    (("HEAD /health HTTP/1.1", HOST), 200),
    (("HEAD /nowhere HTTP/1.1", HOST), 404),
    (("HEAD /events HTTP/1.1", HOST), 405),
    (("HEAD /health/ws HTTP/1.1", HOST), 401),
    (("HEAD /health HTTP/1.1", HOST, HOST), 400),
    (("HEAD /health HTTP/1.1",), 400),
    (("HEAD /health HTTP/2.0", HOST), 505),
    ((f"HEAD {LONG} HTTP/1.1", HOST), 414),
    (("HEAD /health HTTP/1.1", HOST, "X: " + "y" * 20_000), 431),
    (("HEAD /health HTTP/1.1", HOST, "Content-Length: 99999999"), 413),
    (("HEAD /health HTTP/1.1", HOST, "Transfer-Encoding: x, chunked"), 501),
)


class SemanticsTests(LiveTestCase):
    """Every case on its own connection."""

    async def asked(self, *lines: str, body: str = "", bodies: bool = True) -> list[Answer]:
        octets = "\r\n".join((*lines, "", body)).encode("latin-1")
        return list(answers(await in_thread(self.send_raw, octets), bodies=bodies))

    async def test_cases(self) -> None:
        (health,) = await self.asked("GET /health HTTP/1.1", HOST)
        self.assertEqual(health.status, 200)
        texts = {"TAG": health.fields["etag"], "TOKEN": token()}
        for each in CASES:
            lines = [re.sub("TAG|TOKEN", lambda match: texts[match[0]], line) for line in (each.line, *each.lines)]
            bodies = not each.line.startswith("HEAD")
            (answer,) = await self.asked(*lines, body=each.body, bodies=bodies)
            self.assertEqual(answer.status, each.status, each)
            for name, value in each.fields.items():
                if value is ...:
                    self.assertIn(name, answer.fields, each)
                else:
                    self.assertEqual(answer.fields.get(name), value, each)

    async def test_no_body_for_head(self) -> None:
        for lines, status in BODILESS:
            for before in ((), ("GET /health/live HTTP/1.1", HOST, "")):
                octets = "\r\n".join((*before, *lines, "", "")).encode()
                given = await in_thread(self.send_raw, octets)
                head, end, rest = given[given.rfind(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(b"HTTP/1.1 %d " % status), (lines, head))
                self.assertEqual((end, rest), (b"\r\n\r\n", b""), lines)

    async def test_head_as_get(self) -> None:
        """Section 9.3.2: the same fields, the length among them."""
        (shown,) = await self.asked("GET /health HTTP/1.1", HOST)
        (answer,) = await self.asked("HEAD /health HTTP/1.1", HOST, bodies=False)
        self.assertEqual(answer.fields.keys(), shown.fields.keys())
        self.assertEqual(answer.fields["content-length"], str(len(shown.body)))

    async def test_length_and_date(self) -> None:
        """Sections 8.6 and 6.6.1."""
        (compressed,) = await self.asked("GET /health HTTP/1.1", HOST, "Accept-Encoding: gzip")
        self.assertEqual(compressed.fields["content-length"], str(len(compressed.body)))
        gzip.decompress(compressed.body)
        self.assertTrue(compressed.fields["date"].endswith(" GMT"))
        parsedate_to_datetime(compressed.fields["date"])

    async def test_host_of_an_absolute_target(self) -> None:
        """Section 7.2 and RFC 9112 section 3.2.2: it counts, and not the Host field."""
        lines = (
            "GET http://other.example:81/health/ws HTTP/1.1",
            HOST,
            f"Authorization: Bearer {token(None, ADMIN)}",
        )
        (answer,) = await self.asked(*lines)
        self.assertEqual(answer.json["websocket_url"], "ws://other.example:81/health/ws")

    async def test_continue(self) -> None:
        """Section 10.1.1: before a body that is wanted; not before a refusal, and not in HTTP/1.0."""
        ask = (HOST, JSON, "Expect: 100-Continue")
        first, second = await self.asked("POST /health/batch HTTP/1.1", *ask, "Content-Length: 16", body=BODY)
        self.assertEqual((first.status, first.fields, second.status), (100, {}, 200))
        (old,) = await self.asked("POST /health/batch HTTP/1.0", *ask, "Content-Length: 16", body=BODY)
        self.assertEqual(old.status, 200)
        (refused,) = await self.asked("POST /health/batch HTTP/1.1", *ask, "Content-Length: 99999999")
        self.assertEqual(refused.status, 413)
