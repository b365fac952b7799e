"""Python's collector of cycles, as the service sets it: of this very process, while each test runs."""

from __future__ import annotations

import gc
import sys
from typing import Any
from weakref import ref

from twisted.trial.unittest import SynchronousTestCase

from craftnet.server.gc_tuning import FREEZE_PORTION, GC_INTERVAL, GROWTH_LIMIT, THRESHOLDS, GcTuner
from craftnet.tests.support.fakes import SteppedClock


class Cycle:
    """Something in a cycle."""

    def __init__(self) -> None:
        self.itself = self


def cycles(number: int) -> list[Cycle]:
    """Creates this many, each with further objects that the collector follows."""
    return [Cycle() for _ in range(number)]


class CollectorTests(SynchronousTestCase):
    def started(self, growth: int = GROWTH_LIMIT) -> None:
        self.clock = SteppedClock()
        self.collector = GcTuner(self.clock, growth)
        before = gc.get_threshold()
        self.collector.startService()
        self.addCleanup(gc.set_threshold, *before)
        self.addCleanup(gc.unfreeze)
        self.addCleanup(self.stop)
        self.frozen = gc.get_freeze_count()

    def stop(self) -> None:
        """Stop the tuner, unless the test did: its callback would hide new objects from later tests."""
        if self.collector.running:
            self.collector.stopService()

    def turn(self) -> None:
        self.clock.advance(GC_INTERVAL)

    def collections(self) -> int:
        """How often what is new was looked at."""
        return int(gc.get_stats()[0]["collections"])

    def test_the_start_is_frozen(self) -> None:
        self.started()
        self.assertGreater(self.frozen, 1000)
        self.assertEqual(gc.get_threshold(), THRESHOLDS)

    def test_little_that_is_new_is_left_alone(self) -> None:
        self.started()
        before = self.collections()
        kept = cycles(FREEZE_PORTION // 20)
        self.turn()
        self.assertEqual(self.collections(), before)
        del kept

    def test_what_is_new_and_lives_is_frozen(self) -> None:
        self.started()
        kept = cycles(FREEZE_PORTION)
        self.turn()
        self.assertGreaterEqual(gc.get_freeze_count(), self.frozen + len(kept))
        before = self.collections()
        self.turn()
        self.assertEqual(self.collections(), before)

    def test_no_portion_is_large(self) -> None:
        """However much is new, and lives, before there is time to look at it between other work."""
        self.started()
        portions: list[int] = []

        def count(phase: str, _: dict[str, Any]) -> None:
            if phase == "start":
                portions.append(sum(len(gc.get_objects(generation)) for generation in range(3)))

        gc.callbacks.append(count)
        self.addCleanup(gc.callbacks.remove, count)
        kept = cycles(30 * THRESHOLDS[0])
        self.assertGreaterEqual(len(portions), 29)
        self.assertLess(max(portions), 1.2 * THRESHOLDS[0])
        self.assertGreater(gc.get_freeze_count(), self.frozen + 29 * THRESHOLDS[0])
        del kept

    def test_new_objects_in_the_place_of_frozen_ones(self) -> None:
        """They are collected as well: connections come while as many others go."""
        self.started()
        kept: list[Any] = [[] for _ in range(2 * FREEZE_PORTION)]
        self.turn()
        before, frozen = self.collections(), gc.get_freeze_count()
        for index in range(len(kept)):
            kept[index] = []
        self.assertLess(gc.get_count()[0], FREEZE_PORTION)
        self.turn()
        self.assertEqual(self.collections(), before + 1)
        self.assertGreaterEqual(gc.get_freeze_count(), frozen)

    def test_new_cycles_go(self) -> None:
        self.started()
        gone = ref(cycles(FREEZE_PORTION)[0])
        self.turn()
        self.assertIsNone(gone())
        self.assertLess(gc.get_freeze_count(), self.frozen + FREEZE_PORTION)

    def test_what_is_frozen_goes_when_nothing_refers_to_it(self) -> None:
        self.started()
        kept: list[Any] = [[] for _ in range(2 * FREEZE_PORTION)]
        self.turn()
        frozen = gc.get_freeze_count()
        kept.clear()
        self.assertLessEqual(gc.get_freeze_count(), frozen - FREEZE_PORTION)

    def test_a_leak_of_cycles_is_bounded(self) -> None:
        """What became one when it was frozen goes when there is twice as much in memory."""
        self.started(growth=1)
        blocks = sys.getallocatedblocks()  # more than objects: the collector follows no strings and numbers.
        leak: list[ref[Cycle]] = []
        while not leak or leak[0]() is not None:
            kept = cycles(50_000)
            leak.append(ref(kept[0]))
            self.turn()
            del kept
            self.assertLess(gc.get_freeze_count(), self.frozen + blocks + 200_000)
        self.assertGreater(len(leak), 1)
        self.turn()
        self.assertLess(gc.get_freeze_count(), self.frozen + 200_000)

    def test_what_comes_and_goes_makes_it_look_at_nothing(self) -> None:
        """They were as many as there had been, and are no more."""
        self.started(growth=1)
        kept: list[Any] = cycles(2 * FREEZE_PORTION)
        self.turn()
        leak = ref(kept[0])
        for _ in range(3 * self.frozen // (2 * FREEZE_PORTION)):
            kept = []
            kept = [[] for _ in range(2 * FREEZE_PORTION)]
            self.turn()
        self.assertIsNotNone(leak())

    def test_the_end_leaves_it_as_it_was(self) -> None:
        before = gc.get_threshold()
        self.started()
        self.collector.stopService()
        self.assertEqual((gc.get_threshold(), gc.get_freeze_count()), (before, 0))
