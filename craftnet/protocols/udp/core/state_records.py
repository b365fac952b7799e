"""A session's state as records that fit into datagrams, and their assembly. Pure.

Nothing is left out for lack of room: a table, or a long reason, becomes several records, which may arrive in any order,
twice, and mixed with those of other versions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from msgspec.structs import replace

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.table_delta import MAX_QUANTITY, TableHistory, apply_delta, notification, wire_problem
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import (
    MaterialsDelta,
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    StateRecord,
)

_ROOM = 1 << 16
_MOST = 255  # the maximum of a part's count, a byte.
_U32 = 0xFFFFFFFF


def progress_records(state: SessionState, room: int) -> list[StateRecord]:
    """A session's progress as records of at most `room` bytes each; `room` is at least 33."""
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
    """The part of it that fits into one record: nearly always everything."""
    remaining = progress.remaining
    if (
        progress.anchor >= 0.0
        and (remaining is None or remaining <= MAX_QUANTITY / 1000)
        and not progress.failure_reason
    ):
        return progress
    return replace(
        progress,
        anchor=max(0.0, progress.anchor),
        remaining=None if remaining is None else min(remaining, MAX_QUANTITY / 1000),
        failure_reason=None,
    )


def materials_records(state: MaterialsState, room: int) -> list[StateRecord]:
    """A session's materials as records of at most `room` bytes each. An empty table is one record."""
    version = state.version & _U32
    rows = [
        Material(material.material_id, min(material.quantity, MAX_QUANTITY), material.quality)
        for material in state.materials
    ]
    problems = [
        problem
        for row, material in enumerate(state.materials)
        if (problem := wire_problem(row, material.problem)) is not None
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


class _Text:
    """A reason and its missing parts.

    Arguments:
        total: bytes of the whole reason.
    """

    def __init__(self, version: int, total: int) -> None:
        self.version = version
        self._octets = bytearray(total)
        self._there = bytearray(total)  # 1 for each byte that has arrived.

    def add(self, part: ReasonPart) -> None:
        """Adds a part.

        Raises:
            BadDatagram: contradictory: it differs from another part.
        """
        start, end = part.offset, part.offset + len(part.octets)
        held = zip(self._there[start:end], self._octets[start:end], part.octets, strict=False)
        if part.total != len(self._octets) or any(there and octet != other for there, octet, other in held):
            raise BadDatagram("contradictory", "the parts of a reason disagree")
        self._octets[start:end] = part.octets
        self._there[start:end] = b"\1" * len(part.octets)

    @property
    def text(self) -> str | None:
        """The whole reason; None while a part is missing."""
        return self._octets.decode("utf-8", "replace") if all(self._there) else None


class ProgressAssembler:
    """The receiving side of `progress_records`."""

    def __init__(self) -> None:
        self._sequence = 0
        self._held: ProgressState | None = None
        self._reason_from = 0  # the newest datagram with a part of it.
        self._reason: _Text | None = None

    def apply(self, record: ProgressState | ReasonPart, sequence: int) -> None:
        """Applies a record from datagram `sequence`. Drops what is older than the present record of its kind.

        Raises:
            BadDatagram: contradictory: the parts of a reason disagree; all of them are discarded.
        """
        if isinstance(record, ProgressState):
            if sequence > self._sequence:
                self._sequence, self._held = sequence, record
            return
        reason = self._reason
        if reason is None or record.version != reason.version:
            if sequence < self._reason_from:
                return
            reason = self._reason = _Text(record.version, record.total)
        try:
            reason.add(record)
        except BadDatagram:
            self._reason = None
            raise
        self._reason_from = max(self._reason_from, sequence)

    @property
    def version(self) -> int:
        """The present version; 0 before there is one."""
        return 0 if self._held is None else self._held.version

    @property
    def progress(self) -> Progress | None:
        """The present progress, with the reason of a failure once it is complete."""
        held, reason = self._held, self._reason
        if held is None:
            return None
        if held.progress.status is not Status.FAILED or reason is None or reason.version != held.version:
            return held.progress
        return replace(held.progress, failure_reason=reason.text)


class _Parts:
    """A table and its missing parts."""

    def __init__(self, version: int) -> None:
        self.version = version
        self._rows: dict[int, Material] = {}
        self._problems: dict[int, Problem] = {}  # by their number in the list of problems.
        self._totals: tuple[int, int] | None = None  # of rows and problems; a list of problems alone does not say.

    @classmethod
    def of(cls, table: MaterialsState) -> _Parts:
        """A complete table, as from parts."""
        parts = cls(table.version)
        for record in materials_records(table, _ROOM):
            if isinstance(record, MaterialsPart | ProblemsPart):
                parts.add(record)
        return parts

    def add(self, part: MaterialsPart | ProblemsPart) -> None:
        """Adds a part.

        Raises:
            BadDatagram: contradictory: it and another part cannot both be right.
        """
        if isinstance(part, MaterialsPart):
            totals: tuple[int, int] | None = (part.rows, part.problems)
            rows, problems = dict(enumerate(part.materials, part.first)), dict[int, Problem]()
        else:
            totals, rows, problems = self._totals, {}, dict(enumerate(part.problems, part.first))
        if self._totals not in (None, totals) or _differ(self._rows, rows) or _differ(self._problems, problems):
            raise BadDatagram("contradictory", "the parts of a table disagree")
        all_problems = {**self._problems, **problems}
        if len({problem.row for problem in all_problems.values()}) < len(all_problems):
            raise BadDatagram("contradictory", "two problems of one row")
        if totals is not None and any(
            number >= totals[1] or problem.row >= totals[0] for number, problem in all_problems.items()
        ):
            raise BadDatagram("contradictory", "a problem outside its table")
        self._totals, self._problems = totals, all_problems
        self._rows.update(rows)

    @property
    def table(self) -> tuple[Material, ...] | None:
        """The whole table; None while a part is missing."""
        if self._totals != (len(self._rows), len(self._problems)):
            return None
        rows = [self._rows[row] for row in sorted(self._rows)]
        for problem in self._problems.values():
            material = rows[problem.row]
            rows[problem.row] = replace(material, problem=notification(material, problem))
        return tuple(rows)


def _differ(held: Mapping[int, object], sent: Mapping[int, object]) -> bool:
    return any(held.get(number, value) != value for number, value in sent.items())


class MaterialsAssembler:
    """The receiving side of `materials_records`, and of deltas.

    Attributes:
        materials: the newest complete table; None before there was one.
    """

    def __init__(self, session_id: UUID) -> None:
        self.materials: MaterialsState | None = None
        self._session_id = session_id
        self._sequence = 0  # of the newest datagram from which a part, or a delta, was taken.
        self._tables = TableHistory()
        self._parts: _Parts | None = None  # of the table being assembled.
        self._doubted = False  # whether parts contradicted the complete table.

    @property
    def version(self) -> int:
        """The version of the newest complete table; 0 before there was one, and while it is contradicted."""
        return 0 if self.materials is None or self._doubted else self.materials.version

    def apply(self, record: MaterialsPart | ProblemsPart | MaterialsDelta, sequence: int) -> None:
        """Applies a record from datagram `sequence`. Drops records of older tables.

        Raises:
            BadDatagram: only a full table helps now. No_baseline: a delta against an unknown table. Contradictory:
                parts of one table disagree; all of them are discarded.
        """
        begun = self._parts is not None and self._parts.version == record.version
        if sequence < self._sequence and (isinstance(record, MaterialsDelta) or not begun):
            return
        if isinstance(record, MaterialsDelta):
            self._patch(record)
        else:
            self._add(record)
        self._sequence = max(self._sequence, sequence)

    def _add(self, part: MaterialsPart | ProblemsPart) -> None:
        """Adds a part of a table that may be complete already: then it must agree."""
        parts, held = self._parts, self.materials
        if parts is None or parts.version != part.version:
            known = held is not None and held.version == part.version and not self._doubted
            parts = self._parts = _Parts.of(held) if known and held is not None else _Parts(part.version)
        try:
            parts.add(part)
        except BadDatagram:
            self._parts = None
            if part.version == self.version:
                self._doubted = True
                self._tables.drop(part.version)
            raise
        table = parts.table
        if table is not None and (held is None or self._doubted or held.version != part.version):
            self._complete(part.version, table)

    def _patch(self, delta: MaterialsDelta) -> None:
        if self.materials is not None and delta.version == self.version:
            return  # the same delta once more.
        base = self._tables.get(delta.version - delta.back & _U32)
        if base is None:
            raise BadDatagram("no_baseline", "a delta against an unknown table")
        table = apply_delta(base, delta)
        self._parts = None  # the table being assembled is out of date.
        self._complete(delta.version, table.materials)

    def _complete(self, version: int, materials: tuple[Material, ...]) -> None:
        self.materials, self._doubted = MaterialsState(self._session_id, version, materials), False
        self._tables.add(self.materials)


def encoded_progress(state: SessionState, room: int) -> Sequence[bytes]:
    """The encoded `progress_records`: nearly always one."""
    if state.progress.failure_reason:
        return encoded(progress_records(state, room))
    return [codec.encode_progress_state(ProgressState(state.version & _U32, _fitting(state.progress)))]


def encoded(records: Iterable[StateRecord]) -> Sequence[bytes]:
    """The encoded records."""
    return list(map(codec.encode_state_record, records))
