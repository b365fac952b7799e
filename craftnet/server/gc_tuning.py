"""Tunes Python's collector of reference cycles for a server with many objects, few cycles, and no time for pauses.

By default the collector examines new objects after every 700 allocations, and now and then all objects, which takes
longer the more connections are open, and blocks everything else. Here it examines new objects in small portions,
between other work where possible. New objects are counted here: the collector's own counter goes down when an old
object is freed, so while connections come and go it stays low, and new objects accumulate. The survivors are frozen at
once: the collector ignores them from then on, so that no portion grows. Reference counting still frees them. Only
frozen objects that became a cycle later stay; so all objects are examined when the process has allocated twice as much
memory as after the last full collection, which after the start of a server means such a leak, or twice the load.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

THRESHOLDS = (2_500, 20, 50)
"""As in `gc.set_threshold`: new objects after which the collector starts by itself, amid other work. The older
generations are empty while a `GcTuner` runs."""

GC_INTERVAL = 0.05
"""Seconds between two checks of the number of new objects."""

FREEZE_PORTION = 2_000
"""New objects that are worth a collection, which takes a third of a millisecond. Counting them takes 20 µs."""

GROWTH_LIMIT = 2_000_000
"""Minimum number of memory blocks by which the process grows between two full collections; they have some 150 MB.
Counting blocks takes 40 µs; counting frozen objects takes tens of milliseconds."""


def collect_seldom() -> None:
    """Makes the collector start by itself only for many new objects, for the whole process."""
    gc.set_threshold(*THRESHOLDS)


class GcTuner(TimerService):
    """Tunes the collector, for the whole process, while it runs.

    Arguments:
        growth: as `GROWTH_LIMIT`; or as many blocks as there were, if they are more.
        paused: called with the generation and the seconds of each collection.
    """

    def __init__(
        self,
        clock: IReactorTime,
        growth: int = GROWTH_LIMIT,
        paused: Callable[[int, float], None] = lambda generation, seconds: None,
    ) -> None:
        super().__init__(GC_INTERVAL, self.turn)
        self.clock = clock
        self._growth = growth
        self._paused = paused
        self._seconds = clock.seconds
        self._began = 0.0
        self._before = 0
        self._frozen = False  # whether objects were frozen since the last turn.
        self._usual = gc.get_threshold()

    def startService(self) -> None:
        """Freezes the objects of the process's start."""
        self._usual = gc.get_threshold()
        collect_seldom()
        gc.callbacks.append(self._collected)
        gc.freeze()
        self._before = sys.getallocatedblocks()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Restores the collector."""
        gc.callbacks.remove(self._collected)
        gc.unfreeze()
        gc.set_threshold(*self._usual)
        stopped: Deferred[None] = super().stopService()
        return stopped

    def turn(self) -> None:
        """Collects new objects if there are many; called every `GC_INTERVAL` seconds."""
        if len(gc.get_objects(0)) >= FREEZE_PORTION:
            gc.collect(0)
        if self._frozen:
            self._frozen = False
            if sys.getallocatedblocks() >= self._before + max(self._growth, self._before):
                self._collect_all()

    def _collected(self, phase: str, collection: dict[str, Any]) -> None:
        """Freezes the survivors of a collection, whatever started it. As in `gc.callbacks`."""
        if phase == "start":
            self._began = self._seconds()
        else:
            gc.freeze()
            self._frozen = True
            self._paused(collection["generation"], self._seconds() - self._began)

    def _collect_all(self) -> None:
        gc.unfreeze()
        gc.collect()  # the survivors are frozen.
        self._before = sys.getallocatedblocks()
