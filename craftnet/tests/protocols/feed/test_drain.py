"""Tests for `craftnet.protocols.feed.core.drain`, and of the close reason it ends in."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.close_codes import retry_after, retry_reason
from craftnet.protocols.feed.core.drain import CLOSES_PER_SECOND, RECONNECT_SPREAD, schedule


class ScheduleTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=50)
    @given(st.integers(0, 200), st.floats(0, 60), st.randoms(use_true_random=False))
    def test_all_in_time(self, watchers: int, duration: float, source: random.Random) -> None:
        closings = schedule(watchers, duration, source.uniform)
        self.assertEqual(len(closings), watchers)
        self.assertEqual([closing.at for closing in closings], sorted(closing.at for closing in closings))
        last = min(duration, watchers / CLOSES_PER_SECOND)
        for at, wait in closings:
            self.assertTrue(0.0 <= at <= last + 1e-9)
            self.assertGreaterEqual(at + wait, last - 1e-9)
            self.assertLessEqual(at + wait, last + max(last, RECONNECT_SPREAD) + 1e-9)

    def test_spread_evenly(self) -> None:
        """No tenth of the time has more than its share, for going and for coming back."""
        closings = schedule(2000, 10.0, random.Random(7).uniform)
        going = [int(closing.at) for closing in closings]
        coming = [int(closing.at + closing.retry_after - 10.0) for closing in closings]
        for second in range(10):
            self.assertTrue(199 <= going.count(second) <= 201)
            self.assertTrue(150 <= coming.count(second) <= 250)

    def test_at_once(self) -> None:
        closings = schedule(1000, 0.0, random.Random(7).uniform)
        self.assertEqual({closing.at for closing in closings}, {0.0})
        self.assertGreater(max(closing.retry_after for closing in closings), RECONNECT_SPREAD / 2)

    def test_few_take_no_time(self) -> None:
        self.assertLessEqual(schedule(1, 60.0, random.Random(7).uniform)[0].at, 1 / CLOSES_PER_SECOND)


class ReasonTests(SynchronousTestCase):
    def test_there_and_back(self) -> None:
        self.assertEqual(retry_reason(7.34), "retry in 7.3 s")
        for seconds in (0.0, 0.1, 7.3, 3600.0):
            self.assertEqual(retry_after(retry_reason(seconds)), seconds)
        self.assertEqual(retry_reason(-1.0), "retry in 0.0 s")

    def test_other_reasons(self) -> None:
        for reason in (None, "", "restart", "retry in x s", "retry in -1 s", "retry in 1e9 s", "retry in 12345678 s"):
            self.assertIsNone(retry_after(reason))
