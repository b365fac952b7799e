"""Tests for `craftnet.client.core.durations`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.durations import seconds


class SecondsTests(SynchronousTestCase):
    """`seconds`"""

    def test_units(self) -> None:
        given = ["90", "90s", "15m", "8h", "2d", "1.5m", "0", " 5s "]
        self.assertEqual([seconds(text) for text in given], [90, 90, 900, 28_800, 172_800, 90, 0, 5])

    def test_anything_else(self) -> None:
        for text in ("", "s", "-1", "1w", "1h30m", "1e3", "inf", "nan", "٣s", "1" * 400):
            self.assertRaises(ValueError, seconds, text)
