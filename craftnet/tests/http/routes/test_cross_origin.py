"""Requests from pages of other sites."""

from __future__ import annotations

from craftnet.tests.support.http_wire import Answer
from craftnet.tests.support.samples import PLAYER, SESSION
from craftnet.tests.support.site_case import SiteTestCase


class CrossOriginTests(SiteTestCase):
    """Pages of other sites."""

    origins = ("https://game.example",)
    page = b"Origin: https://game.example\r\n"

    def preflight(self, path: str, method: str = "GET", page: bytes | None = None) -> Answer:
        """What a browser asks before a request."""
        fields = (page or self.page) + f"Access-Control-Request-Method: {method}\r\n".encode()
        return self.ask(path, "OPTIONS", fields=fields)

    def test_preflights(self) -> None:
        """Answered for the methods and header fields that there are."""
        posted = "Authorization, Content-Type"
        for path, methods, reads in (
            (f"/udp/sessions/{SESSION}/connect", "POST", posted),
            (f"/udp/sessions/{SESSION}/progress", "POST", posted),
            (f"/udp/sessions/{SESSION}/materials", "POST", posted),
            ("/health", "GET, HEAD", "If-None-Match"),
            (f"/ws/crafting/{SESSION}", "GET, HEAD", "Authorization"),
            (f"/ws/queue/{PLAYER}", "GET, HEAD", "Authorization"),
            (f"/sse/crafting/{SESSION}", "GET, HEAD", "Authorization, Last-Event-ID"),
            ("/sse/health", "GET, HEAD", "Authorization, Last-Event-ID"),
            ("/ws/dictionaries/1", "GET, HEAD", "If-None-Match"),
        ):
            answer = self.preflight(path)
            self.assertEqual((answer.status, answer.body), (204, b""), path)
            self.assertEqual(answer.fields["access-control-allow-origin"], "https://game.example")
            self.assertEqual(answer.fields["access-control-allow-methods"], methods)
            self.assertEqual(answer.fields["access-control-allow-headers"], reads)
            self.assertEqual(answer.fields["vary"], "Origin")
            self.assertNotIn("access-control-allow-credentials", answer.fields)

    def test_never(self) -> None:
        """What players have no business with stays closed to pages."""
        for path in ("/events", "/revocations", "/metrics", "/health/batch", "/health/ws", "/ready", "/"):
            for answer in (self.preflight(path, "POST"), self.ask(path, fields=self.page)):
                self.assertFalse([name for name in answer.fields if name.startswith("access-control")], path)

    def test_other_sites(self) -> None:
        """Learn nothing, and caches keep their answers apart."""
        for page in (b"Origin: https://evil.example\r\n", b"Origin: null\r\n", b"X: y\r\n"):
            for answer in (self.preflight("/health", page=page), self.ask("/health", fields=page)):
                self.assertFalse([name for name in answer.fields if name.startswith("access-control")], page)
                self.assertIn("Origin", answer.fields["vary"])

    def test_answers(self) -> None:
        """Good and bad ones can be read, and what says when to try again."""
        answer = self.ask("/health", fields=self.page)
        self.assertEqual(answer.fields["access-control-allow-origin"], "https://game.example")
        self.assertEqual(answer.fields["vary"], "Accept-Encoding, Origin")
        for target, token, status in (
            (f"/ws/queue/{PLAYER}", "player", 200),
            (f"/ws/queue/{PLAYER}", "", 401),
            (f"/sse/queue/{PLAYER}", "other", 403),
        ):
            answer = self.ask(target, fields=self.page, token=token)
            self.assertEqual(answer.status, status)
            self.assertEqual(answer.fields["access-control-allow-origin"], "https://game.example")
            exposed = answer.fields["access-control-expose-headers"].split(", ")
            self.assertLessEqual({"ETag", "Retry-After", "WWW-Authenticate", "X-RateLimit-Reset"}, set(exposed))

    def test_options_without_a_page(self) -> None:
        answer = self.ask("/health", "OPTIONS")
        self.assertEqual((answer.status, answer.fields["allow"]), (204, "GET, HEAD, OPTIONS"))
