"""What a client says about its connection: how the line is, and how wrong what it shows may be. Pure."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from craftnet.model import Progress
from craftnet.protocols.udp.conditions import Conditions

RESOLUTION = 0.005
"""Points of progress that are lost to rounding on the way …"""

CLOCK_RESOLUTION = 0.001
"""… and seconds: half a millisecond of the anchor, and as much of the remaining time."""

NOTABLE_OFFSET = 0.1
"""Seconds between the clocks that are worth a word."""


class Line(Struct, frozen=True):
    """One connection's figures.

    Attributes:
        conditions: as far as they were measured.
        bound: points by which the progress, as told and continued, may differ from the authority's as of the last
            datagram. What a display shows instead of it comes on top: see `shown`.
    """

    conditions: Conditions
    bound: float

    @property
    def words(self) -> str:
        """For people, on one line of a terminal: what is as usual is left out."""
        line = self.conditions
        parts = [_lost(line.loss_in, line.loss_out)]
        if line.round_trip is not None:
            trip, variation, jitter = map(_milliseconds, (line.round_trip, line.variation, line.jitter))
            parts = [f"{trip} ms ±{variation}", f"jitter {jitter} ms", *parts]
        if _shows(line.reordered):
            parts.append(f"{line.reordered:.0%} reordered")
        if line.offset is not None and abs(line.offset) >= NOTABLE_OFFSET:
            parts.append(f"clock {line.offset:+.1f} s")
        # Rounded up: it is a promise.
        parts.append(f"progress ±{math.ceil(self.bound * 10) / 10:.1f}")
        return ", ".join(parts)

    def shown(self, deviation: float) -> Line:
        """The same for a display that shows so many points more, or less, than was told."""
        return replace(self, bound=min(100.0, self.bound + deviation))


def error_bound(progress: Progress | None, conditions: Conditions, tolerance: float) -> float:
    """Points of progress by which a model may be off that is continued by the clock offset of the same conditions.

    The server tells again what would be wrong by more than its `tolerance`; rounding, and the uncertainty about its
    clock, come on top.
    """
    bound = tolerance + RESOLUTION
    if progress is not None and progress.moving:
        left, seconds = 100.0 - progress.percent, conditions.uncertainty + CLOCK_RESOLUTION
        bound += left * min(1.0, seconds / progress.remaining) if progress.remaining else left
    return min(100.0, bound)


def _lost(incoming: float, outgoing: float) -> str:
    return f"lost {incoming:.0%} in {outgoing:.0%} out" if _shows(outgoing) else f"{incoming:.0%} lost"


def _shows(share: float) -> bool:
    """Whether it is more than 0 in whole percents."""
    return round(share * 100) > 0


def _milliseconds(seconds: float) -> str:
    milliseconds = seconds * 1000
    return f"{milliseconds:.1f}" if milliseconds < 9.95 else f"{milliseconds:.0f}"
