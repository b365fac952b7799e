"""Tests for `craftnet.runtime.backoff`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.runtime.backoff import Backoff


def highest(low: float, high: float) -> float:
    """Draws without luck."""
    return high


class BackoffTests(SynchronousTestCase):
    """`Backoff`"""

    def test_doubles_up_to_the_cap(self) -> None:
        backoff = Backoff(first=1.0, cap=5.0, uniform=highest)
        self.assertEqual([backoff.delay(0.0) for _ in range(5)], [1.0, 2.0, 4.0, 5.0, 5.0])

    def test_starts_over_after_a_stable_time(self) -> None:
        backoff = Backoff(first=1.0, stable=10.0, uniform=highest)
        backoff.delay(0.0)
        backoff.delay(0.0)
        backoff.opened(100.0)
        self.assertEqual(backoff.delay(110.0), 1.0)

    def test_goes_on_when_the_connection_held_too_short(self) -> None:
        backoff = Backoff(first=1.0, stable=10.0, uniform=highest)
        backoff.delay(0.0)
        backoff.opened(100.0)
        self.assertEqual(backoff.delay(109.9), 2.0)
        # … and a failed attempt later does not count as the end of a long connection.
        self.assertEqual(backoff.delay(200.0), 4.0)

    def test_the_jitter_is_full(self) -> None:
        drawn: list[tuple[float, float]] = []

        def lowest(low: float, high: float) -> float:
            drawn.append((low, high))
            return low

        self.assertEqual(Backoff(first=1.0, uniform=lowest).delay(0.0), 0.0)
        self.assertEqual(drawn, [(0.0, 1.0)])

    def test_never_sooner_than_the_server_asks(self) -> None:
        self.assertEqual(Backoff(first=1.0, uniform=highest).delay(0.0, 7.0), 8.0)

    @settings(deadline=None, max_examples=50, derandomize=True)
    @given(st.lists(st.one_of(st.none(), st.floats(0, 100)), max_size=20))
    def test_stays_in_bounds(self, asked: list[float | None]) -> None:
        backoff = Backoff(first=0.5, cap=30.0)
        for retry_after in asked:
            least = retry_after or 0.0
            delay = backoff.delay(0.0, retry_after)
            self.assertTrue(least <= delay <= least + 30.0)
