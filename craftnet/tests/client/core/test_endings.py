"""Tests for `craftnet.client.core.endings`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.endings import (
    MAX_ANSWER,
    EndingKind,
    handshake_refused,
    request_refused,
    udp_closed,
    websocket_closed,
)
from craftnet.contract.close_codes import CloseCode, close_for_refusal
from craftnet.errors import BadRequest, Forbidden, NotFound, TooManyRequests, Unauthorized, Unavailable
from craftnet.protocols.wire.records import CloseReason

BODY = b'{"code":401,"message":"The token is no longer valid"}'
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


class ClosedTests(SynchronousTestCase):
    """`websocket_closed`"""

    def test_each_code(self) -> None:
        kinds = {int(code): websocket_closed(code, None).kind for code in CloseCode}
        self.assertEqual(
            kinds,
            {
                1000: EndingKind.OVER,
                1001: EndingKind.LOST,
                1008: EndingKind.REFUSED,
                1009: EndingKind.REFUSED,
                1011: EndingKind.LOST,
                4001: EndingKind.REFUSED,
                4003: EndingKind.REFUSED,
                4009: EndingKind.REFUSED,
                4008: EndingKind.LOST,
                4029: EndingKind.REFUSED,
                4400: EndingKind.REFUSED,
                4401: EndingKind.REFUSED,
                4403: EndingKind.REFUSED,
                4404: EndingKind.REFUSED,
                4429: EndingKind.LOST,
                4453: EndingKind.LOST,
            },
        )

    def test_without_a_close_frame_or_with_an_unknown_code(self) -> None:
        self.assertEqual(
            [websocket_closed(None, None).kind, websocket_closed(4999, "?").kind], [EndingKind.LOST, EndingKind.LOST]
        )

    def test_when_to_come_back(self) -> None:
        self.assertEqual(websocket_closed(1001, "retry in 7.3 s").retry_after, 7.3)
        self.assertIsNone(websocket_closed(1001, "restart").retry_after)

    def test_a_refusal_means_the_same_by_either_way(self) -> None:
        """By a close code, or by an HTTP status."""
        for error in (
            BadRequest("?"),
            Unauthorized("?"),
            Forbidden("?"),
            NotFound("?"),
            TooManyRequests("?", retry_after=7, limit=1),
            Unavailable("?", retry_after=3),
        ):
            ending = close_for_refusal(error)
            assert ending is not None
            by_code = websocket_closed(*ending)
            by_status = request_refused(error.status, b"", error.headers.get("Retry-After"))
            self.assertEqual(
                (by_code.kind, by_code.retry_after, by_code.stale),
                (by_status.kind, by_status.retry_after, by_status.stale),
            )

    def test_the_token_is_to_blame(self) -> None:
        blamed = [websocket_closed(code, None).stale for code in (4001, 4401, 4003, 4403, 1001)]
        self.assertEqual(blamed, [True, True, False, False, False])
        self.assertEqual([request_refused(status, b"").stale for status in (401, 403)], [True, False])
        self.assertTrue(udp_closed(CloseReason.EXPIRED).stale)

    def test_names_the_code(self) -> None:
        self.assertEqual(websocket_closed(1001, None).reason, "the server closed the connection: going away (1001)")
        self.assertEqual(websocket_closed(1001, "restart").reason, "the server closed the connection: restart (1001)")


class RefusedTests(SynchronousTestCase):
    """`request_refused`"""

    def test_client_errors_are_final_but_for_429(self) -> None:
        kinds = [request_refused(status, b"").kind for status in (301, 308, 400, 401, 403, 404, 426, 429, 500, 503)]
        self.assertEqual(kinds, [EndingKind.REFUSED] * 7 + [EndingKind.LOST] * 3)

    def test_redirect(self) -> None:
        """It names where the front points to, which the user may have meant."""
        self.assertEqual(
            request_refused(301, b"", location="https://game.example/").reason,
            "the server answered 301 and redirects to https://game.example/: if that is the service, give its URL",
        )
        octets = b"HTTP/1.1 301 Moved\r\nLocation: https://game.example/\r\nContent-Length: 0\r\n\r\n"
        ending = handshake_refused(octets, complete=False)
        assert ending is not None
        self.assertIn("to https://game.example/", ending.reason)

    def test_the_server_s_own_words(self) -> None:
        ending = request_refused(403, b'{"code":403,"message":"Not your session.","more":1}')
        self.assertEqual(ending.reason, "the server answered 403: Not your session")

    def test_a_body_of_another_kind(self) -> None:
        for body in (b"", b"<html>", b"\xff", b'{"x":' + b"[" * 50_000):
            self.assertEqual(request_refused(404, body).reason, "the server answered 404: Not Found")

    def test_retry_after(self) -> None:
        waits = [
            request_refused(429, b"", text).retry_after for text in ("7", None, "Mon, 23 Nov 2026 04:00:00 GMT", "-1")
        ]
        self.assertEqual(waits, [7.0, None, None, None])


class RefusedHandshakeTests(SynchronousTestCase):
    """`handshake_refused`"""

    def test_waits_for_the_whole_body(self) -> None:
        self.assertIsNone(handshake_refused(UNAUTHORIZED[:-1], complete=False))
        ending = handshake_refused(UNAUTHORIZED, complete=False)
        assert ending is not None
        self.assertEqual(ending.kind, EndingKind.REFUSED)
        self.assertEqual(ending.reason, "the server answered 401: The token is no longer valid")

    def test_takes_what_there_is_when_no_more_comes(self) -> None:
        ending = handshake_refused(UNAUTHORIZED[:-1], complete=True)
        assert ending is not None
        self.assertEqual(ending.reason, "the server answered 401: Unauthorized")

    def test_a_body_without_end(self) -> None:
        endless = b"HTTP/1.1 400 Bad\r\nContent-Length: 99999999\r\n\r\n" + b"x" * MAX_ANSWER
        self.assertIsNotNone(handshake_refused(endless, complete=False))

    def test_a_chunked_body(self) -> None:
        answer = b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n1b\r\n" + b'{"code":404,"message":"No"}\r\n'
        self.assertIsNone(handshake_refused(answer, complete=False))
        ending = handshake_refused(answer + b"0\r\n\r\n", complete=False)
        assert ending is not None
        self.assertEqual(ending.reason, "the server answered 404: No")

    def test_retry_after(self) -> None:
        ending = handshake_refused(b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n", complete=False)
        assert ending is not None
        self.assertEqual((ending.kind, ending.retry_after), (EndingKind.LOST, 3.0))

    def test_a_wrong_handshake(self) -> None:
        ending = handshake_refused(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: tea\r\n\r\n", complete=False)
        assert ending is not None
        self.assertEqual(ending.kind, EndingKind.LOST)

    def test_something_else_than_http(self) -> None:
        ending = handshake_refused(b"220 mail.example ESMTP\r\n\r\n", complete=False)
        assert ending is not None
        self.assertEqual(ending.reason, "the server does not speak HTTP")

    @settings(deadline=None, max_examples=200, derandomize=True)
    @given(st.one_of(st.binary(), st.binary().map(lambda junk: b"HTTP/1.1 400 Bad\r\n" + junk)))
    def test_takes_anything(self, junk: bytes) -> None:
        self.assertIsNotNone(handshake_refused(junk, complete=True))
