"""A session's state as records that fit into datagrams, and the same put together again. Pure.

Nothing is left out for lack of room: a table, or a long reason, becomes several records, which may come in any order,
twice, and mixed with those of other versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec.structs import replace

from craftnet.messages import MaterialNotification, Status
from craftnet.model import Progress
from craftnet.protocols import codec
from craftnet.protocols.layouts import NONE_U32
from craftnet.protocols.records import (
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    StateRecord,
)
from craftnet.state import Material, MaterialsState, SessionState

_MOST = 255  # what a part's count, a byte, can say.
_LARGEST = NONE_U32 - 1
_U32 = 0xFFFFFFFF


def progress_records(state: SessionState, room: int) -> list[StateRecord]:
    """A session's progress as records of at most `room` bytes each; `room` is 33 at least."""
    version = state.version & _U32
    progress = state.progress
    held = replace(
        progress,
        anchor=max(0.0, progress.anchor),
        remaining=None if progress.remaining is None else min(progress.remaining, _LARGEST / 1000),
        failure_reason=None,
    )
    records: list[StateRecord] = [ProgressState(version, held)]
    reason = (progress.failure_reason or "").encode()
    step = min(_MOST, room - codec.REASON_PART_SIZE)
    for offset in range(0, len(reason), step):
        records.append(ReasonPart(version, len(reason), offset, reason[offset : offset + step]))
    return records


def materials_records(state: MaterialsState, room: int) -> list[StateRecord]:
    """A session's materials as records of at most `room` bytes each. An empty table is one record."""
    version = state.version & _U32
    rows = [
        Material(material.material_id, min(material.quantity, _LARGEST), material.quality)
        for material in state.materials
    ]
    problems = [
        _problem(row, material.problem) for row, material in enumerate(state.materials) if material.problem is not None
    ]
    step = min(_MOST, (room - codec.MATERIALS_PART_SIZE) // codec.MATERIAL_ROW_SIZE)
    records: list[StateRecord] = [
        MaterialsPart(version, len(rows), len(problems), first, tuple(rows[first : first + step]))
        for first in range(0, len(rows) or 1, step)
    ]
    step = min(_MOST, (room - codec.PROBLEMS_PART_SIZE) // codec.PROBLEM_ROW_SIZE)
    records.extend(
        ProblemsPart(version, first, tuple(problems[first : first + step])) for first in range(0, len(problems), step)
    )
    return records


def _problem(row: int, problem: MaterialNotification) -> Problem:
    return Problem(
        row,
        problem.notification_type,
        _fitting(problem.required_quantity),
        _fitting(problem.available_quantity),
        problem.required_quality,
        problem.available_quality,
    )


def _fitting(quantity: int | None) -> int | None:
    return None if quantity is None else min(quantity, _LARGEST)


class ProgressAssembler:
    """The receiving side of `progress_records`."""

    def __init__(self) -> None:
        self._sequence = 0
        self._held: ProgressState | None = None
        self._reason_version: int | None = None
        self._reason: dict[int, bytes] = {}
        self._reason_size = 0

    def apply(self, record: ProgressState | ReasonPart, sequence: int) -> None:
        """Take a record that came with datagram `sequence`. Progress older than what is held changes nothing."""
        if isinstance(record, ProgressState):
            if sequence > self._sequence:
                self._sequence, self._held = sequence, record
            return
        if record.version != self._reason_version or record.total != self._reason_size:
            self._reason_version, self._reason_size = record.version, record.total
            self._reason.clear()
        self._reason[record.offset] = record.octets

    @property
    def version(self) -> int:
        """The version held; 0 before there is one."""
        return 0 if self._held is None else self._held.version

    @property
    def progress(self) -> Progress | None:
        """What is held, with the reason of a failure as soon as all of it is there."""
        held = self._held
        if held is None:
            return None
        if held.progress.status is not Status.FAILED or self._reason_version != held.version:
            return held.progress
        octets = b"".join(self._reason[offset] for offset in sorted(self._reason))
        if len(octets) != self._reason_size:
            return held.progress
        return replace(held.progress, failure_reason=octets.decode("utf-8", "replace"))


class MaterialsAssembler:
    """The receiving side of `materials_records`."""

    def __init__(self, session_id: UUID) -> None:
        self._session_id = session_id
        self._sequence = 0
        self._version: int | None = None
        self._totals: tuple[int, int] | None = None
        self._rows: dict[int, Material] = {}
        self._problems: dict[int, Problem] = {}

    def apply(self, record: MaterialsPart | ProblemsPart, sequence: int) -> None:
        """Take a record that came with datagram `sequence`. Parts of a table older than the newest are dropped."""
        if record.version != self._version:
            if sequence < self._sequence:
                return
            self._version, self._totals = record.version, None
            self._rows.clear()
            self._problems.clear()
        self._sequence = max(self._sequence, sequence)
        if isinstance(record, MaterialsPart):
            self._totals = (record.rows, record.problems)
            self._rows.update(enumerate(record.materials, record.first))
        else:
            self._problems.update(enumerate(record.problems, record.first))

    @property
    def materials(self) -> MaterialsState | None:
        """The newest table, when all of it is there; else None."""
        if self._version is None or self._totals != (len(self._rows), len(self._problems)):
            return None
        rows = [self._rows[row] for row in sorted(self._rows)]
        for problem in self._problems.values():
            if problem.row < len(rows):
                material = rows[problem.row]
                rows[problem.row] = replace(material, problem=_notification(material.material_id, problem))
        return MaterialsState(self._session_id, self._version, tuple(rows))


def _notification(material_id: UUID, problem: Problem) -> MaterialNotification:
    return MaterialNotification(
        material_id=material_id,
        notification_type=problem.problem,
        required_quantity=problem.required_quantity,
        available_quantity=problem.available_quantity,
        required_quality=problem.required_quality,
        available_quality=problem.available_quality,
    )


def encoded(records: Iterable[StateRecord]) -> Sequence[bytes]:
    """The bytes of each record."""
    return [codec.encode_state_record(record) for record in records]
