from __future__ import annotations

from collections.abc import Iterable
from random import Random
from uuid import UUID

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import MaterialNotification, MaterialProblem, Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.core.state_records import (
    MaterialsAssembler,
    ProgressAssembler,
    encoded,
    materials_records,
    progress_records,
)
from craftnet.protocols.udp.core.table_delta import table_delta
from craftnet.protocols.wire.records import (
    MaterialsDelta,
    MaterialsPart,
    Problem,
    ProblemsPart,
    ProgressState,
    ReasonPart,
    RowChange,
    StateRecord,
)
from craftnet.tests.support.samples import NOW, SESSION, running

SMALLEST = 64 - OVERHEAD
"""Room in the smallest packet that can be negotiated."""


def long_table(rows: int, version: int = 3) -> MaterialsState:
    """A table in which every third material has a problem."""
    random = Random(rows)

    def material(row: int) -> Material:
        material_id = UUID(int=random.getrandbits(128))
        problem = MaterialNotification(
            material_id=material_id,
            notification_type=MaterialProblem.QUALITY_TOO_LOW,
            required_quality=60,
            available_quantity=row,
        )
        return Material(material_id, row, row % 100 + 1, None if row % 3 else problem)

    return MaterialsState(SESSION, version, tuple(material(row) for row in range(rows)))


def failed(reason: str, version: int = 5) -> SessionState:
    """A failed session."""
    return replace(running(), version=version, progress=Progress(Status.FAILED, 12.0, NOW, 0.0, failure_reason=reason))


def assembled_materials(records: Iterable[StateRecord]) -> MaterialsState | None:
    """The table of records that come one by one."""
    assembler = MaterialsAssembler(SESSION)
    for sequence, record in enumerate(records, 1):
        assert isinstance(record, MaterialsPart | ProblemsPart)
        assembler.apply(record, sequence)
    return assembler.materials


def assembled_progress(records: Iterable[StateRecord]) -> Progress | None:
    """The progress of records that come one by one."""
    assembler = ProgressAssembler()
    for sequence, record in enumerate(records, 1):
        assert isinstance(record, ProgressState | ReasonPart)
        assembler.apply(record, sequence)
    return assembler.progress


class SplittingTests(SynchronousTestCase):
    """State as records that fit."""

    def test_everything_fits_the_smallest_packet(self) -> None:
        for records in (
            progress_records(running(), SMALLEST),
            progress_records(failed("a long tale " * 16), SMALLEST),
            materials_records(long_table(40), SMALLEST),
        ):
            self.assertLessEqual(max(map(len, encoded(records))), SMALLEST)

    def test_a_large_packet_takes_many_rows(self) -> None:
        self.assertEqual(len(materials_records(long_table(50), 1200 - OVERHEAD)), 2)

    def test_what_no_field_can_hold_is_the_most_it_can(self) -> None:
        state = running()
        endless = replace(state, version=2**32 + 7, progress=replace(state.progress, remaining=1e12, anchor=-5.0))
        encoded(progress_records(endless, SMALLEST))
        many = MaterialsState(SESSION, 1, (Material(SESSION, 10**12),))
        result = assembled_materials(materials_records(many, SMALLEST))
        assert result is not None
        self.assertEqual(result.materials[0].quantity, 2**32 - 2)


class AssemblyTests(SynchronousTestCase):
    """The way back."""

    def test_tables_of_all_sizes_in_any_order_and_twice(self) -> None:
        random = Random(1)
        for rows in (0, 1, 2, 50, 300):
            for room in (SMALLEST, 500, 1169):
                state = long_table(rows)
                records = materials_records(state, room) * 2
                random.shuffle(records)
                self.assertEqual(assembled_materials(records), state)

    def test_a_table_with_a_hole_is_none(self) -> None:
        records = materials_records(long_table(9), SMALLEST)
        for missing in range(len(records)):
            self.assertIsNone(assembled_materials(records[:missing] + records[missing + 1 :]))

    def test_parts_of_an_older_table_that_come_late_are_dropped(self) -> None:
        old, new = long_table(4, version=3), long_table(3, version=4)
        assembler = MaterialsAssembler(SESSION)
        sequenced = [
            (1, materials_records(old, SMALLEST)[0]),
            *((10, record) for record in materials_records(new, SMALLEST)),
            (2, materials_records(old, SMALLEST)[1]),
        ]
        for sequence, record in sequenced:
            assert isinstance(record, MaterialsPart | ProblemsPart)
            assembler.apply(record, sequence)
        self.assertEqual(assembler.materials, new)

    def _assembler(self, *records: StateRecord) -> MaterialsAssembler:
        """The result of these parts, each in its own datagram."""
        assembler = MaterialsAssembler(SESSION)
        for sequence, record in enumerate(records, 1):
            assert isinstance(record, MaterialsPart | ProblemsPart | MaterialsDelta)
            assembler.apply(record, sequence)
        return assembler

    def _contradicts(self, assembler: MaterialsAssembler, record: StateRecord, sequence: int) -> None:
        assert isinstance(record, MaterialsPart | ProblemsPart)
        error = self.assertRaises(BadDatagram, assembler.apply, record, sequence)
        self.assertEqual(error.outcome, "contradictory")

    def test_parts_that_contradict_each_other(self) -> None:
        """None of them is kept, so the full state that is requested applies as it comes."""
        iron, gold = Material(UUID(int=1), 5), Material(UUID(int=2), 6)
        first = MaterialsPart(3, 2, 1, 0, (iron,))
        problem = Problem(1, MaterialProblem.QUALITY_TOO_LOW)
        for other in (
            MaterialsPart(3, 3, 1, 1, (gold,)),
            MaterialsPart(3, 2, 2, 1, (gold,)),
            MaterialsPart(3, 2, 1, 0, (gold,)),
            ProblemsPart(3, 1, (problem,)),
            ProblemsPart(3, 0, (replace(problem, row=2),)),
        ):
            assembler = self._assembler(first)
            self._contradicts(assembler, other, 2)
            for record in (MaterialsPart(3, 2, 1, 0, (gold, iron)), ProblemsPart(3, 0, (problem,))):
                assembler.apply(record, 3)
            self.assertIsNotNone(assembler.materials, other)

    def test_problems_that_contradict_what_comes_after_them(self) -> None:
        problems = ProblemsPart(3, 0, (Problem(0, MaterialProblem.QUALITY_TOO_LOW),))
        for other in (
            ProblemsPart(3, 1, problems.problems),
            ProblemsPart(3, 0, (Problem(0, MaterialProblem.MATERIAL_RESTORED),)),
            MaterialsPart(3, 0, 0, 0, ()),
        ):
            self._contradicts(self._assembler(problems), other, 2)

    def test_parts_that_contradict_a_table_that_is_complete(self) -> None:
        """The table is no baseline any more, and the next parts of its version apply."""
        state = long_table(3)
        others = replace(state, materials=state.materials[::-1])
        for whole in (materials_records(state, 1000), [*materials_records(state, 1000)] * 2):
            assembler = self._assembler(*whole)
            self._contradicts(assembler, materials_records(others, 1000)[0], 9)
            self.assertEqual((assembler.materials, assembler.version), (state, 0))
            delta = MaterialsDelta(4, 1, 3, (RowChange(0, 77),))
            self.assertEqual(self.assertRaises(BadDatagram, assembler.apply, delta, 10).outcome, "no_baseline")
            for record in materials_records(others, 1000):
                assert isinstance(record, MaterialsPart | ProblemsPart)
                assembler.apply(record, 11)
            self.assertEqual((assembler.materials, assembler.version), (others, 3))

    def test_parts_of_a_table_that_a_difference_completed(self) -> None:
        """The same by other means; and a late difference is dropped, whatever is being put together."""
        base, table = long_table(3), long_table(3, version=4)
        table = replace(table, materials=(replace(table.materials[0], quantity=77), *table.materials[1:]))
        delta = table_delta(base, table)
        assert delta is not None
        assembler = self._assembler(*materials_records(base, 1000), delta)
        for record in materials_records(table, 1000):
            assert isinstance(record, MaterialsPart | ProblemsPart)
            assembler.apply(record, 9)
        self.assertEqual((assembler.materials, assembler.version), (table, 4))
        late = MaterialsDelta(4, 1, 3, (RowChange(0, 5),))
        assembler.apply(late, 8)
        self.assertEqual(assembler.materials, table)

    def test_progress(self) -> None:
        self.assertEqual(
            assembled_progress(progress_records(running(percent=12.34), SMALLEST)), running(percent=12.34).progress
        )

    def test_older_progress_that_comes_late_changes_nothing(self) -> None:
        assembler = ProgressAssembler()
        for sequence, percent in ((2, 50.0), (1, 10.0)):
            (record,) = progress_records(running(percent=percent), SMALLEST)
            assert isinstance(record, ProgressState)
            assembler.apply(record, sequence)
        assert assembler.progress is not None
        self.assertEqual(assembler.progress.percent, 50.0)

    def test_a_long_reason_in_any_order(self) -> None:
        reason = "zu wenig Kupfer — " * 11
        records = progress_records(failed(reason), SMALLEST)
        for order in (records, records[::-1]):
            progress = assembled_progress(order)
            assert progress is not None
            self.assertEqual(progress.failure_reason, reason)

    def test_parts_of_an_older_reason_that_come_late_are_dropped(self) -> None:
        """Parts of the newer one that were sent before some of its others, and come after them, are not."""
        old, new = (
            progress_records(failed(letter * 80, version), SMALLEST) for letter, version in (("o", 5), ("n", 6))
        )
        assembler = ProgressAssembler()
        sequenced = [(9, new[0]), (12, new[1]), (3, old[1]), (10, new[2]), (11, old[2]), (13, new[3]), (14, new[4])]
        for sequence, record in sequenced:
            assert isinstance(record, ProgressState | ReasonPart)
            assembler.apply(record, sequence)
        assert assembler.progress is not None
        self.assertEqual(assembler.progress.failure_reason, "n" * 80)

    def test_a_reason_that_replaces_another(self) -> None:
        old, new = (
            progress_records(failed(letter * 80, version), SMALLEST) for letter, version in (("o", 5), ("n", 6))
        )
        progress = assembled_progress([*old[:2], *new])
        assert progress is not None
        self.assertEqual(progress.failure_reason, "n" * 80)

    def test_parts_of_a_reason_that_contradict_each_other(self) -> None:
        """None of them is kept."""
        for total, offset, octets in ((4, 0, b"lo"), (3, 0, b"la"), (3, 1, b"en")):
            assembler = ProgressAssembler()
            assembler.apply(ProgressState(5, failed("").progress), 1)
            assembler.apply(ReasonPart(5, 3, 0, b"lo"), 1)
            error = self.assertRaises(BadDatagram, assembler.apply, ReasonPart(5, total, offset, octets), 2)
            self.assertEqual(error.outcome, "contradictory")
            assembler.apply(ReasonPart(5, 3, 2, b"w"), 3)
            assembler.apply(ReasonPart(5, 3, 0, b"lo"), 4)
            progress = assembler.progress
            assert progress is not None
            self.assertEqual(progress.failure_reason, "low")

    def test_a_reason_that_is_no_text(self) -> None:
        progress = assembled_progress([ProgressState(5, failed("").progress), ReasonPart(5, 3, 0, b"a\xffb")])
        assert progress is not None
        self.assertEqual(progress.failure_reason, "a\ufffdb")

    def test_a_failure_is_reported_before_its_reason_is_complete(self) -> None:
        progress = assembled_progress(progress_records(failed("x" * 100), SMALLEST)[:-1])
        assert progress is not None
        self.assertEqual((progress.status, progress.failure_reason), (Status.FAILED, None))
