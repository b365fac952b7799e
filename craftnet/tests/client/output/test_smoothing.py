"""Tests for `craftnet.client.output.smoothing`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.output.smoothing import ROLLBACK, ROLLBACK_SECONDS, SETTLE, SmoothedProgress
from craftnet.contract.messages import Status
from craftnet.crafting.progress import MAX_RUNNING_PERCENT, Progress, percent_at
from craftnet.tests.support.samples import NOW


def at(percent: float, now: float = NOW, *, remaining: float | None = 60.0, status: Status = Status.ACTIVE) -> Progress:
    """Received at `now`."""
    return Progress(status, percent, now, remaining)


class DisplayTests(SynchronousTestCase):
    """`SmoothedProgress`"""

    def test_nothing_is_known(self) -> None:
        display = SmoothedProgress()
        self.assertEqual((display.percent(NOW), display.remaining(NOW)), (0.0, None))

    def test_the_first_figure_is_shown_at_once(self) -> None:
        display = SmoothedProgress()
        display.update(at(42.0), NOW)
        self.assertEqual(display.percent(NOW), 42.0)

    def test_extrapolates(self) -> None:
        display = SmoothedProgress()
        display.update(at(0.0), NOW)
        self.assertAlmostEqual(display.percent(NOW + 30.0), 50.0)
        remaining = display.remaining(NOW + 20.0)
        self.assertEqual(remaining, 40.0)

    def test_stands_still_when_it_is_ahead(self) -> None:
        display = SmoothedProgress()
        display.update(at(50.0, status=Status.PAUSED), NOW)
        display.update(at(48.0, status=Status.PAUSED), NOW)
        self.assertEqual([display.percent(NOW + step) for step in (0.0, 0.1, 1.0, 60.0)], [50.0] * 4)

    def test_is_caught_up_with_when_it_is_ahead(self) -> None:
        display = SmoothedProgress()
        display.update(at(50.0), NOW)
        truth = at(48.0)
        display.update(truth, NOW)
        self.assertAlmostEqual(display.percent(NOW + 20.0), percent_at(truth, NOW + 20.0))

    def test_catches_up_smoothly_when_it_is_behind(self) -> None:
        display = SmoothedProgress()
        display.update(at(20.0, status=Status.PAUSED), NOW)
        display.update(at(40.0, status=Status.PAUSED), NOW)
        self.assertAlmostEqual(display.percent(NOW), 20.0)
        self.assertTrue(20.0 < display.percent(NOW + 0.2) < 40.0)
        self.assertAlmostEqual(display.percent(NOW + 10.0), 40.0)

    def test_glides_back_when_the_authority_rolls_back(self) -> None:
        display = SmoothedProgress()
        display.update(at(50.0), NOW)
        display.update(at(10.0), NOW)
        self.assertEqual(display.percent(NOW), 50.0)
        self.assertAlmostEqual(display.deviation(NOW), 40.0)
        shown = 50.0
        for frame in range(1, 91):
            now = NOW + frame / 60
            before, shown = shown, display.percent(now)
            self.assertLess(before - shown, 40.0 / 60 / SETTLE)
            self.assertGreaterEqual(shown, percent_at(at(10.0), now))
        self.assertLess(display.deviation(NOW + ROLLBACK_SECONDS), 0.4)

    def test_does_not_go_back_further_afterwards(self) -> None:
        display = SmoothedProgress()
        display.update(at(50.0), NOW)
        display.update(at(10.0, status=Status.PAUSED), NOW)
        settled = display.percent(NOW + ROLLBACK_SECONDS)
        self.assertLess(settled, 10.4)
        display.update(at(9.0, status=Status.PAUSED), NOW + ROLLBACK_SECONDS)
        self.assertEqual(display.percent(NOW + 60.0), settled)

    def test_jumps_back_when_the_craft_has_failed(self) -> None:
        """The bar may not be drawn again."""
        display = SmoothedProgress()
        display.update(at(50.0), NOW)
        display.update(at(10.0, status=Status.FAILED), NOW)
        self.assertEqual(display.percent(NOW), 10.0)

    def test_says_how_far_it_is_from_the_model(self) -> None:
        """After a late pause the bar waits; a bar that lags catches up soon."""
        display = SmoothedProgress()
        self.assertEqual(display.deviation(NOW), 0.0)
        display.update(at(0.0), NOW)
        self.assertEqual(display.deviation(NOW + 6.0), 0.0)
        display.update(at(8.0, status=Status.PAUSED), NOW + 6.0)
        for later in (6.0, 60.0):
            self.assertAlmostEqual(display.deviation(NOW + later), 2.0)
        display.update(at(30.0, status=Status.PAUSED), NOW + 60.0)
        self.assertAlmostEqual(display.deviation(NOW + 60.0), 20.0)
        self.assertAlmostEqual(display.deviation(NOW + 70.0), 0.0)

    def test_a_better_clock_is_no_rollback(self) -> None:
        display = SmoothedProgress()
        display.update(at(0.0), NOW)
        self.assertAlmostEqual(display.percent(NOW + 30.0), 50.0)
        display.correct(at(0.0, NOW + 12.0), NOW + 30.0)
        self.assertAlmostEqual(display.percent(NOW + 30.0), 50.0)
        self.assertAlmostEqual(display.deviation(NOW + 30.0), 20.0)
        self.assertAlmostEqual(display.percent(NOW + 60.0), 80.0, places=1)

    def test_a_hundred_is_shown_only_when_reported(self) -> None:
        display = SmoothedProgress()
        display.update(at(99.0), NOW)
        self.assertEqual(display.percent(NOW + 1000.0), MAX_RUNNING_PERCENT)
        display.update(at(100.0, remaining=0.0, status=Status.COMPLETED), NOW + 1000.0)
        self.assertEqual(display.percent(NOW + 1000.0), 100.0)

    @settings(deadline=None, max_examples=200, derandomize=True)
    @given(
        st.lists(
            st.tuples(
                st.floats(0.0, 30.0),
                st.one_of(st.none(), st.tuples(st.floats(0, 100), st.one_of(st.none(), st.floats(0, 100)))),
                st.sampled_from([Status.ACTIVE, Status.PAUSED, Status.INTERRUPTED]),
            ),
            max_size=30,
        )
    )
    def test_never_goes_backwards_but_for_a_rollback(
        self, steps: list[tuple[float, tuple[float, float | None] | None, Status]]
    ) -> None:
        display, now, falls_until = SmoothedProgress(), NOW, NOW
        for elapsed, news, status in steps:
            shown = display.percent(now)
            now += elapsed
            before = display.percent(now)
            if now - elapsed >= falls_until:
                self.assertGreaterEqual(before, shown)
            if news is None:
                continue
            progress = at(news[0], now, remaining=news[1], status=status)
            display.update(progress, now)
            self.assertGreaterEqual(display.percent(now), before - 1e-9)
            if percent_at(progress, now) < before - ROLLBACK:
                falls_until = now + ROLLBACK_SECONDS
            # Whatever was shown, the truth is shown after a while (repeated, since it stands still).
            display.update(replace(progress, remaining=None), now)
            self.assertGreaterEqual(display.percent(now + 60.0), percent_at(progress, now) - 1e-6)
