"""Tests for `craftnet.protocols.websocket.core.token_renewal`."""

from __future__ import annotations

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.websocket.core.token_renewal import (
    TokenAccepted,
    TokenOffer,
    TokenRefused,
    read_answer,
    read_offer,
)


class InbandTests(SynchronousTestCase):
    def test_offer(self) -> None:
        self.assertEqual(read_offer(b'{"type":"token","token":"a.b.c"}'), TokenOffer("a.b.c"))
        self.assertEqual(msgspec.json.encode(TokenOffer("a.b.c")), b'{"type":"token","token":"a.b.c"}')

    def test_no_offer(self) -> None:
        for octets in (
            b"",
            b"hello",
            b"{}",
            b'{"type":"token"}',
            b'{"type":"token","token":""}',
            b'{"type":"token","token":7}',
            b'{"type":"progress_update","token":"a"}',
            b"\xff",
            b'{"type":"token","x":' + b"[" * 50_000,
        ):
            self.assertIsNone(read_offer(octets))

    def test_answers(self) -> None:
        for answer in (
            TokenAccepted("2026-11-22T10:00:00.000Z", 60),
            TokenRefused("2026-11-22T10:00:00.000Z", 401, "No"),
        ):
            self.assertEqual(read_answer(msgspec.json.encode(answer)), answer)
        self.assertIsNone(read_answer(b'{"type":"progress_update"}'))

    def test_token_is_not_shown(self) -> None:
        self.assertNotIn("a.b.c", repr(TokenOffer("a.b.c")))
