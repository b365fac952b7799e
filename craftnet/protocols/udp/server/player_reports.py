"""A player's report about a craft, compared with what the authority said. It changes nothing.

From the authority itself the same record is an event. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from msgspec import Struct

from craftnet.clocks import Moment
from craftnet.contract.events import Event, MaterialsUpdate, SessionProgress
from craftnet.contract.messages import ChangeType, CraftingProgressData, Natural, Quality, Status
from craftnet.crafting.progress import Progress, Tolerance, percent_at, remaining_at
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.crafting.updates import progress_data
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.protocols.udp.server.sessions import SentProgress
from craftnet.protocols.wire.records import MaterialsRecord, ProgressFlags, ProgressRecord

REPORT_LATENCY = 2.0
"""Seconds by which a report may be older than its arrival. Without a limit, any report would be right at some time."""

_STATUSES = (
    (ProgressFlags.FAILED, Status.FAILED),
    (ProgressFlags.COMPLETED, Status.COMPLETED),
    (ProgressFlags.PAUSED, Status.PAUSED),
    (ProgressFlags.INTERRUPTED, Status.INTERRUPTED),
)


class SeenState(Struct, frozen=True):
    """What a player had received when making a report.

    Attributes:
        moment: the time of the report, on the steady clock.
        state: the state received by then.
    """

    moment: float
    state: SessionState


class ProgressComparison(Struct, frozen=True):
    """Answer to a player's report of progress."""

    agreed: bool
    """Whether the client may continue to extrapolate from its copy."""
    deviation_percent: float
    """Reported minus true, in points of progress."""
    deviation_seconds: float | None
    """Reported minus true remaining time, in seconds; null when one of the two is unknown."""
    correction: CraftingProgressData
    """The true progress."""


class HeldMaterial(Struct, frozen=True, omit_defaults=True):
    """A material as the authority has it."""

    material_id: UUID
    """The material."""
    quantity: Natural
    """Pieces."""
    quality: Quality | None = None
    """Quality; absent when unknown."""


class MaterialsComparison(Struct, frozen=True):
    """Answer to a player's report of changes of materials."""

    agreed: bool
    """Whether all materials are as reported."""
    deviating: list[UUID]
    """The materials that are not as reported."""
    correction: list[HeldMaterial]
    """All of the session's materials as the authority has them."""


def status_of(flags: ProgressFlags) -> Status:
    """The status that the flags of a record mean; the more final one counts."""
    return next((status for flag, status in _STATUSES if flag in flags), Status.ACTIVE)


def what_was_seen(
    report: ProgressRecord, sightings: Sequence[SentProgress], conditions: PathStats, now: float
) -> SeenState | None:
    """What the player had received at the time of a report, according to the path to the UDP connection.

    The report's time is on the player's clock; before its offset is known, the report counts as having travelled as
    fast as a datagram. What the player saw had travelled half a round trip. A report older than `REPORT_LATENCY` counts
    as
    that old.
    """
    if not sightings or conditions.round_trip is None:
        return None
    way = conditions.round_trip / 2
    made = now - way if conditions.offset is None else report.timestamp_ms / 1000 - conditions.offset
    moment = min(max(made, now - REPORT_LATENCY), now)
    arrived = [sighting for sighting in sightings if sighting.when + way <= moment]
    return SeenState(moment, (arrived or sightings[:1])[-1].state)


def compare_progress(
    report: ProgressRecord,
    truth: SessionState,
    now: Moment,
    tolerance: Tolerance | None = None,
    seen: SeenState | None = None,
) -> ProgressComparison:
    """Compares a report with what the player had received at its time, else with the truth then, as far as credible.

    Without a UDP connection, the player's clock is assumed to agree with this system's.
    """
    allowed = tolerance or Tolerance()
    if seen is None:
        made = now.deadline(report.timestamp_ms / 1000)
        seen = SeenState(min(max(made, now.steady - REPORT_LATENCY), now.steady), truth)
    moment, progress = seen.moment, seen.state.progress
    percent = report.percent - percent_at(progress, moment)
    wanted = remaining_at(progress, moment)
    seconds = None if wanted is None or report.remaining is None else report.remaining - wanted
    agreed = (
        status_of(report.flags) is progress.status
        and abs(percent) <= allowed.percent
        and (seconds is None or abs(seconds) <= max(allowed.seconds, allowed.fraction * (wanted or 0.0)))
        and _qualities_agree(report, progress)
    )
    return ProgressComparison(
        agreed,
        round(percent, 2),
        None if seconds is None else round(seconds, 3),
        progress_data(truth.session_id, truth.progress, now.steady),
    )


def _qualities_agree(report: ProgressRecord, progress: Progress) -> bool:
    pairs = ((report.quality, progress.quality), (report.target_quality, progress.target_quality))
    return all(claimed is None or claimed == true for claimed, true in pairs)


def compare_materials(report: MaterialsRecord, truth: MaterialsState) -> MaterialsComparison:
    """Compares reported changes with the truth. For each material, the last reported quantity and quality count."""
    claimed: dict[UUID, tuple[int | None, int | None]] = {}
    for change in report.changes:
        quantity, quality = claimed.get(change.material_id, (None, None))
        claimed[change.material_id] = (
            (0, None)
            if change.change_type is ChangeType.REMOVED
            else (
                quantity if change.new_quantity is None else change.new_quantity,
                quality if change.new_quality is None else change.new_quality,
            )
        )
    held = {material.material_id: material for material in truth.materials}
    deviating = [
        material_id for material_id, values in claimed.items() if not _as_reported(held.get(material_id), *values)
    ]
    correction = [HeldMaterial(one.material_id, one.quantity, one.quality) for one in truth.materials]
    return MaterialsComparison(not deviating, deviating, correction)


def _as_reported(held: Material | None, quantity: int | None, quality: int | None) -> bool:
    if held is None:
        return quantity == 0
    return quantity in (None, held.quantity) and quality in (None, held.quality)


def progress_event(record: ProgressRecord, event_id: UUID, now: Moment) -> Event:
    """The authority's record as an event, accepted at `now`."""
    data = SessionProgress(
        session_id=record.session_id,
        progress_percentage=record.percent,
        status=status_of(record.flags),
        remaining_time_seconds=record.remaining,
        current_quality=record.quality,
        target_quality=record.target_quality,
    )
    return Event(event_id, record.timestamp_ms / 1000, now.steady, data, record.session_id, ahead=now.ahead)


def materials_event(record: MaterialsRecord, event_id: UUID, now: Moment) -> Event:
    """The authority's record as an event, accepted at `now`."""
    data = MaterialsUpdate(session_id=record.session_id, changes=record.changes)
    return Event(event_id, record.timestamp_ms / 1000, now.steady, data, record.session_id, ahead=now.ahead)
