"""Deltas of tables of materials against a baseline that the other side acknowledged. Pure."""

from __future__ import annotations

from msgspec import UNSET, Struct
from msgspec.structs import replace

from craftnet.contract.messages import MaterialNotification
from craftnet.crafting.state import Material, MaterialsState
from craftnet.errors import BadDatagram
from craftnet.protocols.wire.layouts import NONE_U32
from craftnet.protocols.wire.records import MaterialsDelta, Problem, RowChange

KEPT_TABLES = 32
"""Tables that each side keeps as baselines."""

MAX_CHANGES = 255
MAX_VERSIONS_BACK = 255

MAX_QUANTITY = NONE_U32 - 1
"""The value sent for any larger quantity."""

_U32 = 0xFFFFFFFF


class TableHistory(Struct, eq=False, gc=False):
    """The newest `KEPT_TABLES` tables, by the low 32 bits of their versions.

    Attributes:
        baseline: the newest one that the other side acknowledged; None before, or when it is no longer kept.
    """

    baseline: MaterialsState | None = None
    _newer: tuple[MaterialsState, ...] = ()  # than the baseline, oldest first; nearly always there is none.

    def add(self, table: MaterialsState) -> None:
        """Adds a table; the oldest makes room."""
        version = table.version & _U32
        self._newer = (*(each for each in self._newer if each.version & _U32 != version), table)
        if len(self._newer) + (self.baseline is not None) > KEPT_TABLES:
            if self.baseline is None:
                self._newer = self._newer[1:]
            self.baseline = None

    def get(self, version: int) -> MaterialsState | None:
        """The table of that version, if it is kept."""
        for table in (*self._newer, self.baseline):
            if table is not None and table.version & _U32 == version:
                return table
        return None

    def drop(self, version: int) -> None:
        """Removes the table of that version."""
        self._newer = tuple(table for table in self._newer if table.version & _U32 != version)

    def acknowledged(self, version: int) -> None:
        """The other side holds the table of that version. Drops older ones: they will not be baselines."""
        for index, table in enumerate(self._newer):
            if table.version & _U32 == version:
                self.baseline, self._newer = table, self._newer[index + 1 :]
                return


def table_delta(base: MaterialsState, table: MaterialsState) -> MaterialsDelta | None:
    """The delta from `base` to `table`; None where there is none: other materials, too many changes, too far back."""
    back = table.version - base.version & _U32
    if not 0 < back <= MAX_VERSIONS_BACK or len(base.materials) != len(table.materials):
        return None
    changes = []
    for row, (before, after) in enumerate(zip(base.materials, table.materials, strict=True)):
        if before is after:
            continue
        if before.material_id != after.material_id:
            return None
        quantity, quality = min(after.quantity, MAX_QUANTITY), after.quality or 0
        change = RowChange(
            row,
            None if quantity == min(before.quantity, MAX_QUANTITY) else quantity,
            None if quality == (before.quality or 0) else quality,
            UNSET if before.problem == after.problem else wire_problem(row, after.problem),
        )
        if change != RowChange(row):
            changes.append(change)
    if not 0 < len(changes) <= MAX_CHANGES:
        return None
    return MaterialsDelta(table.version & _U32, back, len(base.materials), tuple(changes))


def apply_delta(base: MaterialsState, delta: MaterialsDelta) -> MaterialsState:
    """The table that results from `base` and `delta`.

    Raises:
        BadDatagram: it is a delta against another table.
    """
    if delta.rows != len(base.materials):
        raise BadDatagram("no_baseline", "a delta against another table")
    rows = list(base.materials)
    for change in delta.changes:
        before, problem = rows[change.row], change.problem
        rows[change.row] = Material(
            before.material_id,
            before.quantity if change.quantity is None else change.quantity,
            before.quality if change.quality is None else change.quality or None,
            before.problem
            if problem is UNSET
            else notification(before, problem)
            if isinstance(problem, Problem)
            else None,
        )
    return replace(base, version=delta.version, materials=tuple(rows))


def wire_problem(row: int, problem: MaterialNotification | None) -> Problem | None:
    """A material's problem in its wire form."""
    if problem is None:
        return None
    return Problem(
        row,
        problem.notification_type,
        _fitting(problem.required_quantity),
        _fitting(problem.available_quantity),
        problem.required_quality,
        problem.available_quality,
    )


def notification(material: Material, problem: Problem) -> MaterialNotification:
    """A problem in its wire form as a notification."""
    return MaterialNotification(
        material_id=material.material_id,
        notification_type=problem.problem,
        required_quantity=problem.required_quantity,
        available_quantity=problem.available_quantity,
        required_quality=problem.required_quality,
        available_quality=problem.available_quality,
    )


def _fitting(quantity: int | None) -> int | None:
    return None if quantity is None else min(quantity, MAX_QUANTITY)
