from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.runtime.timers import GRAIN, Deadlines


class DeadlinesTests(SynchronousTestCase):
    """Which keys are due when."""

    def test_in_order(self) -> None:
        deadlines: Deadlines[str] = Deadlines()
        self.assertEqual(deadlines.earliest, inf)
        deadlines.set("b", 2.0)
        deadlines.set("a", 1.0)
        self.assertEqual(deadlines.earliest, 1.0)
        self.assertEqual(deadlines.due(0.5), [])
        self.assertEqual(deadlines.due(2.0), ["a", "b"])
        self.assertEqual(deadlines.earliest, inf)

    def test_sooner_counts_at_once_later_when_named(self) -> None:
        deadlines: Deadlines[str] = Deadlines()
        deadlines.set("a", 5.0)
        deadlines.set("a", 3.0)
        deadlines.set("a", 9.0)
        self.assertEqual(deadlines.due(3.0), ["a"])
        self.assertEqual(deadlines.due(9.0), [])

    def test_what_is_out_of_date_does_not_pile_up(self) -> None:
        deadlines: Deadlines[int] = Deadlines()
        for key in range(10):
            for when in range(5000, 0, -1):
                deadlines.set(key, when)
        self.assertLess(len(deadlines), 100)
        self.assertEqual(deadlines.due(1), list(range(10)))
        self.assertEqual(deadlines.earliest, inf)

    def test_reminders_share_an_entry_and_come_a_little_early(self) -> None:
        deadlines: Deadlines[str] = Deadlines()
        deadlines.set("c", 9.0)
        for key in "abaa":
            deadlines.remind(key, 5.0 + GRAIN / 2)
        self.assertEqual((deadlines.earliest, len(deadlines)), (5.0, 1))
        deadlines.discard("a")
        self.assertEqual(deadlines.due(4.9), [])
        self.assertEqual(deadlines.due(5.0), ["a", "b", "a", "a"])
        self.assertEqual((deadlines.due(5.0), deadlines.earliest), ([], 9.0))

    @settings(deadline=None, max_examples=60, derandomize=True)
    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20) | st.none()), max_size=30))
    def test_every_item_is_named_once_and_in_time(self, moves: list[tuple[str, int | None]]) -> None:
        deadlines: Deadlines[str] = Deadlines()
        wanted: dict[str, int] = {}
        for key, when in moves:
            if when is None:
                deadlines.discard(key)
                wanted.pop(key, None)
            else:
                deadlines.set(key, when)
                wanted[key] = min(when, wanted.get(key, when))
        for now in range(21):
            named = deadlines.due(now)
            self.assertEqual(sorted(named), sorted(key for key, when in wanted.items() if when == now))
