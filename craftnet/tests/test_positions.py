"""Positions as text."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest
from craftnet.positions import Position, parse_position


class PositionTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        for position in (Position("6c0ffee", 0), Position("a-b_C", 10**18 - 1)):
            self.assertEqual(parse_position(str(position)), position)

    def test_malformed(self) -> None:
        for text in (
            "",
            ":",
            "epoch",
            "epoch:",
            ":1",
            "epoch:-1",
            "epoch:1:2",
            "epoch: 1",
            "e:" + "9" * 19,
            "e:¹",
            "é:1",
        ):
            self.assertIn("resume", self.assertRaises(BadRequest, parse_position, text).message)
