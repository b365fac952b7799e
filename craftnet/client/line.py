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
        """For people."""
        trip = self.conditions.round_trip
        known = "" if trip is None else f"{trip * 1000:.0f} ms, "
        # Rounded up: it is a promise.
        return f"{known}{self.conditions.loss_in:.0%} lost, progress ±{math.ceil(self.bound * 10) / 10:.1f}"

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
