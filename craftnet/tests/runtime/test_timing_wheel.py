"""The timing wheel."""

from __future__ import annotations

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.runtime.timers import TimingWheel


class WheelTests(SynchronousTestCase):
    def test_each_comes_round_once_a_period(self) -> None:
        wheel: TimingWheel[int] = TimingWheel(4)
        for item in range(6):
            wheel.add(item)
        turns = [wheel.turn() for _ in range(8)]
        self.assertEqual(turns[:4], [(0, 4), (1, 5), (2,), (3,)])
        self.assertEqual(turns[4:], turns[:4])

    def test_added_twice_comes_once(self) -> None:
        wheel: TimingWheel[str] = TimingWheel(1)
        wheel.add("a")
        wheel.add("a")
        self.assertEqual(wheel.turn(), ("a",))

    def test_discarded(self) -> None:
        wheel: TimingWheel[str] = TimingWheel(1)
        wheel.add("a")
        wheel.discard("a")
        wheel.discard("never there")
        self.assertEqual(wheel.turn(), ())

    def test_may_change_while_what_was_due_is_handled(self) -> None:
        wheel: TimingWheel[int] = TimingWheel(1)
        for item in (1, 2, 3):
            wheel.add(item)
        for item in wheel.turn():
            wheel.discard(item)
            wheel.add(item + 10)
        self.assertEqual(wheel.turn(), (11, 12, 13))

    def test_ids_spread(self) -> None:
        """Ids drawn at random leave no slot with more than a few times its share."""
        wheel: TimingWheel[UUID] = TimingWheel(50)
        for number in range(5000):
            wheel.add(UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128))
        self.assertLess(max(len(wheel.turn()) for _ in range(50)), 300)

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.integers(1, 20), st.lists(st.tuples(st.booleans(), st.integers(0, 30))))
    def test_a_period_is_the_set(self, slots: int, steps: list[tuple[bool, int]]) -> None:
        wheel: TimingWheel[int] = TimingWheel(slots)
        wanted: set[int] = set()
        for add, item in steps:
            (wheel.add if add else wheel.discard)(item)
            (wanted.add if add else wanted.discard)(item)
        due = [item for _ in range(slots) for item in wheel.turn()]
        self.assertEqual(sorted(due), sorted(wanted))
