"""The quality of a client's connection: measurements, and the error bound of the progress. Pure."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from craftnet.crafting.progress import Progress
from craftnet.protocols.udp.core.path_stats import PathStats

TRANSIT_RESOLUTION = 0.005
"""Points of progress lost to rounding in transit …"""

CLOCK_RESOLUTION = 0.001
"""… and seconds: half a millisecond of the anchor, and as much of the remaining time."""

NOTABLE_OFFSET = 0.1
"""Seconds between the two clocks from which on their difference is shown."""


class ConnectionQuality(Struct, frozen=True):
    """The measurements of one connection.

    Attributes:
        conditions: the network conditions measured so far.
        bound: points by which the extrapolated progress may differ from the authority's as of the last datagram. The
            deviation of a display adds to it: see `shown`.
    """

    conditions: PathStats
    bound: float

    @property
    def words(self) -> str:
        """The measurements for one line of a terminal, without the unremarkable ones."""
        line = self.conditions
        parts = [_lost(line.loss_in, line.loss_out)]
        if line.round_trip is not None:
            trip, variation, jitter = map(_milliseconds, (line.round_trip, line.variation, line.jitter))
            parts = [f"{trip} ms ±{variation}", f"jitter {jitter} ms", *parts]
        if _shows(line.reordered):
            parts.append(f"{line.reordered:.0%} reordered")
        if line.offset is not None and abs(line.offset) >= NOTABLE_OFFSET:
            parts.append(f"clock {line.offset:+.1f} s")
        # Rounded up, since it is a promise.
        parts.append(f"progress ±{math.ceil(self.bound * 10) / 10:.1f}")
        return ", ".join(parts)

    def shown(self, deviation: float) -> ConnectionQuality:
        """The same for a display that deviates from the model by `deviation` points."""
        return replace(self, bound=min(100.0, self.bound + deviation))


def error_bound(progress: Progress | None, conditions: PathStats, tolerance: float) -> float:
    """Points of progress by which a model may be wrong when extrapolated with the clock offset of these conditions.

    The server sends what would be wrong by more than its `tolerance`; rounding and the uncertainty of the clock offset
    add to that.
    """
    bound = tolerance + TRANSIT_RESOLUTION
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
