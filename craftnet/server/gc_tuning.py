"""Tunes Python's collector of reference cycles for a server with many objects, few cycles, and no time for pauses.

By default the collector examines new objects after every 700 allocations, and now and then all objects, which takes
longer the more connections are open, and blocks everything else. Here it examines new objects in small portions,
between other work where possible. The survivors are frozen at once: the collector ignores them from then on, so that no
portion grows. Reference counting still frees them. Only frozen objects that became a cycle later stay; so all objects
are examined when the number of frozen ones has doubled, which after the start of a server means such a leak, or twice
the load.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

THRESHOLDS = (4_000, 20, 50)
"""As in `gc.set_threshold`: new objects after which the collector starts by itself, amid other work. The older
generations are empty while a `GcTuner` runs."""

GC_INTERVAL = 0.05
"""Seconds between two checks of the number of new objects."""

FREEZE_PORTION = 2_000
"""Tracked objects that are worth a collection, which takes a third of a millisecond."""

GROWTH_LIMIT = 500_000
"""Minimum number of new objects between two full collections."""


def collect_seldom() -> None:
    """Makes the collector start by itself only for many new objects, for the whole process."""
    gc.set_threshold(*THRESHOLDS)


class GcTuner(TimerService):
    """Tunes the collector, for the whole process, while it runs.

    Arguments:
        growth: as `GROWTH_LIMIT`; or as many as there were, if they are more.
    """

    def __init__(self, clock: IReactorTime, growth: int = GROWTH_LIMIT) -> None:
        super().__init__(GC_INTERVAL, self.turn)
        self.clock = clock
        self._growth = growth
        self._new = 0
        self._before = 0
        self._portion = 0
        self._usual = gc.get_threshold()

    def startService(self) -> None:
        """Freezes the objects of the process's start."""
        self._usual = gc.get_threshold()
        collect_seldom()
        gc.callbacks.append(self._collected)
        gc.freeze()
        self._new, self._before = 0, gc.get_freeze_count()
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
        if gc.get_count()[0] >= FREEZE_PORTION:
            gc.collect(0)
        if self._new >= max(self._growth, self._before):
            self._look_at_everything()

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        """Freezes the survivors of a collection, whatever started it. As in `gc.callbacks`."""
        if phase == "start":
            self._portion = gc.get_count()[0]
        else:
            self._new += self._portion - info["collected"]
            gc.freeze()

    def _look_at_everything(self) -> None:
        """Collects everything, unless most of the new objects are gone; counting the frozen ones is cheaper."""
        self._new = gc.get_freeze_count() - self._before
        if self._new >= max(self._growth, self._before) // 2:
            gc.unfreeze()
            gc.collect()  # the survivors are frozen.
            self._new, self._before = 0, gc.get_freeze_count()
