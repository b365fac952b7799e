"""Lives that sleep and are woken."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from craftnet.providers.workshop.simulation.world import Life, Schedule
from craftnet.tests.support.samples import NOW


class ScheduleTests(SynchronousTestCase):
    """Three friends write down when they were awake."""

    def setUp(self) -> None:
        self.schedule = Schedule(NOW)
        self.journal: list[tuple[str, float]] = []

    def life(self, name: str, *sleeps: float) -> Life:
        """Awake at the beginning, and after each sleep."""
        self.journal.append((name, self.schedule.now - NOW))
        for seconds in sleeps:
            yield seconds
            self.journal.append((name, self.schedule.now - NOW))

    def run_for(self, seconds: float) -> None:
        """Runs all lives until then."""
        while self.schedule.step(NOW + seconds):
            pass

    def test_lives_go_on_in_the_order_of_their_times(self) -> None:
        self.schedule.begin(self.life("ann", 3, 3), NOW)
        self.schedule.begin(self.life("bob", 4), NOW + 1)
        self.run_for(5)
        self.assertEqual(self.journal, [("ann", 0), ("bob", 1), ("ann", 3), ("bob", 5)])
        self.assertEqual(self.schedule.next_due(), NOW + 6)

    def test_simultaneous_wakes_run_in_order(self) -> None:
        for name in ("ann", "bob", "cyd"):
            self.schedule.begin(self.life(name, 2), NOW)
        self.run_for(2)
        self.assertEqual([name for name, _ in self.journal], ["ann", "bob", "cyd"] * 2)

    def test_nothing_is_due(self) -> None:
        self.assertEqual(self.schedule.next_due(), math.inf)
        self.assertFalse(self.schedule.step(NOW))

    def test_a_life_ends(self) -> None:
        self.schedule.begin(self.life("ann"), NOW)
        self.run_for(0)
        self.assertEqual(self.schedule.next_due(), math.inf)

    def test_a_woken_process_does_not_wake_twice(self) -> None:
        ann = self.schedule.begin(self.life("ann", 10, 50), NOW)
        self.schedule.begin(self.life("bob", 4), NOW)
        self.run_for(4)
        self.schedule.wake(ann)
        self.assertEqual(self.schedule.next_due(), NOW + 4)
        self.run_for(40)
        self.assertEqual(self.journal, [("ann", 0), ("bob", 0), ("bob", 4), ("ann", 4)])

    def test_an_endless_sleep_can_be_woken(self) -> None:
        ann = self.schedule.begin(self.life("ann", math.inf), NOW)
        self.run_for(5)
        self.assertEqual(self.schedule.next_due(), math.inf)
        self.schedule.wake(ann)
        self.run_for(5)
        self.assertEqual(self.journal, [("ann", 0), ("ann", 0)])
