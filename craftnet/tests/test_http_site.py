from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from functools import partial
from typing import ClassVar
from uuid import UUID

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.admission import Admission
from craftnet.access.enforcement import Enforcement
from craftnet.access.forwarding import Forwarding, ServerUrl
from craftnet.access.networks import Networks
from craftnet.access.principal import ADMIN, PUBLISH, Principal
from craftnet.access.revocation import Revocations
from craftnet.claims import Seen
from craftnet.clocks import moment
from craftnet.errors import Unauthorized, Unavailable
from craftnet.events import VERSION
from craftnet.http.site import site
from craftnet.ingest import Ingest
from craftnet.interfaces import IShowcase
from craftnet.messages import (
    ChangeType,
    Check,
    HealthResponse,
    HealthStatus,
    MaterialChange,
    UdpConnectRequest,
    UdpConnectResponse,
    instant,
)
from craftnet.model import Tolerance
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.protocols.codec import encode_materials, encode_progress
from craftnet.protocols.records import MaterialsRecord, ProgressFlags, ProgressRecord
from craftnet.protocols.websocket.compression import dictionary
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.sources import Sources
from craftnet.targets import BASE_PATHS, BasePaths
from craftnet.tests.fakes import FakeShowcase, SteppedClock, TableAuthority
from craftnet.tests.http_wire import Answer, House, answers, request
from craftnet.tests.samples import (
    COPPER,
    GAME_SESSION,
    GAME_START,
    IRON,
    NOW,
    OTHER_PLAYER,
    OTHER_SESSION,
    PLAYER,
    SESSION,
    event,
    start,
)

PREFIXES = (*BASE_PATHS, "/crafting")
"""What stands in front of routes."""

HOST = b"Host: craft.example:8080\r\n"
HERE = ServerUrl("http", "craft.example", 8080)
JSON = b"Content-Type: application/json; charset=utf-8\r\n"
ACTIVE = ProgressFlags(0)
OCTETS = b"Content-Type: application/octet-stream\r\n"


def bearer(token: str) -> bytes:
    """As a header field."""
    return f"Authorization: Bearer {token}\r\n".encode()


def principal(player_id: UUID | None, *scopes: str) -> Principal:
    return Principal(player_id, frozenset(scopes), NOW + 3600)


class FakeGateway:
    """Remembers what it was asked to expect."""

    def __init__(self) -> None:
        self.expected: list[tuple[UUID, UUID, UdpConnectRequest, float, float, ServerUrl]] = []
        self.sight: Seen | None = None

    def seen(self, claim: ProgressRecord, player_id: UUID, now: float) -> Seen | None:
        """What the test says."""
        return self.sight

    def connect(
        self,
        session_id: UUID,
        player_id: UUID,
        request: UdpConnectRequest,
        expires: float,
        now: float,
        server: ServerUrl,
        bearer: Principal,
    ) -> UdpConnectResponse:
        """Expect it."""
        self.expected.append((session_id, player_id, request, expires, now, server))
        return UdpConnectResponse(
            session_token="secret",
            server_endpoint="craft.example:8082",
            compression_enabled=False,
            negotiated_packet_size=1200,
            heartbeat_interval=5000,
        )


class TroubledAuthority(TableAuthority):
    """One that may be in trouble."""

    trouble: Exception | None = None

    def authenticate(self, token: str) -> Deferred[Principal]:
        """Fail with the trouble, if there is some."""
        return super().authenticate(token) if self.trouble is None else fail(self.trouble)


class SiteTestCase(SynchronousTestCase):
    """A site on a memory provider that knows `SESSION` of `PLAYER`, begun at `NOW`."""

    udp = True
    tolerance = Tolerance()
    proxies = ""
    showcase: IShowcase | None = None

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        backend = MemoryBackend(self.clock, MemorySettings())
        self.sources = Sources(backend.sessions, backend.materials, backend.queues)
        self.metrics = Metrics()
        ingest = Ingest(self.sources, self.metrics)
        self.successResultOf(Deferred.fromCoroutine(ingest.submit([event(start())])))
        self.authority = TroubledAuthority(
            {
                "player": principal(PLAYER),
                "other": principal(OTHER_PLAYER),
                "admin": principal(None, ADMIN),
                "publisher": principal(None, PUBLISH),
            }
        )
        self.status = HealthStatus.OK
        self.monitor = Monitor({"sessions": self.check}, {}, self.clock, version="1.2.3", interval=10.0)
        self.monitor.startService()
        self.gateway = FakeGateway()
        self.enforced: list[bool] = []
        made = site(
            admission=Admission(self.authority, self.sources.sessions, self.sources.queues),
            sources=self.sources,
            ingest=ingest,
            enforcement=Enforcement(Revocations(), [self.enforce], partial(moment, self.clock)),
            gateway=self.gateway if self.udp else None,
            monitor=self.monitor,
            metrics=self.metrics,
            clock=self.clock,
            bases=BasePaths(["/crafting"]),
            forwarding=Forwarding(Networks.parse(self.proxies, "--trusted-proxy")),
            protocols=("craftnet.json.v1",),
            tolerance=self.tolerance,
            showcase=self.showcase,
        )
        self.house = House(made, self.clock, self.metrics)

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """A transport with one connection, of the player."""
        self.enforced.append(covered(principal(PLAYER)))
        return int(self.enforced[-1])

    async def check(self) -> Check:
        return Check(status=self.status)

    def ask(self, target: str, method: str = "GET", fields: bytes = b"", body: bytes = b"", token: str = "") -> Answer:
        """One request on a connection of its own."""
        wire = self.house.wire()
        fields = HOST + fields + (bearer(token) if token else b"")
        wire.receive(request(target, method, fields, body))
        (answer,) = answers(wire.value(), bodies=method != "HEAD")
        return answer

    def assert_error(self, answer: Answer, status: int) -> None:
        """In the contract's shape."""
        self.assertEqual((answer.status, answer.json["code"]), (status, status))
        self.assertIsInstance(answer.json["message"], str)
        self.assertLessEqual(set(answer.json), {"code", "message", "details"})
        self.assertEqual(answer.fields["content-type"], "application/json")


class RoutingTests(SiteTestCase):
    routes: ClassVar[dict[str, str]] = {
        "/health": "GET, HEAD, OPTIONS",
        "/health/batch": "POST, OPTIONS",
        "/health/live": "GET, HEAD, OPTIONS",
        "/health/ready": "GET, HEAD, OPTIONS",
        "/ready": "GET, HEAD, OPTIONS",
        "/health/ws": "GET, HEAD, OPTIONS",
        "/metrics": "GET, HEAD, OPTIONS",
        "/events": "POST, OPTIONS",
        f"/ws/crafting/{SESSION}": "GET, HEAD, OPTIONS",
        f"/ws/queue/{PLAYER}": "GET, HEAD, OPTIONS",
        f"/udp/sessions/{SESSION}/connect": "POST, OPTIONS",
        f"/udp/sessions/{SESSION}/progress": "POST, OPTIONS",
        f"/udp/sessions/{SESSION}/materials": "POST, OPTIONS",
    }

    def test_options(self) -> None:
        for prefix in PREFIXES:
            for path, allowed in self.routes.items():
                answer = self.ask(prefix + path, "OPTIONS")
                self.assertEqual((answer.status, answer.fields["allow"], answer.body), (204, allowed, b""))

    def test_wrong_method(self) -> None:
        for path, allowed in self.routes.items():
            for method in ("PUT", "BREW", "GET" if "POST" in allowed else "POST"):
                answer = self.ask(path, method)
                self.assert_error(answer, 405)
                self.assertEqual(answer.fields["allow"], allowed)

    def test_unknown_path(self) -> None:
        for path in (
            "/",
            "/healt",
            "/health/",
            "/health/x/y/z",
            "//health",
            BASE_PATHS[1],
            "/crafting",
            "/api/v1/health",
            "/ws/crafting",
            "/udp/sessions/x",
            "/%ff",
        ):
            answer = self.ask(path)
            self.assertIn(answer.status, (400, 404))
            self.assert_error(answer, 400 if path == "/%ff" else 404)
        self.assertEqual(self.house.refusals("not_found"), 10)

    def test_head(self) -> None:
        shown = self.ask("/health")
        answer = self.ask("/health", "HEAD")
        self.assertEqual((answer.status, answer.body), (200, b""))
        self.assertEqual(answer.fields["content-length"], str(len(shown.body)))

    def test_options_of_everything(self) -> None:
        self.assertEqual(self.ask("*", "OPTIONS").status, 200)
        self.assert_error(self.ask("*"), 400)

    def test_not_kept_unless_it_says_so(self) -> None:
        self.assertEqual(self.ask("/metrics").fields["cache-control"], "no-store")

    def test_bug(self) -> None:
        """The client learns nothing of it; the log does, once."""
        self.authority.trouble = ZeroDivisionError("secret")
        answer = self.ask("/health/ws", token="admin")
        self.assert_error(answer, 500)
        self.assertNotIn(b"secret", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.house.refusals("internal"), 1)

    def test_two_tokens(self) -> None:
        answer = self.ask("/health/ws", fields=bearer("admin"), token="player")
        self.assert_error(answer, 401)
        self.assertIn("Bearer realm=", answer.fields["www-authenticate"])


class HealthTests(SiteTestCase):
    def test_ok_or_degraded(self) -> None:
        answer = self.ask("/health")
        self.assertEqual(answer.status, 200)
        report = msgspec.json.decode(answer.body, type=HealthResponse)
        self.assertEqual(
            (report.status, report.version, report.timestamp), (HealthStatus.DEGRADED, "1.2.3", instant(NOW))
        )
        self.assertEqual(answer.fields["cache-control"], "public, max-age=30")
        self.assertEqual(answer.fields["vary"], "Accept-Encoding")

    def test_critical(self) -> None:
        self.status = HealthStatus.CRITICAL
        self.clock.advance(10)
        answer = self.ask("/health", fields=b"If-None-Match: *\r\n")
        self.assertEqual((answer.status, answer.json["status"]), (503, "critical"))
        self.assertEqual(answer.fields["cache-control"], "no-store")

    def test_not_modified(self) -> None:
        etag = self.ask("/health").fields["etag"]
        answer = self.ask("/health", fields=f'If-None-Match: "x", W/{etag}\r\n'.encode())
        self.assertEqual((answer.status, answer.body, answer.fields["etag"]), (304, b"", etag))
        self.assertNotIn("content-length", answer.fields)
        self.clock.advance(10)
        self.assertEqual(self.ask("/health", fields=f"If-None-Match: {etag}\r\n".encode()).status, 200)

    def test_gzip(self) -> None:
        plain = self.ask("/health")
        packed = self.ask("/health", fields=b"Accept-Encoding: br, gzip\r\n")
        self.assertEqual(packed.fields["content-encoding"], "gzip")
        self.assertEqual(gzip.decompress(packed.body), plain.body)
        self.assertNotEqual(packed.fields["etag"], plain.fields["etag"])

    def test_batch(self) -> None:
        body = b'{"services": ["real-time-combat", "crafting-network"]}'
        answer = self.ask("/health/batch", "POST", JSON, body)
        self.assertEqual(answer.status, 200)
        self.assertEqual(set(answer.json), {"overall_status", "timestamp", "results"})
        self.assertEqual((answer.json["overall_status"], answer.json["timestamp"]), ("degraded", instant(NOW)))
        results = answer.json["results"]
        self.assertEqual(set(results), {"real-time-combat", "crafting-network"})
        self.assertEqual(results["crafting-network"], self.ask("/health").json)
        self.assertEqual((answer.fields["cache-control"], answer.fields["x-processing-time"]), ("no-cache", "0"))

    def test_empty_batch(self) -> None:
        answer = self.ask("/health/batch", "POST", JSON, b'{"services": []}')
        self.assertEqual(answer.json, {"overall_status": "healthy", "timestamp": instant(NOW), "results": {}})

    def test_bad_batch(self) -> None:
        eleven = b'{"services": [' + b", ".join([b'"crafting-network"'] * 11) + b"]}"
        for body in (b"", b"{}", b"\xff", b'{"services": ["weather"]}', eleven):
            self.assert_error(self.ask("/health/batch", "POST", JSON, body), 400)
        self.assert_error(self.ask("/health/batch", "POST", b"Content-Type: text/plain\r\n", b"{}"), 415)

    def test_where_the_feed_is(self) -> None:
        for path in [prefix + "/health/ws" for prefix in PREFIXES]:
            answer = self.ask(path + "?services=crafting-service", token="admin")
            self.assertEqual(answer.status, 200)
            self.assertEqual(
                answer.json,
                {"websocket_url": "ws://craft.example:8080" + path, "supported_protocols": ["craftnet.json.v1"]},
            )

    def test_feed_refused(self) -> None:
        self.assert_error(self.ask("/health/ws?services=weather", token="admin"), 400)
        self.assert_error(self.ask("/health/ws"), 401)
        self.assert_error(self.ask("/health/ws", token="player"), 403)


class ReadinessTests(SiteTestCase):
    def setUp(self) -> None:
        self.asked: list[Deferred[Check]] = []
        super().setUp()

    async def check(self) -> Check:
        """Answers when the test says so."""
        self.asked.append(Deferred())
        return await self.asked[-1]

    def answer(self, status: HealthStatus) -> None:
        """End the round of checks."""
        self.asked[-1].callback(Check(status=status))

    def assert_ready(self, status: int, reason: str | None = None) -> None:
        """On both routes; and liveness is another matter."""
        for prefix in PREFIXES:
            for path in ("/ready", "/health/ready"):
                answer = self.ask(prefix + path)
                self.assertEqual((answer.status, answer.fields["cache-control"]), (status, "no-store"))
                if reason is not None:
                    self.assert_error(answer, status)
                    self.assertEqual(answer.json["details"], {"reason": reason})
                    self.assertEqual(answer.fields["retry-after"], "1")
            alive = self.ask(prefix + "/health/live")
            self.assertEqual((alive.status, alive.json["status"]), (200, "ok"))
            self.assertEqual(alive.fields["cache-control"], "no-store")

    def test_starting(self) -> None:
        self.assert_ready(503, "starting")
        answer = self.ask("/health")
        self.assertEqual((answer.status, answer.fields["cache-control"]), (503, "no-store"))
        msgspec.json.decode(answer.body, type=HealthResponse)
        self.answer(HealthStatus.OK)
        self.assert_ready(200)
        self.assertEqual(self.ask("/health").status, 200)

    def test_dead_back_end(self) -> None:
        self.answer(HealthStatus.CRITICAL)
        self.assert_ready(503, "critical")
        self.clock.advance(10)
        self.answer(HealthStatus.DEGRADED)
        self.assert_ready(200)

    def test_draining(self) -> None:
        self.answer(HealthStatus.OK)
        self.monitor.draining = True
        self.assert_ready(503, "draining")


class DictionaryTests(SiteTestCase):
    def test_a_dictionary(self) -> None:
        """Anybody may have it, and keep it for ever."""
        answer = self.ask("/ws/dictionaries/1")
        self.assertEqual((answer.status, answer.body), (200, dictionary(1).octets))
        self.assertEqual(answer.fields["content-type"], "application/octet-stream")
        self.assertIn("immutable", answer.fields["cache-control"])
        etag = answer.fields["etag"]
        self.assertEqual(etag, f'"{dictionary(1).digest}"')
        again = self.ask("/ws/dictionaries/1", fields=f"If-None-Match: {etag}\r\n".encode())
        self.assertEqual((again.status, again.body, again.fields["etag"]), (304, b"", etag))

    def test_unknown_ones(self) -> None:
        for name in ("0", "2", "x", "-1", "%C2%B2", "9999", "1.lz4dict", "..%2f1"):
            answer = self.ask(f"/ws/dictionaries/{name}")
            self.assertEqual((answer.status, answer.json["code"]), (404, 404), name)
        self.assertEqual(self.ask("/ws/dictionaries/7").json["details"], {"dictionaries": [1]})


class WebSocketHintTests(SiteTestCase):
    def test_upgrade_required(self) -> None:
        """Said to whom the WebSocket would be opened."""
        for path in (f"/ws/crafting/{SESSION}?player_id={PLAYER}", f"{BASE_PATHS[1]}/ws/queue/{PLAYER}"):
            answer = self.ask(path, token="player")
            self.assert_error(answer, 426)
            self.assertEqual(answer.fields["upgrade"], "websocket")
            self.assert_error(self.ask(path), 401)
            self.assert_error(self.ask(path, token="other"), 403)
        self.assert_error(self.ask(f"/ws/crafting/{OTHER_SESSION}?player_id={PLAYER}", token="player"), 404)

    def test_bad_ids(self) -> None:
        for path in (
            "/ws/queue/x",
            f"/ws/crafting/{SESSION}",
            f"/ws/crafting/{SESSION}?player_id=x",
            f"/ws/queue/{{{PLAYER}}}",
        ):
            self.assert_error(self.ask(path, token="player"), 400)


class OrderTests(SiteTestCase):
    """404 of the route, 405, 401, 415 or 400, 404 of the session, 403: the first that holds."""

    def posts(self) -> list[tuple[int, str, bytes, bytes]]:
        """What is refused to `other`, with which status: path, content type and body. Later faults are there, too."""
        text = b"Content-Type: text/plain\r\n"
        requests = []
        for name, media, subject, stranger in self.bodies():
            route = f"/udp/sessions/{{}}/{name}"
            requests += [
                (415, route.format("x"), text, b"x"),
                (400, route.format("x"), media, stranger),
                (400, route.format(OTHER_SESSION), media, b"x"),
                (404, route.format(OTHER_SESSION), media, stranger),
                (403, route.format(SESSION), media, subject),
            ]
        for path, bad, good in (
            ("/events", b"[]", posted_start(OTHER_SESSION)),
            ("/revocations", b"{}", b'{"jti": "x"}'),
        ):
            requests += [(415, path, text, bad), (400, path, JSON, bad), (403, path, JSON, good)]
        return requests

    def bodies(self) -> Iterator[tuple[str, bytes, bytes, bytes]]:
        """What is posted about a session: the name of the route, the content type, and a body about each session."""
        connect = msgspec.json.encode(UdpConnectRequest(player_id=PLAYER, client_version="1.0.0"))
        yield "connect", JSON, connect, connect
        subject, stranger = (encode_progress(ProgressRecord(1, 0, each, 0.0)) for each in (SESSION, OTHER_SESSION))
        yield "progress", OCTETS, subject, stranger
        changes = (MaterialChange(material_id=IRON, change_type=ChangeType.REMOVED),)
        records = (MaterialsRecord(1, 0, each, changes) for each in (SESSION, OTHER_SESSION))
        subject, stranger = map(encode_materials, records)
        yield "materials", OCTETS, subject, stranger

    gets: ClassVar[list[tuple[int, str]]] = [
        (400, "/ws/crafting/x"),
        (400, f"/ws/crafting/{OTHER_SESSION}"),
        (404, f"/ws/crafting/{OTHER_SESSION}?player_id={PLAYER}"),
        (403, f"/ws/crafting/{SESSION}?player_id={PLAYER}"),
        (400, "/ws/queue/x"),
        (403, f"/ws/queue/{PLAYER}"),
        (400, "/health/ws?services=weather"),
        (403, "/health/ws"),
        (400, "/players/x/sessions"),
        (403, f"/players/{PLAYER}/sessions"),
    ]

    def setUp(self) -> None:
        self.showcase = FakeShowcase()
        super().setUp()

    def test_get(self) -> None:
        for status, target in self.gets:
            self.assert_order(status, target, "GET", b"", b"")

    def test_post(self) -> None:
        for status, target, fields, body in self.posts():
            self.assert_order(status, target, "POST", fields, body)

    def assert_order(self, status: int, target: str, method: str, fields: bytes, body: bytes) -> None:
        """That, from somebody with a token; nothing else is looked at without one."""
        self.assert_error(self.ask("/x" + target, "BREW", fields, body), 404)
        self.assert_error(self.ask(target, "BREW", fields, body), 405)
        for token in ("", "unknown"):
            self.assert_error(self.ask(target, method, fields, body, token), 401)
        self.assertEqual(self.ask(target, method, fields, body, "other").status, status, (target, body))


def posted_start(session_id: UUID) -> bytes:
    """The start of a session, as an event that nothing is wrong with."""
    return msgspec.json.encode(
        {
            "event_id": str(session_id),
            "event_type": "crafting.session.start",
            "timestamp": instant(NOW),
            "version": VERSION,
            "source": "test",
            "data": start(session_id),
        }
    )


class EventsTests(SiteTestCase):
    def post(self, body: bytes, kind: bytes = JSON, token: str = "publisher") -> Answer:
        return self.ask("/events", "POST", kind, body, token)

    def test_one(self) -> None:
        answer = self.post(posted_start(OTHER_SESSION))
        self.assertEqual((answer.status, answer.json), (202, {"accepted": 1, "duplicates": 0, "rejected": []}))
        self.assertIsNotNone(self.successResultOf(self.sources.sessions.get(OTHER_SESSION)))

    def test_as_the_game_sends_it(self) -> None:
        answer = self.post(GAME_START)
        self.assertEqual((answer.status, answer.json), (202, {"accepted": 1, "duplicates": 0, "rejected": []}))
        self.assertIsNotNone(self.successResultOf(self.sources.sessions.get(GAME_SESSION)))

    def test_lines(self) -> None:
        one = posted_start(OTHER_SESSION)
        answer = self.post(one + b"\n" + one + b"\nx\n", b"Content-Type: application/x-ndjson\r\n")
        self.assertEqual((answer.json["accepted"], answer.json["duplicates"]), (1, 1))
        self.assertEqual(answer.json["rejected"][0]["index"], 2)

    def test_refused(self) -> None:
        self.assert_error(self.post(b"[", JSON), 400)
        self.assert_error(self.post(b"{}", JSON, ""), 401)
        self.assert_error(self.post(b"{}", JSON, "player"), 403)
        self.assert_error(self.post(b"{}", b""), 415)
        self.assertEqual(self.house.refusals("unsupported_media_type"), 1)

    def test_too_long(self) -> None:
        self.assert_error(self.post(b"x" * (1024 * 1024 + 1)), 413)

    def test_no_json_at_all(self) -> None:
        for body in (
            b"",
            b"<html>502 Bad Gateway</html>",
            b"\xef\xbb\xbf" + GAME_START,
            GAME_START.decode().encode("utf-16"),
        ):
            answer = self.post(body)
            self.assert_error(answer, 400)
            self.assertIn("not JSON", answer.json["message"])

    def test_gzipped(self) -> None:
        body = gzip.compress(posted_start(OTHER_SESSION))
        for coding in (b"gzip", b"X-GZip", b"identity, gzip"):
            answer = self.post(body, JSON + b"Content-Encoding: " + coding + b"\r\n")
            self.assertEqual(answer.status, 202)
        self.assertEqual(answer.json["duplicates"], 1)
        lines = gzip.compress(posted_start(SESSION) + b"\nx\n")
        answer = self.post(lines, b"Content-Type: application/x-ndjson\r\nContent-Encoding: gzip\r\n")
        self.assertEqual([one["index"] for one in answer.json["rejected"]], [0, 1])

    def test_gzip_bomb(self) -> None:
        """It is not read beyond the length that a plain body may have, and for nobody without a token."""
        bomb = gzip.compress(b" " * (64 * 1024 * 1024), 1)
        self.assertLess(len(bomb), 1024 * 1024)
        coded = JSON + b"Content-Encoding: gzip\r\n"
        self.assert_error(self.post(bomb, coded), 413)
        self.assert_error(self.post(bomb[:4096], coded, ""), 401)
        self.assert_error(self.post(bomb[:100], coded), 400)
        self.assert_error(self.post(b"{}", coded), 400)

    def test_other_codings(self) -> None:
        for coding in (b"br", b"deflate", b"zstd", b"gzip, gzip", b"gzip\r\nContent-Encoding: gzip"):
            answer = self.post(GAME_START, JSON + b"Content-Encoding: " + coding + b"\r\n")
            self.assert_error(answer, 415)
            self.assertEqual(answer.fields["accept-encoding"], "gzip, x-gzip")
        answer = self.ask("/health/batch", "POST", JSON + b"Content-Encoding: gzip\r\n", gzip.compress(b"{}"), "")
        self.assert_error(answer, 415)
        self.assertEqual(answer.fields["accept-encoding"], "identity")
        body = b'{"services": []}'
        answer = self.ask("/health/batch", "POST", JSON + b"Content-Encoding: identity\r\n", body, "")
        self.assertEqual(answer.status, 200)


class UdpConnectTests(SiteTestCase):
    def connect(self, session_id: object = SESSION, token: str = "player", **fields: object) -> Answer:
        body = msgspec.json.encode({"player_id": PLAYER, "client_version": "1.0.0", **fields})
        return self.ask(f"/udp/sessions/{session_id}/connect", "POST", JSON, body, token)

    def test_connect(self) -> None:
        answer = self.connect(max_packet_size=512.0)
        self.assertEqual((answer.status, answer.json["session_token"]), (200, "secret"))
        self.assertEqual(answer.fields["cache-control"], "no-store")
        wanted = UdpConnectRequest(player_id=PLAYER, client_version="1.0.0", max_packet_size=512)
        self.assertEqual(self.gateway.expected, [(SESSION, PLAYER, wanted, NOW + 3600, NOW, HERE)])

    def test_the_connection_that_a_client_has(self) -> None:
        self.assertEqual(self.connect(session_token="secret").status, 200)
        ((_, _, request, *_),) = self.gateway.expected
        self.assertEqual(request.session_token, "secret")
        self.assert_error(self.connect(session_token="x" * 65), 400)
        self.assert_error(self.connect(session_token="secret", token="other"), 403)

    def test_refused(self) -> None:
        self.assert_error(self.connect("x"), 400)
        for version in ("1.0", "1.2.3\n", "\u0661.2.3", f"1.2.{'3' * 61}"):
            self.assert_error(self.connect(client_version=version), 400)
        self.assert_error(self.connect(max_packet_size=63), 400)
        self.assert_error(self.connect(token=""), 401)
        self.assert_error(self.connect(token="other"), 403)
        self.assert_error(self.connect(player_id=OTHER_PLAYER), 403)
        self.assert_error(self.connect(OTHER_SESSION), 404)
        self.assertEqual(self.gateway.expected, [])


class ProxyTests(SiteTestCase):
    """Behind a proxy that ends TLS and rewrites Host."""

    proxies = "192.168.1.1"  # the other end of a StringTransport.
    fields = b"X-Forwarded-Proto: https\r\nX-Forwarded-Host: play.example\r\n"

    def test_addresses_in_answers(self) -> None:
        answer = self.ask("/crafting/health/ws", fields=self.fields, token="admin")
        self.assertEqual(answer.json["websocket_url"], "wss://play.example/crafting/health/ws")
        body = msgspec.json.encode({"player_id": PLAYER, "client_version": "1.0.0"})
        self.ask(f"/udp/sessions/{SESSION}/connect", "POST", JSON + self.fields, body, "player")
        self.assertEqual(self.gateway.expected[0][-1], ServerUrl("https", "play.example", stated=True))


class StrangerTests(SiteTestCase):
    """The same from somebody who is no proxy."""

    def test_not_believed(self) -> None:
        answer = self.ask("/health/ws", fields=ProxyTests.fields, token="admin")
        self.assertEqual(answer.json["websocket_url"], "ws://craft.example:8080/health/ws")


class UdpOffTests(SiteTestCase):
    udp = False

    def test_connect(self) -> None:
        body = msgspec.json.encode({"player_id": PLAYER, "client_version": "1.0.0"})
        answer = self.ask(f"/udp/sessions/{SESSION}/connect", "POST", JSON, body, "player")
        self.assert_error(answer, 503)
        self.assertIn("switched off", answer.json["message"])


class RecordsTests(SiteTestCase):
    def post(self, kind: str, body: bytes, token: str, session_id: object = SESSION, media: bytes = OCTETS) -> Answer:
        return self.ask(f"/udp/sessions/{session_id}/{kind}", "POST", media, body, token)

    def progress(self, percent: float, flags: ProgressFlags = ACTIVE, session_id: UUID = SESSION) -> bytes:
        moment = int(self.clock.seconds() * 1000)
        return encode_progress(ProgressRecord(1, moment, session_id, percent, flags=flags))

    def materials(self, material_id: UUID, quantity: int) -> bytes:
        change = MaterialChange(material_id=material_id, change_type=ChangeType.QUANTITY_CHANGED, new_quantity=quantity)
        return encode_materials(MaterialsRecord(1, int(self.clock.seconds() * 1000), SESSION, (change,)))

    def claims(self, verdict: str) -> float | None:
        return self.metrics.registry.get_sample_value("craftnet_claims_total", {"verdict": verdict})

    def percent(self) -> float:
        """What the source has."""
        state = self.successResultOf(self.sources.sessions.get(SESSION))
        assert state is not None
        return state.progress.percent

    def test_players_progress_is_a_claim(self) -> None:
        self.clock.advance(30)
        right, wrong = (
            self.post("progress", self.progress(50.0), "player"),
            self.post("progress", self.progress(99.0), "player"),
        )
        self.assertEqual((right.status, right.json["agreed"]), (200, True))
        self.assertEqual((wrong.status, wrong.json["agreed"], wrong.json["deviation_percent"]), (200, False, 49.0))
        self.assertEqual(wrong.json["correction"]["progress_percentage"], 50)
        self.assertEqual((self.claims("agreed"), self.claims("deviating")), (1, 1))
        self.assertEqual(self.percent(), 0.0)

    def test_admins_progress_is_a_claim(self) -> None:
        self.assertIn("agreed", self.post("progress", self.progress(99.0), "admin").json)
        self.assertEqual(self.percent(), 0.0)

    def test_authoritys_progress_is_truth(self) -> None:
        self.clock.advance(1)
        answer = self.post("progress", self.progress(42.0), "publisher")
        self.assertEqual((answer.status, answer.json["accepted"]), (200, 1))
        self.assertEqual(self.percent(), 42.0)
        self.assertIsNone(self.claims("deviating"))

    def test_rejected_truth(self) -> None:
        self.clock.advance(1)
        self.post("progress", self.progress(100.0, ProgressFlags.COMPLETED), "publisher")
        self.clock.advance(1)
        answer = self.post("progress", self.progress(50.0), "publisher")
        self.assert_error(answer, 400)
        self.assertIn("the session is over", answer.json["message"])

    def test_players_materials_are_a_claim(self) -> None:
        right, wrong = (self.post("materials", self.materials(IRON, quantity), "player") for quantity in (10, 11))
        self.assertEqual((right.json["agreed"], right.json["deviating"]), (True, []))
        self.assertEqual((wrong.json["agreed"], wrong.json["deviating"]), (False, [str(IRON)]))
        self.assertEqual(wrong.json["correction"], [{"material_id": str(IRON), "quantity": 10, "quality": 50}])

    def test_authoritys_materials_are_truth(self) -> None:
        self.assertEqual(self.post("materials", self.materials(COPPER, 3), "publisher").status, 200)
        held = self.successResultOf(self.sources.materials.get(SESSION)).materials
        self.assertEqual({material.material_id: material.quantity for material in held}, {IRON: 10, COPPER: 3})

    def test_refused(self) -> None:
        for kind, good in (("progress", self.progress(1.0)), ("materials", self.materials(IRON, 1))):
            for bad in (b"", good[:-1], good + b"x", b"\xff" * len(good)):
                self.assert_error(self.post(kind, bad, "player"), 400)
            self.assert_error(self.post(kind, good, "player", "x"), 400)
            self.assert_error(self.post(kind, good, "player", OTHER_SESSION), 400)
            self.assert_error(self.post(kind, good, ""), 401)
            self.assert_error(self.post(kind, good, "other"), 403)
            self.assert_error(self.post(kind, good, "player", media=JSON), 415)
        stranger = self.progress(1.0, session_id=OTHER_SESSION)
        self.assert_error(self.post("progress", stranger, "player", OTHER_SESSION), 404)

    def test_content_type_may_be_missing(self) -> None:
        self.assertEqual(self.post("progress", self.progress(0.0), "player", media=b"").status, 200)


class ToleranceTests(SiteTestCase):
    """Claims are judged by how exact watchers are kept."""

    tolerance = Tolerance(percent=2.0, seconds=3.0)

    def test_what_watchers_may_be_off_a_claim_may(self) -> None:
        self.clock.advance(30)
        claims = {(51.9, 30.0): True, (52.1, 30.0): False, (50.0, 32.9): True, (50.0, 33.1): False}
        for (percent, remaining), agreed in claims.items():
            record = ProgressRecord(1, int(self.clock.seconds() * 1000), SESSION, percent, remaining)
            answer = self.ask(
                f"/udp/sessions/{SESSION}/progress", "POST", OCTETS, encode_progress(record), token="player"
            )
            self.assertEqual(answer.json["agreed"], agreed)


class MetricsTests(SiteTestCase):
    def test_text(self) -> None:
        self.ask("/nowhere")
        answer = self.ask("/metrics")
        self.assertTrue(answer.fields["content-type"].startswith("text/plain; version=0.0.4"))
        self.assertIn(b'craftnet_refusals_total{reason="not_found"} 1.0', answer.body)


class OutageTests(SiteTestCase):
    def test_authority_out_of_reach(self) -> None:
        self.authority.trouble = Unavailable("No keys.")
        answer = self.ask("/health/ws", token="admin")
        self.assert_error(answer, 503)
        self.assertEqual(answer.fields["retry-after"], "1")

    def test_bad_token(self) -> None:
        self.authority.trouble = Unauthorized("Expired.", problem="invalid_token")
        answer = self.ask("/health/ws", token="admin")
        self.assert_error(answer, 401)
        self.assertIn('error="invalid_token"', answer.fields["www-authenticate"])


class SessionsUnderWayTests(SiteTestCase):
    """GET /players/{player_id}/sessions"""

    def setUp(self) -> None:
        self.showcase = FakeShowcase()
        self.showcase.sessions[PLAYER] = (SESSION, OTHER_SESSION)
        super().setUp()

    def test_list(self) -> None:
        for token in ("player", "admin"):
            answer = self.ask(f"/players/{PLAYER}/sessions", fields=bearer(token))
            self.assertEqual((answer.status, answer.json), (200, {"sessions": [str(SESSION), str(OTHER_SESSION)]}))
        self.assertEqual(self.ask(f"/players/{OTHER_PLAYER}/sessions", fields=bearer("other")).json, {"sessions": []})

    def test_refusals(self) -> None:
        for path, fields, status in (
            (f"/players/{PLAYER}/sessions", b"", 401),
            (f"/players/{PLAYER}/sessions", bearer("other"), 403),
            ("/players/7/sessions", bearer("player"), 400),
        ):
            self.assertEqual(self.ask(path, fields=fields).status, status, path)


class NoShowcaseTests(SiteTestCase):
    """A back end that does not know which sessions a player has."""

    def test_not_found(self) -> None:
        answer = self.ask(f"/players/{PLAYER}/sessions", fields=bearer("player"))
        self.assertEqual(answer.status, 404)
        self.assertIn("name a session", answer.json["message"])
