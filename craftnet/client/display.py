"""The progress a player is shown: smooth between what is told, and never backwards without cause. Pure."""

from __future__ import annotations

import math

from craftnet.messages import Status
from craftnet.model import CEILING, Progress, percent_at, remaining_at

ROLLBACK = 3.0
"""Points by which what is told must lie below what is shown for the bar to jump back. Less is a held model's error."""

SETTLE = 0.3
"""Seconds in which an error shrinks to 37 %."""


class Display:
    """One progress bar's figures. It follows the newest model; a difference to what was shown before fades out."""

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._told = 0.0
        self._offset = 0.0
        self._shown = 0.0

    def tell(self, progress: Progress, now: float) -> None:
        """Take a newer model."""
        known, shown = self._progress is not None, self.percent(now)
        truth = percent_at(progress, now)
        self._progress, self._told = progress, now
        if not known or truth < shown - ROLLBACK:
            self._shown, self._offset = truth, 0.0
        else:
            self._offset = shown - truth

    def percent(self, now: float) -> float:
        """What to show at `now`, 0–100; 100 only for a craft that was told to be completed."""
        progress = self._progress
        if progress is None:
            return 0.0
        if progress.status is Status.COMPLETED:
            self._shown = 100.0
        else:
            fading = self._offset * math.exp(-max(0.0, now - self._told) / SETTLE)
            self._shown = max(self._shown, min(CEILING, percent_at(progress, now) + fading))
        return self._shown

    def remaining(self, now: float) -> float | None:
        """Seconds to go at `now`; None when unknown."""
        return None if self._progress is None else remaining_at(self._progress, now)
