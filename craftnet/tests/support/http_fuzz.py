"""What a hostile client might send: valid requests and handshakes, corrupted in many ways, cut anywhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from zope.interface import implementer

from craftnet.tests.support.samples import OTHER_SESSION, PLAYER, SESSION

SECRET_PART = "c2VjcmV0LW9mLWEtdG9rZW4"
"""Stands in every token that is sent, and so must stand in nothing that comes back or is logged."""

BROKEN_TOKEN = f"eyJhbGciOiJIUzI1NiJ9.{SECRET_PART}.{SECRET_PART}"

PATHS = (
    *(
        "/",
        "*",
        "/health",
        "/ready",
        "/health/live",
        "/health/ws",
        "/health/batch",
        "/metrics",
        "/events",
        "/revocations",
    ),
    *(f"/ws/queue/{PLAYER}", f"/ws/crafting/{SESSION}", f"/ws/crafting/{OTHER_SESSION}", "/ws/dictionaries/1"),
    *(f"/udp/sessions/{SESSION}/{name}" for name in ("connect", "progress", "materials")),
    *(f"/ws/queue/{BROKEN_TOKEN}", "/ws/queue/%ff", "/ws/queue/%00", "/ws/crafting/%2e%2e", "//", "/%", "/é", "/ws/"),
    *(f"/v1/crafting-network/ws/queue/{PLAYER}", "/api/v1/crafting-network/health/ws", "/[", "/]:/", "/\\"),
)
FEEDS = (
    f"/ws/queue/{PLAYER}",
    f"/ws/crafting/{SESSION}?player_id={PLAYER}",
    "/health/ws",
    f"/ws/queue/{PLAYER}?heartbeat=25",
)
PREFIXES = (
    "http://[/",
    "http://",
    "http://[::1]",
    "http://x:99999",
    "https://craft.example",
    "ws://x",
    "x://",
    "http://@",
)
QUERIES = (
    *(
        "",
        f"?player_id={PLAYER}",
        "?services=crafting-network",
        "?services=x",
        "?player_id=%ff",
        "?resume=a:1",
        "?heartbeat=25",
    ),
    *(
        "?heartbeat=\u0665",
        "?resume=" + "9" * 400,
        "?a=b&a=c;d",
        *(f"?{name}={BROKEN_TOKEN}" for name in ("token", "player_id", "services", "resume", "heartbeat")),
        "?%ff=%fe",
        "?&&==",
        "?resume=0:0",
    ),
)
TEXTS = (
    *(
        "",
        "*",
        "null",
        "close",
        "upgrade",
        "websocket",
        "13",
        "0",
        "-1",
        "1e9",
        "9" * 5000,
        "0" * 5000,
        "nan",
        "inf",
        "\x00",
    ),
    *(
        "[1:2]",
        "[::1",
        "[",
        "]",
        "[::1]:99999",
        "::1",
        "a:b:c",
        "x:70000",
        "x@y",
        "é",
        "\x85",
        "\u2028",
        "\xa0",
        "\xff\xfe",
    ),
    *("craft.example", "craft.example:8080", "http://[", "https://[::1", "https://a:b", "file://", "https://é.example"),
    *(
        "gzip;q=nan, *;q=-1",
        'W/"',
        '"',
        '"a", "b',
        "chunked",
        "gzip, chunked",
        "identity",
        "100-continue",
        "a, b, a",
        ",",
    ),
    *(
        "127.0.0.1, ::1%lo",
        "1.2.3.4:5",
        "unknown",
        "_x",
        "application/json; charset=\xff",
        "bearer.",
        "Bearer",
        "Basic x",
    ),
    *(
        "craftnet.json.v1",
        "craftnet.bin.v1, craftnet.bin.v1",
        "permessage-deflate; client_max_window_bits=99",
        ";=;",
        "a=b;",
    ),
    *(
        "bytes=0-",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "a=" + "b" * 3000,
        f"Bearer {BROKEN_TOKEN}",
        "dGhlIHNhbXBsZSBub25jZQ==",
    ),
    *(
        f"bearer.{BROKEN_TOKEN}, bearer.{BROKEN_TOKEN}",
        f"Bearer {BROKEN_TOKEN}, Bearer {BROKEN_TOKEN}",
        f"x={BROKEN_TOKEN}",
    ),
)
NAMES = (
    *("Host", "Origin", "Authorization", "Connection", "Upgrade", "Expect", "Content-Type", "Content-Length"),
    *("Transfer-Encoding", "Content-Encoding", "Accept-Encoding", "Cookie", "If-None-Match", "If-Match", "If-Range"),
    *("Range", "TE", "Trailer", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"),
    *("Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"),
    *("HTTP2-Settings", "X"),
)
NO_NAMES = ("", "Host ", "\xff")
ECHOED = frozenset({"Host", "Origin", "X-Forwarded-Host", "Host "})
"""Texts that an answer may repeat: they are no place for a token."""

MEDIA_TYPES = ("application/json", "application/json", "application/octet-stream", "application/x-ndjson")
METHODS = ("GET", "HEAD", "POST", "OPTIONS", "PUT", "CONNECT", "TRACE", "BREW", "G\x00T", "", "get")
VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/0.9", "http/1.1", "HTTP/11", "")


class Fuzzer:
    """Makes connections.

    Arguments:
        random: decides everything.
        token: makes a token that holds, with these scopes.
    """

    def __init__(self, random: Random, token: Callable[..., str]) -> None:
        self._random = random
        self._token = token
        self._wild = 1.0

    def connection(self) -> list[bytes]:
        """One client's octets, in the pieces in which they arrive."""
        self._wild = self._random.choice((0.1, 0.1, 0.3, 1.0))
        octets = b"".join(self._request() for _ in range(self._random.choice((1, 1, 1, 2, 3))))
        if self._maybe(0.3):
            octets += self._frames()
        octets = self._damaged(octets) if self._maybe(0.5 * self._wild) else octets
        cuts = sorted(self._random.randint(0, len(octets)) for _ in range(self._random.choice((0, 0, 1, 3))))
        return [octets[start:end] for start, end in zip([0, *cuts], [*cuts, len(octets)], strict=True)]

    def _maybe(self, probability: float) -> bool:
        return self._random.random() < probability

    def _request(self) -> bytes:
        handshake = self._maybe(0.5)
        fields = [("Host", "craft.example")]
        if self._maybe(0.8):
            scopes = self._random.choice(((), ("crafting:admin",), ("crafting:publish", "crafting:admin")))
            fields.append(("Authorization", f"Bearer {self._token(*scopes)}"))
        if handshake:
            fields += [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
            fields.append(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
        for _ in range(self._random.choice((0, 1, 1, 2, 4))):
            field = self._random.choice(NO_NAMES if self._maybe(0.1 * self._wild) else NAMES), self._text()
            if field[0] in ECHOED and SECRET_PART in field[1]:
                continue
            if self._maybe(1 - 0.5 * self._wild):
                fields.append(field)
            else:
                fields[self._random.randrange(len(fields))] = field
        method = "GET" if handshake or self._maybe(0.4) else self._random.choice(METHODS)
        version = self._random.choice(VERSIONS) if self._maybe(0.1 * self._wild) else "HTTP/1.1"
        if self._maybe(self._wild):
            target = self._random.choice(PATHS) + self._random.choice(QUERIES)
        else:
            target = self._random.choice(FEEDS if handshake else PATHS[2:18])
        if self._maybe(0.2 * self._wild):
            target = self._random.choice(PREFIXES) + target
        body = self._body() if method == "POST" or self._maybe(0.1) else b""
        if body and self._maybe(0.5):
            fields.append(("Content-Length", str(len(body))))
        elif body:
            fields.append(("Transfer-Encoding", "chunked"))
            body = self._chunked(body)
        if method == "POST" and self._maybe(0.8):
            fields.append(("Content-Type", self._random.choice(MEDIA_TYPES)))
        lines = [f"{method} {target} {version}", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join(lines).encode("latin-1" if self._maybe(0.2) else "utf-8", "replace") + b"\r\n\r\n" + body

    def _text(self) -> str:
        text = self._random.choice(TEXTS)
        return text if self._maybe(0.8) else text + ", " + self._random.choice(TEXTS)

    def _body(self) -> bytes:
        values: tuple[Any, ...] = (
            *({"services": ["crafting-network"]}, {"services": ["x"]}, [], None, {"player_id": str(PLAYER)}),
            {"player_id": str(PLAYER), "client_version": "1.2.3"},
        )
        return self._random.choice(
            (json.dumps(self._random.choice(values)).encode(), b"\xff\xfe", b"{", b"<html>", bytes(48), b"x" * 5000)
        )

    def _chunked(self, body: bytes) -> bytes:
        cut = self._random.randint(0, len(body))
        chunks = [chunk for chunk in (body[:cut], body[cut:]) if chunk]
        extension = self._random.choice((b"", b"", b";a", b';a="\\";x"', b" ; a = b", b";\xff", b";;"))
        trailers = self._random.choice((b"", b"", b"X: y\r\n", b"nonsense\r\n", b"Host: x\r\n", b" x: y\r\n"))
        return (
            b"".join(b"%x%s\r\n%s\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
            + b"0\r\n"
            + trailers
            + b"\r\n"
        )

    def _frames(self) -> bytes:
        frames = b""
        for _ in range(self._random.choice((1, 2, 20))):
            payload = self._random.choice(
                (
                    *(
                        b"",
                        b"\x03\xe8bye",
                        b"\x00\x00",
                        b"\xff",
                        b"x" * 125,
                        json.dumps({"type": "token", "token": 7}).encode(),
                    ),
                    json.dumps({"type": "token", "token": BROKEN_TOKEN}).encode(),
                )
            )
            first = self._random.choice(
                (0x81, 0x82, 0x88, 0x89, 0x8A, 0x01, 0x80, 0xC1, 0x83, self._random.randrange(256))
            )
            if first & 0x0F >= 8 and SECRET_PART.encode() in payload:
                continue  # a pong repeats the content of the ping.
            size = bytes((0x80 | len(payload),)) if len(payload) < 126 else b"\xfe" + len(payload).to_bytes(2, "big")
            frames += bytes((first,)) + size + bytes(4) + payload
        return frames

    def _damaged(self, octets: bytes) -> bytes:
        at = self._random.randint(0, len(octets))
        end = min(len(octets), at + self._random.choice((0, 1, 4)))
        new = self._random.choice(
            (b"", b"\x00", b"\r", b"\n", b"\r\n", b" ", b":", b"\xff", b"[", b"%", self._random.randbytes(3))
        )
        return octets[:at] + new + octets[end:]


@implementer(ILogObserver)
class LogWatch:
    """Records the log while it is in use, as a context manager."""

    def __init__(self) -> None:
        self._events: list[LogEvent] = []

    def __call__(self, event: LogEvent) -> None:
        self._events.append(event)

    def __enter__(self) -> LogWatch:
        globalLogPublisher.addObserver(self)
        return self

    def __exit__(self, *exception: object) -> None:
        globalLogPublisher.removeObserver(self)

    @property
    def tracebacks(self) -> list[str]:
        """Those that were logged, whole."""
        texts = [event["log_failure"].getTraceback() for event in self._events if "log_failure" in event]
        return texts + [line for line in self.lines if "Traceback" in line]

    @property
    def lines(self) -> list[str]:
        """Every event as text."""
        return [formatEvent(event) for event in self._events]
