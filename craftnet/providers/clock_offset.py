"""How far the clock of another machine is ahead of ours, from questions and answers. Pure."""

from __future__ import annotations

from math import inf

OFFSET_TOLERANCE = 0.001
"""Seconds, beyond the uncertainty of a measurement, by which the other clock must seem to be off to be believed."""

CLOCK_DRIFT = 1e-4
"""Maximum seconds by which two clocks drift apart in a second."""

PARTS_OF_A_SECOND = 1024
"""Parts of a second to which a difference between clocks is rounded, so that adding and subtracting it is exact."""


class ClockOffset:
    """How far another clock is ahead of ours. Pure; times are seconds.

    Arguments:
        ahead: the assumption until a measurement contradicts it.

    Attributes:
        ahead: seconds, in whole `PARTS_OF_A_SECOND` parts.
    """

    def __init__(self, ahead: float) -> None:
        self.ahead = rounded(ahead)
        self._uncertainty = inf
        self._at = 0.0

    def take(self, shown: float, asked: float, answered: float) -> None:
        """Records that the other clock showed `shown` when ours was between `asked` and `answered`.

        The previous difference stays unless this one contradicts it, so that what is read twice has the same date.
        """
        sample, uncertainty = shown - (asked + answered) / 2, (answered - asked) / 2
        self._uncertainty += CLOCK_DRIFT * (answered - self._at)
        self._at = answered
        off = abs(sample - self.ahead)
        better = uncertainty <= self._uncertainty
        if off > uncertainty + OFFSET_TOLERANCE + (0.0 if better else self._uncertainty):
            self.ahead, self._uncertainty = rounded(sample), uncertainty
        elif better:
            self._uncertainty = min(self._uncertainty, off + uncertainty)


def rounded(seconds: float) -> float:
    """Rounds to whole `PARTS_OF_A_SECOND` parts."""
    return round(seconds * PARTS_OF_A_SECOND) / PARTS_OF_A_SECOND
