"""Routing, the order of refusals, events and what else is served over HTTP."""

from __future__ import annotations

import gzip
from collections import Counter
from collections.abc import Iterator
from typing import ClassVar
from uuid import UUID

import msgspec

from craftnet.access.development import sign_token
from craftnet.access.jwt import JwtVerifier
from craftnet.access.principal import PUBLISH
from craftnet.access.revocation.enforcement import RevocationCheckingVerifier
from craftnet.access.revocation.revocations import Revocations
from craftnet.access.verification_keys import SingleKey, VerificationKey
from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.contract.messages import ChangeType, MaterialChange
from craftnet.errors import Unauthorized, Unavailable
from craftnet.interfaces import ITokenVerifier
from craftnet.protocols.websocket.core.dictionaries import dictionary
from craftnet.protocols.wire.codec import encode_materials, encode_progress
from craftnet.protocols.wire.records import MaterialsRecord, ProgressRecord
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.fakes import FakeShowcase
from craftnet.tests.support.http_wire import Answer, Wire, request
from craftnet.tests.support.samples import (
    GAME_SESSION,
    GAME_START,
    IRON,
    NOW,
    OTHER_PLAYER,
    OTHER_SESSION,
    PLAYER,
    SESSION,
)
from craftnet.tests.support.site_case import HOST, JSON, OCTETS, PREFIXES, SiteTestCase, bearer, posted, posted_start


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
            "/healt",
            "/health/",
            "/health/x/y/z",
            "//health",
            "/api/v1/health",
            "/ws/crafting",
            "/udp/sessions/x",
            "/%ff",
        ):
            answer = self.ask(path)
            self.assertIn(answer.status, (400, 404))
            self.assert_error(answer, 400 if path == "/%ff" else 404)
        self.assertEqual(self.house.refusals("not_found"), 7)

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


class DictionaryTests(SiteTestCase):
    def test_a_dictionary(self) -> None:
        """Dictionaries are public and immutable."""
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
        """Requests that are refused to `other`, with their status: path, content type and body, with later faults."""
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
        """Posts about a session: the name of the route, the content type, and a body about each session."""
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
        """The same with a token; nothing else is checked without one."""
        self.assert_error(self.ask("/x" + target, "BREW", fields, body), 404)
        self.assert_error(self.ask(target, "BREW", fields, body), 405)
        for token in ("", "unknown"):
            self.assert_error(self.ask(target, method, fields, body, token), 401)
        self.assertEqual(self.ask(target, method, fields, body, "other").status, status, (target, body))


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
        """It is not read beyond the limit of a plain body, and not at all without a token."""
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


class EventCostTests(SiteTestCase):
    """One event in a POST, with a token that is signed."""

    MOST_CALLS = 140
    """Calls of Python functions from the octets of a request to those of its answer."""

    MOST_CALLS_FOR_A_HEAD = 20
    """Further calls for a head that the server has not seen lately."""

    secret = bytes(32)

    def setUp(self) -> None:
        super().setUp()
        self.token = sign_token(self.secret, None, [PUBLISH], 3600, NOW)
        self.wire: Wire = self.house.wire()
        for number in (11, 12):  # fills the caches.
            self.calls(self.post(number))

    def verifier(self) -> ITokenVerifier:
        key = SingleKey(VerificationKey("HS256", self.secret))
        return RevocationCheckingVerifier(JwtVerifier(key, self.clock), Revocations())

    def post(self, number: int, more: bytes = b"") -> bytes:
        data = {"session_id": SESSION, "progress_percentage": number, "status": "active", "remaining_time_seconds": 9}
        body = posted("crafting.session.progress", data, UUID(int=number))
        return request("/events", "POST", HOST + JSON + bearer(self.token) + more, body)

    def calls(self, octets: bytes) -> Counter[str]:
        with counted() as called:
            self.wire.receive(octets)
        (answer,) = self.wire.take()
        self.assertEqual((answer.status, answer.json["accepted"]), (202, 1))
        return called

    def test_calls(self) -> None:
        called = self.calls(self.post(13))
        self.assertLessEqual(called.total(), self.MOST_CALLS, called.most_common())
        other = self.calls(self.post(14, b"X-Request-Id: other\r\n"))
        self.assertLessEqual(other.total(), self.MOST_CALLS + self.MOST_CALLS_FOR_A_HEAD, other.most_common())


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
