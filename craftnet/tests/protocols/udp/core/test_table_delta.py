from __future__ import annotations

from random import Random

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.crafting.state import Material, MaterialsState
from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.state_records import MaterialsAssembler, materials_records
from craftnet.protocols.udp.core.table_delta import KEPT_TABLES, MAX_QUANTITY, TableHistory, apply_delta, table_delta
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import MaterialsDelta, MaterialsPart, RowChange
from craftnet.tests.support.samples import COPPER, IRON, NOW, SESSION
from craftnet.tests.support.udp_lab import Lab, changed, datagrams, held, table


def travelled(state: MaterialsState) -> MaterialsState:
    """The table as a client knows it."""
    rows = [replace(row, quantity=min(row.quantity, MAX_QUANTITY)) for row in state.materials]
    return replace(state, version=state.version & 0xFFFFFFFF, materials=tuple(rows))


class DifferenceTests(SynchronousTestCase):
    """A delta results in the same table as the parts."""

    def test_random_histories(self) -> None:
        for seed in range(200):
            random = Random(seed)
            base = table(random.choice([1, 2**32 - 3, 2**32 + 5]))
            state = base
            for _ in range(random.randrange(1, 6)):
                state = changed(state, random)
            delta = table_delta(base, state)
            if delta is None:
                self.assertEqual(travelled(base).materials, travelled(state).materials, f"seed {seed}")
                continue
            (read,) = codec.decode_state(codec.encode_state_record(delta))
            assert isinstance(read, MaterialsDelta)
            self.assertEqual(apply_delta(travelled(base), read), travelled(state), f"seed {seed}")

    def test_other_materials_have_no_delta(self) -> None:
        base = table()
        for rows in (base.materials[:1], base.materials[::-1], (*base.materials, Material(SESSION, 1))):
            self.assertIsNone(table_delta(base, replace(base, version=2, materials=rows)))

    def test_neither_can_what_is_too_far_back(self) -> None:
        self.assertIsNotNone(table_delta(table(1), table(256, iron=3)))
        self.assertIsNone(table_delta(table(1), table(257, iron=3)))
        self.assertIsNone(table_delta(table(2), table(1, iron=3)))

    def test_from_another_table(self) -> None:
        self.assertRaises(BadDatagram, apply_delta, table(), MaterialsDelta(2, 1, 3, (RowChange(0, 1),)))


class TablesTests(SynchronousTestCase):
    """The ring."""

    def test_it_is_bounded(self) -> None:
        tables = TableHistory()
        for version in range(1, KEPT_TABLES + 2):
            tables.add(table(version))
        self.assertIsNone(tables.get(1))
        self.assertEqual(tables.get(2), table(2))

    def test_a_baseline_that_falls_out_is_none(self) -> None:
        tables = TableHistory()
        tables.add(table(1))
        tables.acknowledged(1)
        for version in range(2, KEPT_TABLES + 1):
            tables.add(table(version))
        self.assertEqual(tables.baseline, table(1))
        tables.add(table(KEPT_TABLES + 1))
        self.assertIsNone(tables.baseline)

    def test_what_is_older_than_the_baseline_is_dropped(self) -> None:
        tables = TableHistory()
        for version in (1, 2, 3):
            tables.add(table(version))
        tables.acknowledged(2)
        tables.acknowledged(1)
        self.assertEqual((tables.get(1), tables.baseline), (None, table(2)))


class AssemblerTests(SynchronousTestCase):
    """The client's side."""

    def setUp(self) -> None:
        self.assembler = MaterialsAssembler(SESSION)
        for record in materials_records(table(), 1000):
            self.assembler.apply(record, 1)  # type: ignore[arg-type]  # only parts of materials come.

    def test_a_difference(self) -> None:
        delta = table_delta(table(), table(2, iron=3))
        assert delta is not None
        self.assembler.apply(delta, 2)
        self.assertEqual(self.assembler.materials, table(2, iron=3))
        self.assembler.apply(delta, 3)
        self.assertEqual(self.assembler.materials, table(2, iron=3))

    def test_one_that_completes_a_table_of_which_parts_are_there(self) -> None:
        """The server sent the parts first, and the delta once it knew what the client holds."""
        part = materials_records(table(2, iron=3), 1000)[0]
        assert isinstance(part, MaterialsPart)
        self.assembler.apply(part, 2)
        delta = table_delta(table(), table(2, iron=3))
        assert delta is not None
        self.assembler.apply(delta, 3)
        self.assertEqual(self.assembler.materials, table(2, iron=3))

    def test_a_late_one_changes_nothing(self) -> None:
        older, newer = table_delta(table(), table(2, iron=2)), table_delta(table(), table(3, iron=3))
        assert older is not None and newer is not None
        self.assembler.apply(newer, 3)
        self.assembler.apply(older, 2)
        self.assertEqual(self.assembler.materials, table(3, iron=3))

    def test_one_from_a_table_that_is_not_held(self) -> None:
        delta = table_delta(table(7), table(8, iron=3))
        assert delta is not None
        error = self.assertRaises(BadDatagram, self.assembler.apply, delta, 2)
        self.assertEqual(error.outcome, "no_baseline")
        self.assertEqual(self.assembler.materials, table())


class ConversationTests(SynchronousTestCase):
    """When differences are sent."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.client, self.peer = self.lab.connect(self.lab.ticket())

    def _deliver(self, state: MaterialsState) -> int:
        """Send it to the client, which acknowledges; returns the length of the datagram."""
        (datagram,) = datagrams(self.lab.update(self.peer, state, NOW))
        self.client.receive(datagram, NOW)
        for answer in self.client.tick(self.client.deadline).datagrams:
            self.lab.send(answer)
        return len(datagram)

    def test_after_the_first_table_changes_are_short(self) -> None:
        full = self._deliver(table())
        short = self._deliver(table(2, iron=11))
        self.assertLess(short, full - 40)

    def test_other_materials_are_sent_in_full(self) -> None:
        self._deliver(table())
        more = MaterialsState(SESSION, 2, (Material(IRON, 1), Material(COPPER, 2), Material(SESSION, 3)))
        self._deliver(more)
        self.assertEqual(held(self.client).materials.materials, more)

    def test_no_delta_from_an_unacknowledged_table(self) -> None:
        first = datagrams(self.lab.update(self.peer, table(), NOW))
        second = datagrams(self.lab.update(self.peer, table(2, iron=11), NOW))
        self.assertEqual([len(datagram) for datagram in first], [len(datagram) for datagram in second])
