"""A session's state as records that fit into datagrams, and the same put together again. Pure.

Nothing is left out for lack of room: a table, or a long reason, becomes several records, which may come in any order,
twice, and mixed with those of other versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from msgspec.structs import replace

from craftnet.errors import BadDatagram
from craftnet.messages import Status
from craftnet.model import Progress
from craftnet.protocols import codec
from craftnet.protocols.records import (
    MaterialsDelta,
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    StateRecord,
)
from craftnet.protocols.udp.delta import LARGEST, Tables, notification, patched, told_problem
from craftnet.state import Material, MaterialsState, SessionState

_MOST = 255  # what a part's count, a byte, can say.
_U32 = 0xFFFFFFFF


def progress_records(state: SessionState, room: int) -> list[StateRecord]:
    """A session's progress as records of at most `room` bytes each; `room` is 33 at least."""
    version = state.version & _U32
    progress = state.progress
    records: list[StateRecord] = [ProgressState(version, _fitting(progress))]
    if not progress.failure_reason:
        return records
    reason = progress.failure_reason.encode()
    step = min(_MOST, room - codec.REASON_PART_SIZE)
    for offset in range(0, len(reason), step):
        records.append(ReasonPart(version, len(reason), offset, reason[offset : offset + step]))
    return records


def _fitting(progress: Progress) -> Progress:
    """As much of it as travels in one record: nearly always all."""
    remaining = progress.remaining
    if progress.anchor >= 0.0 and (remaining is None or remaining <= LARGEST / 1000) and not progress.failure_reason:
        return progress
    return replace(
        progress,
        anchor=max(0.0, progress.anchor),
        remaining=None if remaining is None else min(remaining, LARGEST / 1000),
        failure_reason=None,
    )


def materials_records(state: MaterialsState, room: int) -> list[StateRecord]:
    """A session's materials as records of at most `room` bytes each. An empty table is one record."""
    version = state.version & _U32
    rows = [
        Material(material.material_id, min(material.quantity, LARGEST), material.quality)
        for material in state.materials
    ]
    problems = [
        problem
        for row, material in enumerate(state.materials)
        if (problem := told_problem(row, material.problem)) is not None
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


class ProgressAssembler:
    """The receiving side of `progress_records`."""

    def __init__(self) -> None:
        self._sequence = 0
        self._held: ProgressState | None = None
        self._reason_from = 0  # the newest datagram that a part of it came in.
        self._reason_version: int | None = None
        self._reason: dict[int, bytes] = {}
        self._reason_size = 0

    def apply(self, record: ProgressState | ReasonPart, sequence: int) -> None:
        """Take a record that came with datagram `sequence`. What is older than what is held of its kind is dropped."""
        if isinstance(record, ProgressState):
            if sequence > self._sequence:
                self._sequence, self._held = sequence, record
            return
        if sequence < self._reason_from and record.version != self._reason_version:
            return
        self._reason_from = max(self._reason_from, sequence)
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
    """The receiving side of `materials_records`, and of differences.

    Attributes:
        materials: the newest table that is complete; None before there was one.
    """

    def __init__(self, session_id: UUID) -> None:
        self.materials: MaterialsState | None = None
        self._session_id = session_id
        self._sequence = 0
        self._tables = Tables()
        self._version: int | None = None
        self._totals: tuple[int, int] | None = None
        self._rows: dict[int, Material] = {}
        self._problems: dict[int, Problem] = {}

    @property
    def version(self) -> int:
        """That of the newest complete table; 0 before there was one."""
        return 0 if self.materials is None else self.materials.version

    def apply(self, record: MaterialsPart | ProblemsPart | MaterialsDelta, sequence: int) -> None:
        """Take a record that came with datagram `sequence`. What is of a table older than the newest is dropped.

        Raises:
            BadDatagram: this is the difference from a table that is not held; only a full one helps now.
        """
        if sequence < self._sequence and record.version != self._version:
            return
        if isinstance(record, MaterialsDelta):
            self._patch(record)
            self._sequence = max(self._sequence, sequence)
            return
        if record.version != self._version:
            self._version, self._totals = record.version, None
            self._rows.clear()
            self._problems.clear()
        self._sequence = max(self._sequence, sequence)
        if isinstance(record, MaterialsPart):
            self._totals = (record.rows, record.problems)
            self._rows.update(enumerate(record.materials, record.first))
        else:
            self._problems.update(enumerate(record.problems, record.first))
        if self._totals == (len(self._rows), len(self._problems)):
            self._complete(self._version, self._assembled())

    def _patch(self, delta: MaterialsDelta) -> None:
        if delta.version == self.version and self.materials is not None:
            return  # the same difference once more.
        base = self._tables.get(delta.version - delta.back & _U32)
        if base is None:
            raise BadDatagram("no_baseline", "a difference from a table that is not held")
        table = patched(base, delta)
        self._version = None  # what was begun of another table is out of date.
        self._complete(delta.version, table.materials)

    def _complete(self, version: int, materials: tuple[Material, ...]) -> None:
        self.materials = MaterialsState(self._session_id, version, materials)
        self._tables.add(self.materials)

    def _assembled(self) -> tuple[Material, ...]:
        rows = [self._rows[row] for row in sorted(self._rows)]
        for problem in self._problems.values():
            if problem.row < len(rows):
                material = rows[problem.row]
                rows[problem.row] = replace(material, problem=notification(material, problem))
        return tuple(rows)


def encoded(records: Iterable[StateRecord]) -> Sequence[bytes]:
    """The bytes of each record."""
    return list(map(codec.encode_state_record, records))
