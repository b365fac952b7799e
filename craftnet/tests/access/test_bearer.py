"""Where tokens are looked for."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.bearer import token_from_handshake, token_from_header
from craftnet.errors import Unauthorized

CHALLENGE = 'Bearer realm="craftnet", error="invalid_request"'


class HeaderTests(SynchronousTestCase):
    """Authorization."""

    def test_token(self) -> None:
        for text in ("Bearer a.b-c_d", "bearer a.b-c_d", "BEARER   a.b-c_d", " Bearer a.b-c_d\t"):
            self.assertEqual(token_from_header(text), "a.b-c_d")

    def test_none(self) -> None:
        for text in (None, "", "Basic dXNlcjpwYXNz", "Bearerish abc", "a.b.c"):
            self.assertIsNone(token_from_header(text))

    def test_malformed(self) -> None:
        for text in ("Bearer", "Bearer ", "Bearer a b", "Bearer a, Bearer b", "Bearer a,b", "Bearer ä", "Bearer a=b"):
            error = self.assertRaises(Unauthorized, token_from_header, text)
            self.assertEqual(error.headers["WWW-Authenticate"], CHALLENGE)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.text(max_size=60) | st.text(max_size=60).map("Bearer {}".format))
    def test_any_text(self, text: str) -> None:
        try:
            token = token_from_header(text)
        except Unauthorized as error:
            self.assertNotIn(text, (error.message,))
        else:
            self.assertTrue(token is None or token in text)


class HandshakeTests(SynchronousTestCase):
    """Authorization and Sec-WebSocket-Protocol together."""

    def refused(self, authorization: str | None, offered: Sequence[str]) -> None:
        error = self.assertRaises(Unauthorized, token_from_handshake, authorization, offered)
        self.assertEqual(error.headers["WWW-Authenticate"], CHALLENGE)
        self.assertNotIn("secret", str(error))

    def test_subprotocol(self) -> None:
        """The token is found, and removed from the subprotocols."""
        self.assertEqual(
            token_from_handshake(None, ["craftnet.json.v1", "bearer.a.b.c", "other"]),
            ("a.b.c", ("craftnet.json.v1", "other")),
        )

    def test_header(self) -> None:
        self.assertEqual(token_from_handshake("Bearer a.b.c", ["x"]), ("a.b.c", ("x",)))

    def test_none(self) -> None:
        self.assertEqual(token_from_handshake(None, []), (None, ()))
        self.assertEqual(token_from_handshake(None, ["bearer", "Bearer.x"]), (None, ("bearer", "Bearer.x")))

    def test_same_in_both(self) -> None:
        self.assertEqual(token_from_handshake("Bearer a.b.c", ["bearer.a.b.c"]), ("a.b.c", ()))

    def test_different(self) -> None:
        self.refused("Bearer secret1", ["bearer.secret2"])

    def test_two(self) -> None:
        self.refused(None, ["bearer.secret1", "bearer.secret2"])
        self.refused(None, ["bearer.secret1", "bearer.secret1"])

    def test_empty(self) -> None:
        self.refused(None, ["bearer."])
