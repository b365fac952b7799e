"""Health, readiness, liveness, and the rates of routes."""

from __future__ import annotations

import gzip

import msgspec
from twisted.internet.defer import Deferred

from craftnet.contract.messages import Check, HealthResponse, HealthStatus, rfc3339
from craftnet.limits.connection_limits import Limits
from craftnet.tests.support.http_wire import Answer
from craftnet.tests.support.samples import NOW, PLAYER, SESSION
from craftnet.tests.support.site_case import JSON, PREFIXES, SiteTestCase


class HealthTests(SiteTestCase):
    def test_ok_or_degraded(self) -> None:
        answer = self.ask("/health")
        self.assertEqual(answer.status, 200)
        report = msgspec.json.decode(answer.body, type=HealthResponse)
        self.assertEqual(
            (report.status, report.version, report.timestamp), (HealthStatus.DEGRADED, "1.2.3", rfc3339(NOW))
        )
        self.assertEqual(answer.fields["cache-control"], "public, max-age=30")
        self.assertEqual(answer.fields["vary"], "Accept-Encoding, Origin")

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
        compressed = self.ask("/health", fields=b"Accept-Encoding: br, gzip\r\n")
        self.assertEqual(compressed.fields["content-encoding"], "gzip")
        self.assertEqual(gzip.decompress(compressed.body), plain.body)
        self.assertNotEqual(compressed.fields["etag"], plain.fields["etag"])

    def test_batch(self) -> None:
        body = b'{"services": ["real-time-combat", "crafting-network"]}'
        answer = self.ask("/health/batch", "POST", JSON, body)
        self.assertEqual(answer.status, 200)
        self.assertEqual(set(answer.json), {"overall_status", "timestamp", "results"})
        self.assertEqual((answer.json["overall_status"], answer.json["timestamp"]), ("degraded", rfc3339(NOW)))
        results = answer.json["results"]
        self.assertEqual(set(results), {"real-time-combat", "crafting-network"})
        self.assertEqual(results["crafting-network"], self.ask("/health").json)
        self.assertEqual((answer.fields["cache-control"], answer.fields["x-processing-time"]), ("no-cache", "0"))

    def test_empty_batch(self) -> None:
        answer = self.ask("/health/batch", "POST", JSON, b'{"services": []}')
        self.assertEqual(answer.json, {"overall_status": "healthy", "timestamp": rfc3339(NOW), "results": {}})

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


class RateTests(SiteTestCase):
    """How often one address, and one player, may ask."""

    limits = Limits(health=1.0, health_batches=0.5, connects=1.0, connects_per_player=0.25)
    proxies = "192.168.1.1"  # the other end of a StringTransport.

    def code(self, method: str, target: str, address: str = "203.0.113.1", body: bytes = b"", token: str = "") -> int:
        """That of one request."""
        return self.answer(method, target, address, body, token).status

    def answer(self, method: str, target: str, address: str, body: bytes, token: str) -> Answer:
        """That to one request, which came through a proxy."""
        fields = JSON + f"X-Forwarded-For: {address}\r\n".encode()
        return self.ask(target, method, fields, body, token)

    def test_health(self) -> None:
        """Both routes count together; the rate counts before the token."""
        for target in ("/health", "/health/ws", "/crafting/health", "/v1/crafting-network/health/ws"):
            self.assertIn(self.code("GET", target), (200, 401))
        answer = self.answer("GET", "/health", "203.0.113.1", b"", "")
        self.assert_error(answer, 429)
        self.assertEqual((answer.fields["retry-after"], answer.fields["x-ratelimit-limit"]), ("1", "4"))
        self.assertEqual(answer.fields["x-ratelimit-remaining"], "0")
        self.assertEqual(answer.fields["x-ratelimit-reset"], rfc3339(NOW + 1))
        self.assertEqual(self.code("GET", "/health/ws"), 429)
        self.assertEqual(self.code("GET", "/health/nothing"), 404)
        self.assertEqual(self.code("DELETE", "/health"), 405)
        self.assertEqual(self.code("GET", "/health", "203.0.113.2"), 200)
        self.clock.advance(1)
        self.assertEqual(self.code("GET", "/health"), 200)

    def test_batch(self) -> None:
        """Before the body is looked at."""
        self.assertEqual([self.code("POST", "/health/batch", body=b"?") for _ in range(3)], [400, 400, 429])

    def test_probes_are_not_limited(self) -> None:
        for target in ("/ready", "/health/ready", "/health/live"):
            self.assertEqual({self.code("GET", target) for _ in range(100)}, {200})

    def test_monitoring_is_not_limited(self) -> None:
        self.assertEqual({self.code("GET", "/health", "127.0.0.1") for _ in range(100)}, {200})

    def test_connect(self) -> None:
        """By address before the token, by player after everything else, from wherever."""
        connect = f"/udp/sessions/{SESSION}/connect"
        body = msgspec.json.encode({"player_id": PLAYER, "client_version": "1.0.0"})
        self.assertEqual([self.code("POST", connect) for _ in range(5)], [401] * 4 + [429])
        self.assertEqual(self.code("POST", connect, "203.0.113.2", body, "other"), 403)
        self.assertEqual(self.code("POST", connect, "203.0.113.2", body, "player"), 200)
        for address in ("203.0.113.3", "127.0.0.1"):
            answer = self.answer("POST", connect, address, body, "player")
            self.assert_error(answer, 429)
            self.assertEqual(answer.fields["retry-after"], "4")
        self.assertEqual(len(self.gateway.expected), 1)
