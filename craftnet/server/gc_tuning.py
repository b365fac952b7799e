"""Python's collector of reference cycles, for a server that keeps much, makes few cycles, and must not stop for long.

By default the collector looks at what is new after every 700 allocations, and now and then at everything, which takes
longer the more connections are open; nothing else happens meanwhile. Here it looks at what is new in small portions,
if it can between other work. What is left is frozen at once: the collector passes it over from then on, so that no
portion is larger than the first. It goes as before when nobody refers to it any more. Only what was frozen and became a
cycle later stays; so all of it is looked at when the frozen objects have doubled, which after the start of a server
means that there is such a leak, or twice as much to do.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

THRESHOLDS = (4_000, 20, 50)
"""As in `gc.set_threshold`: how many objects are new before the collector looks at them by itself, amid other work. The
older generations are empty while a `GcTuner` runs."""

GC_INTERVAL = 0.05
"""Seconds between two looks at how much is new."""

FREEZE_PORTION = 2_000
"""How many objects that the collector follows are worth a look, which takes a third of a millisecond."""

GROWTH_LIMIT = 500_000
"""How many objects must be new since everything was looked at before that is done again."""


def collect_seldom() -> None:
    """Let the collector begin by itself only where much is new, for the whole process."""
    gc.set_threshold(*THRESHOLDS)


class GcTuner(TimerService):
    """Sets the collector, for the whole process, while it runs.

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
        """Freeze what the start of the process made."""
        self._usual = gc.get_threshold()
        collect_seldom()
        gc.callbacks.append(self._collected)
        gc.freeze()
        self._new, self._before = 0, gc.get_freeze_count()
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Leave the collector as it was."""
        gc.callbacks.remove(self._collected)
        gc.unfreeze()
        gc.set_threshold(*self._usual)
        stopped: Deferred[None] = super().stopService()
        return stopped

    def turn(self) -> None:
        """Look at what is new, if that is much; called every `GC_INTERVAL` seconds."""
        if gc.get_count()[0] >= FREEZE_PORTION:
            gc.collect(0)
        if self._new >= max(self._growth, self._before):
            self._look_at_everything()

    def _collected(self, phase: str, info: dict[str, Any]) -> None:
        """Freeze what is left of a portion, whoever had it looked at. As in `gc.callbacks`."""
        if phase == "start":
            self._portion = gc.get_count()[0]
        else:
            self._new += self._portion - info["collected"]
            gc.freeze()

    def _look_at_everything(self) -> None:
        """Unless most of what was new is gone: to count the frozen ones takes a sixth of the time."""
        self._new = gc.get_freeze_count() - self._before
        if self._new >= max(self._growth, self._before) // 2:
            gc.unfreeze()
            gc.collect()  # and what is left is frozen.
            self._new, self._before = 0, gc.get_freeze_count()
