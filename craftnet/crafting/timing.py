"""Times crafts: how long each has been active, beside what the authority estimated. Pure.

Paused time is no crafting time. A craft that was interrupted says nothing about estimates, because the authority could
not foresee that. One whose state was written by a node that does not time crafts is timed no longer.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import UnsetType
from msgspec.structs import replace

from craftnet.contract.events import Event, EventMaterial, SessionProgress, SessionStart
from craftnet.contract.messages import Status
from craftnet.crafting.session_rules import advance_session
from craftnet.crafting.state import CraftTiming, SessionState

HALF = 50.0, 90.0
"""The percentages between which a report counts as one of half: later ones leave too little to be compared."""


def advance_timed(before: SessionState | None, event: Event, load: int | None = None) -> SessionState:
    """As `advance_session`; the state has a `timing`, where the craft can be timed.

    Arguments:
        load: crafts under way now; None when unknown.
    """
    after = advance_session(before, event)
    data = event.data
    if before is None:
        if not isinstance(data, SessionStart):
            return after
        quality = _mean_quality(data.materials or ())
        timing = CraftTiming(data.estimated_duration_seconds, 0.0, data.workstation_id, quality, None, True, load)
        return replace(after, timing=timing)
    known, progress = before.timing, after.progress
    if isinstance(known, UnsetType):
        return after
    worked, half = known.worked, known.half
    if before.progress.status is Status.ACTIVE:
        worked += progress.anchor - before.progress.anchor
    if half is None and isinstance(data, SessionProgress) and progress.moving:
        remaining = progress.remaining
        if remaining and HALF[0] <= progress.percent <= HALF[1] and data.remaining_time_seconds is not None:
            half = worked, remaining
    undisturbed = known.undisturbed and progress.status is not Status.INTERRUPTED
    timing = CraftTiming(known.estimate, worked, known.station, known.quality, half, undisturbed, known.load)
    return replace(after, timing=timing)


def _mean_quality(materials: Sequence[EventMaterial]) -> int | None:
    """The mean quality of the materials, weighted by their quantities; None when it is unknown."""
    known = [(each.quantity, each.quality_level) for each in materials if each.quality_level is not None]
    total = sum(quantity for quantity, _ in known)
    return round(sum(quantity * level for quantity, level in known if level) / total) if total else None
