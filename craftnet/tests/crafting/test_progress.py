"""The progress model."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.crafting.progress import (
    MAX_RUNNING_PERCENT,
    Progress,
    Tolerance,
    confirms,
    diverges,
    misleads,
    percent_at,
    rebase,
    remaining_at,
    same_discrete,
)
from craftnet.tests.support.samples import NOW

RUNNING = Progress(Status.ACTIVE, 20.0, NOW, 80.0)
STANDING = (Status.PAUSED, Status.INTERRUPTED)

progresses = st.builds(
    Progress,
    status=st.sampled_from(Status),
    percent=st.floats(0, 100),
    anchor=st.floats(NOW - 1000, NOW + 1000),
    remaining=st.none() | st.floats(0, 100_000),
    quality=st.none() | st.integers(1, 100),
    target_quality=st.none() | st.integers(1, 100),
)
moments = st.floats(NOW - 10_000, NOW + 10_000)


class PercentTests(SynchronousTestCase):
    def test_grows_linearly_to_the_end(self) -> None:
        shown = [percent_at(RUNNING, NOW + seconds) for seconds in (0, 20, 40, 79)]
        self.assertEqual(shown, [20.0, 40.0, 60.0, 99.0])

    def test_never_completes_by_itself(self) -> None:
        for seconds in (79.999, 80, 81, 1e9):
            self.assertEqual(percent_at(RUNNING, NOW + seconds), MAX_RUNNING_PERCENT)

    def test_does_not_run_backwards(self) -> None:
        self.assertEqual(percent_at(RUNNING, NOW - 10), 20.0)

    def test_stands_still(self) -> None:
        for status in STANDING:
            self.assertEqual(percent_at(replace(RUNNING, status=status), NOW + 40), 20.0)
        self.assertEqual(percent_at(replace(RUNNING, remaining=None), NOW + 40), 20.0)
        self.assertEqual(percent_at(replace(RUNNING, status=Status.FAILED), NOW + 40), 20.0)

    def test_completed_is_all(self) -> None:
        self.assertEqual(percent_at(Progress(Status.COMPLETED, 0.0, NOW), NOW), 100.0)

    def test_a_reported_hundred_is_not_completion(self) -> None:
        for status in (Status.ACTIVE, *STANDING, Status.FAILED):
            self.assertEqual(percent_at(Progress(status, 100.0, NOW, 5.0), NOW + 1), MAX_RUNNING_PERCENT)

    def test_nothing_left(self) -> None:
        shown = [percent_at(replace(RUNNING, remaining=0.0), NOW + seconds) for seconds in (-1, 0, 0.001)]
        self.assertEqual(shown, [20.0, 20.0, MAX_RUNNING_PERCENT])

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(progresses, moments, st.floats(0, 10_000))
    def test_bounded_and_monotonic(self, progress: Progress, now: float, later: float) -> None:
        percent = percent_at(progress, now)
        self.assertTrue(0.0 <= percent <= percent_at(progress, now + later) <= 100.0)
        self.assertEqual(percent == 100.0, progress.status is Status.COMPLETED)


class RemainingTests(SynchronousTestCase):
    def test_counts_down(self) -> None:
        self.assertEqual([remaining_at(RUNNING, NOW + s) for s in (-5, 0, 30, 80, 90)], [80.0, 80.0, 50.0, 0.0, 0.0])

    def test_stands_still(self) -> None:
        for status in STANDING:
            self.assertEqual(remaining_at(replace(RUNNING, status=status), NOW + 30), 80.0)

    def test_unknown(self) -> None:
        self.assertIsNone(remaining_at(replace(RUNNING, remaining=None), NOW))

    def test_over(self) -> None:
        for status in (Status.COMPLETED, Status.FAILED):
            for remaining in (None, 50.0):
                self.assertEqual(remaining_at(replace(RUNNING, status=status, remaining=remaining), NOW), 0.0)


class RebaseTests(SynchronousTestCase):
    def test_anchor_moves(self) -> None:
        moved = rebase(replace(RUNNING, quality=5, target_quality=9), NOW + 40)
        self.assertEqual(moved, Progress(Status.ACTIVE, 60.0, NOW + 40, 40.0, 5, 9))

    def test_keeps_the_reason(self) -> None:
        failed = Progress(Status.FAILED, 10.0, NOW, 0.0, failure_reason="timeout")
        self.assertEqual(rebase(failed, NOW + 1).failure_reason, "timeout")

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(progresses, st.floats(0, 5000), st.floats(0, 5000))
    def test_same_function_from_its_anchor_on(self, progress: Progress, after: float, later: float) -> None:
        moved = rebase(progress, progress.anchor + after)
        at = progress.anchor + after + later
        self.assertAlmostEqual(percent_at(moved, at), percent_at(progress, at), delta=0.02)
        wanted = remaining_at(progress, at)
        shown = remaining_at(moved, at)
        if wanted is None or shown is None:
            self.assertEqual(wanted, shown)
        else:
            self.assertAlmostEqual(wanted, shown, delta=0.001)


class ConfirmsTests(SynchronousTestCase):
    TOLERANCE = Tolerance(percent=0.05, seconds=0.025, fraction=0.001)

    def test_a_report_that_agrees(self) -> None:
        later = Progress(Status.ACTIVE, 60.0, NOW + 40, 40.0)
        self.assertTrue(confirms(RUNNING, later, NOW + 40, self.TOLERANCE))
        self.assertFalse(confirms(RUNNING, replace(later, percent=60.1), NOW + 40, self.TOLERANCE))
        self.assertFalse(confirms(RUNNING, replace(later, remaining=41.0), NOW + 40, self.TOLERANCE))

    def test_everything_but_a_running_craft(self) -> None:
        for truth in (replace(RUNNING, status=Status.PAUSED), replace(RUNNING, remaining=None)):
            self.assertFalse(confirms(RUNNING, truth, NOW, self.TOLERANCE))
            self.assertFalse(confirms(truth, truth, NOW, self.TOLERANCE))

    @settings(derandomize=True, deadline=None)
    @given(st.floats(0, 90), st.floats(1, 1000), st.floats(-0.2, 0.2), st.floats(-0.2, 0.2), st.floats(0, 1))
    def test_holds_until_either_is_due(
        self, percent: float, remaining: float, off: float, late: float, share: float
    ) -> None:
        """Also without another report: nothing refreshes what was sent."""
        held = Progress(Status.ACTIVE, percent, NOW, remaining)
        truth = replace(held, percent=max(0.0, percent + off), remaining=remaining + late)
        if confirms(held, truth, NOW, self.TOLERANCE):
            then = NOW + min(remaining, remaining + late) * share
            self.assertFalse(diverges(held, truth, then, Tolerance(0.051, 0.026, 0.0011)))


class DivergesTests(SynchronousTestCase):
    TOLERANCE = Tolerance(percent=0.5, seconds=0.25, fraction=0.01)

    def assert_diverges(self, wanted: bool, held: Progress, truth: Progress) -> None:
        self.assertEqual(diverges(held, truth, NOW, self.TOLERANCE), wanted, (held, truth))

    def test_percent(self) -> None:
        held = Progress(Status.ACTIVE, 50.0, NOW)
        self.assert_diverges(False, held, replace(held, percent=50.5))
        self.assert_diverges(True, held, replace(held, percent=50.6))
        self.assert_diverges(True, held, replace(held, percent=49.4))

    def test_remaining_by_fraction(self) -> None:
        """1 % of 80 s is more than 250 ms."""
        self.assert_diverges(False, RUNNING, replace(RUNNING, remaining=80.7))
        self.assert_diverges(True, RUNNING, replace(RUNNING, remaining=80.9))
        self.assert_diverges(True, RUNNING, replace(RUNNING, remaining=79.1))

    def test_remaining_by_seconds(self) -> None:
        """250 ms is more than 1 % of 10 s."""
        held = replace(RUNNING, remaining=10.0)
        self.assert_diverges(False, held, replace(held, remaining=10.2))
        self.assert_diverges(True, held, replace(held, remaining=10.3))

    def test_discrete(self) -> None:
        other = (
            replace(RUNNING, status=Status.PAUSED),
            replace(RUNNING, quality=1),
            replace(RUNNING, target_quality=1),
            replace(RUNNING, failure_reason="x"),
            replace(RUNNING, remaining=None),
        )
        for truth in other:
            self.assertFalse(same_discrete(RUNNING, truth))
            self.assert_diverges(True, RUNNING, truth)
            self.assert_diverges(True, truth, RUNNING)

    def test_same_function_at_another_anchor(self) -> None:
        self.assertFalse(diverges(RUNNING, rebase(RUNNING, NOW + 40), NOW + 40, self.TOLERANCE))

    def test_later_report_that_agrees(self) -> None:
        truth = Progress(Status.ACTIVE, 60.0, NOW + 40, 40.0)
        self.assertFalse(diverges(RUNNING, truth, NOW + 40, self.TOLERANCE))
        self.assertTrue(diverges(RUNNING, replace(truth, percent=61.0), NOW + 40, self.TOLERANCE))

    @settings(deadline=None, derandomize=True, max_examples=300)
    @given(progresses, progresses, st.floats(0, 1), moments, st.floats(0, 100))
    def test_at_both_ends(self, held: Progress, other: Progress, share: float, now: float, span: float) -> None:
        """Of two that have nothing in common, and of two that nearly agree."""
        near = replace(held, percent=held.percent + (other.percent - held.percent) * share / 50)
        for truth in (other, near):
            either = [diverges(held, truth, at, self.TOLERANCE) for at in (now, now + span)]
            self.assertEqual(misleads(held, truth, now, now + span, self.TOLERANCE), any(either))

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(progresses, moments)
    def test_not_from_itself(self, progress: Progress, now: float) -> None:
        self.assertFalse(diverges(progress, progress, now, self.TOLERANCE))
