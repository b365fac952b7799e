"""The progress that a player sees: smooth between updates, and never backwards without cause. Pure."""

from __future__ import annotations

import math

from craftnet.contract.messages import Status
from craftnet.crafting.progress import MAX_RUNNING_PERCENT, Progress, percent_at, remaining_at

ROLLBACK = 3.0
"""Points by which a model must lie below the shown value for the bar to go back. Less is a model's normal error."""

SETTLE = 0.3
"""Seconds in which a difference shrinks to 37 %."""

ROLLBACK_SECONDS = 5 * SETTLE
"""Seconds during which the bar may go back after a rollback; less than 1 % of the difference is left then."""


class SmoothedProgress:
    """The figures of one progress bar. It follows the newest model and fades out the difference to the shown value.

    So it jumps to the first model and to the end of the craft, and nowhere else. While it fades, or while the bar waits
    for the model to catch up, `deviation` adds to the model's own error.
    """

    def __init__(self) -> None:
        self._progress: Progress | None = None
        self._target = 0.0
        self._offset = 0.0
        self._least = 0.0  # below this the bar does not go.
        self._falls_until = -math.inf

    def update(self, progress: Progress, now: float) -> None:
        """Takes a newer model."""
        truth = percent_at(progress, now)
        went_back = truth < self.percent(now) - ROLLBACK
        if self._progress is None or (went_back and progress.status.terminal):
            self._least, self._offset = truth, 0.0
            self._progress, self._target = progress, now
            return
        self.correct(progress, now)
        if went_back:
            self._least, self._falls_until = truth, now + ROLLBACK_SECONDS

    def correct(self, progress: Progress, now: float) -> None:
        """Takes the same model on a better-known clock: however far it is from the shown value, nothing went back."""
        self._offset = self.percent(now) - percent_at(progress, now)
        self._progress, self._target = progress, now

    def percent(self, now: float) -> float:
        """The percentage to show at `now`, 0 to 100; 100 only for a completed craft."""
        progress = self._progress
        if progress is None:
            return 0.0
        if progress.status is Status.COMPLETED:
            self._least = 100.0
            return 100.0
        fading = self._offset * math.exp(-max(0.0, now - self._target) / SETTLE)
        shown = max(self._least, min(MAX_RUNNING_PERCENT, percent_at(progress, now) + fading))
        if now >= self._falls_until:
            self._least = shown
        return shown

    def deviation(self, now: float) -> float:
        """Points between the shown value at `now` and the model, held back or fading."""
        return 0.0 if self._progress is None else abs(self.percent(now) - percent_at(self._progress, now))

    def remaining(self, now: float) -> float | None:
        """Seconds remaining at `now`; None when unknown."""
        return None if self._progress is None else remaining_at(self._progress, now)
