"""The order of events, and when they count as having become true."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import MAX_CLOCK_AHEAD
from craftnet.crafting.event_order import (
    CLOCK_JUMP_SECONDS,
    MAX_SOURCE_LENGTH,
    MAX_SOURCES,
    check_order,
    effective_time,
    stamp,
    with_stamp,
)
from craftnet.crafting.state import Stamp, Stamps
from craftnet.errors import EventRejected
from craftnet.tests.contracts.source import progress
from craftnet.tests.support.samples import NOW, event

SOON = CLOCK_JUMP_SECONDS / 2
"""Seconds within which an older timestamp is merely late."""


class StampTests(SynchronousTestCase):
    def test_newest_of_each_source(self) -> None:
        stamps: Stamps = ()
        for source, at in (("a", 1.0), ("b", 5.0), ("a", 2.0)):
            stamps = with_stamp(stamps, Stamp(source, NOW + at))
        self.assertEqual(stamps, (Stamp("b", NOW + 5), Stamp("a", NOW + 2)))

    def test_a_late_one_changes_nothing(self) -> None:
        stamps = with_stamp((Stamp("a", NOW),), Stamp("a", NOW - CLOCK_JUMP_SECONDS + 0.001))
        self.assertEqual(stamps, (Stamp("a", NOW),))

    def test_a_clock_that_was_set(self) -> None:
        stamps = with_stamp((Stamp("a", NOW),), Stamp("a", NOW - CLOCK_JUMP_SECONDS))
        self.assertEqual(stamps, (Stamp("a", NOW - CLOCK_JUMP_SECONDS),))

    def test_bounded(self) -> None:
        stamps: Stamps = ()
        for number in range(2 * MAX_SOURCES):
            stamps = with_stamp(stamps, Stamp(str(number), NOW))
        self.assertEqual(
            [known.source for known in stamps], [str(MAX_SOURCES + number) for number in range(MAX_SOURCES)]
        )
        self.assertEqual(len(stamp(event(progress(1.0), source="x" * 1000)).source), MAX_SOURCE_LENGTH)


class OrderTests(SynchronousTestCase):
    def check(self, stated: float, *known: Stamp) -> None:
        event_ = event(progress(1.0), stated, accepted=NOW, source="a")
        check_order(with_stamp(known, stamp(event_)), event_)

    def test_same_source(self) -> None:
        self.check(NOW, Stamp("a", NOW))
        self.check(NOW + 0.001, Stamp("a", NOW))
        for late in (0.001, SOON, CLOCK_JUMP_SECONDS - 0.001):
            error = self.assertRaises(EventRejected, self.check, NOW - late, Stamp("a", NOW))
            self.assertIn("out of order", str(error))

    def test_sources_are_not_compared(self) -> None:
        self.check(NOW, Stamp("b", NOW + SOON))

    def test_our_clock_has_no_say(self) -> None:
        for skew in (-3600.0, 0.0, 3600.0):
            self.check(NOW + skew + 1, Stamp("a", NOW + skew))
            self.assertRaises(EventRejected, self.check, NOW + skew - 1, Stamp("a", NOW + skew))

    def test_a_clock_that_was_set(self) -> None:
        for seconds in (CLOCK_JUMP_SECONDS, 3600.0, 10 * 365 * 86400.0):
            self.check(NOW - seconds, Stamp("a", NOW))


class TimeTests(SynchronousTestCase):
    def when(self, stated: float, newest: float = -NOW) -> float:
        """When an event counts that arrives at `NOW`; all of them relative to that."""
        return effective_time(NOW + stated, NOW, NOW + newest) - NOW

    def test_believed(self) -> None:
        for stated in (5.0, 0.0, -1.0, -86400.0):
            self.assertEqual(self.when(stated), stated)

    def test_never_before_what_was_applied(self) -> None:
        self.assertEqual(self.when(-1.0, newest=4.0), 4.0)
        self.assertEqual(self.when(-1.0, newest=-3.0), -1.0)

    def test_a_clock_that_was_set(self) -> None:
        """None of its times is believed, however many follow: each counts as of its arrival."""
        for stated in (-CLOCK_JUMP_SECONDS, -CLOCK_JUMP_SECONDS - 10, -3600.0):
            self.assertEqual(self.when(stated, newest=0.0), 0.0)
        self.assertEqual(self.when(-CLOCK_JUMP_SECONDS - 10, newest=3.0), 3.0)

    def test_applied_by_a_clock_that_was_far_ahead(self) -> None:
        """It does not delay the craft until that hour has come."""
        for stated in (0.0, -3600.0):
            self.assertEqual(self.when(stated, newest=3600.0), 0.0)

    def test_before_time_began(self) -> None:
        self.assertEqual(self.when(-NOW - 62135596800.0), 0.0)

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(st.lists(st.tuples(st.floats(-7200, 7200), st.floats(0, 100)), max_size=20))
    def test_time_does_not_run_back(self, steps: list[tuple[float, float]]) -> None:
        """With a clock of ours that is not set, whatever is stated: and never far ahead of it."""
        newest, now = 0.0, NOW
        for skew, passed in steps:
            now += passed
            event_ = event(progress(1.0), now + skew, accepted=now)
            moment = effective_time(event_.occurred, now, newest)
            self.assertTrue(newest <= moment <= now + MAX_CLOCK_AHEAD)
            newest = moment
