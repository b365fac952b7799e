"""What a client says about its connection: how the line is, and how wrong what it shows may be. Pure."""

from __future__ import annotations

from msgspec import Struct

from craftnet.model import Progress
from craftnet.protocols.udp.conditions import Conditions

RESOLUTION = 0.005
"""Points of progress that are lost to rounding on the way."""


class Line(Struct, frozen=True):
    """One connection's figures.

    Attributes:
        conditions: as far as they were measured.
        bound: points by which the progress shown may differ from the authority's as of the last datagram.
    """

    conditions: Conditions
    bound: float

    @property
    def words(self) -> str:
        """For people."""
        trip = self.conditions.round_trip
        known = "" if trip is None else f"{trip * 1000:.0f} ms, "
        return f"{known}{self.conditions.loss_in:.0%} lost, progress ±{self.bound:.1f}"


def error_bound(progress: Progress | None, conditions: Conditions, tolerance: float) -> float:
    """Points of progress by which a model may be off.

    The server tells again what would be wrong by more than its `tolerance`; rounding, and the uncertainty about its
    clock, come on top.
    """
    bound = tolerance + RESOLUTION
    if progress is not None and progress.moving and progress.remaining:
        bound += (100.0 - progress.percent) / progress.remaining * conditions.uncertainty
    return min(100.0, bound)
