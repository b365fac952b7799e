from __future__ import annotations

from random import Random
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.contract.position import Position, Versions
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState
from craftnet.protocols.udp.client.received_state import (
    MaterialsChanged,
    ProgressChanged,
    ReceivedState,
    SessionAdded,
    SessionEnded,
)
from craftnet.protocols.wire.records import (
    CloseReason,
    FreshSecret,
    MaterialsDelta,
    MaterialsPart,
    ProgressState,
    RowChange,
    Selector,
    SessionName,
    SessionOver,
    StateRecord,
)
from craftnet.tests.support.samples import IRON, NOW, OTHER_SESSION, SESSION

THIRD_SESSION = UUID(int=3)


def progress(percent: float, version: int = 1) -> ProgressState:
    """As it travels."""
    return ProgressState(version, Progress(Status.ACTIVE, percent, NOW, 60.0))


def iron(quantity: int, version: int = 1) -> MaterialsPart:
    """A whole table."""
    return MaterialsPart(version, 1, 0, 0, (Material(IRON, quantity),))


class CopiesTests(SynchronousTestCase):
    """Which session a record is of, and what becomes of it."""

    def setUp(self) -> None:
        self.copies = ReceivedState({0: SESSION, 3: OTHER_SESSION})
        self.sequence = 0

    def _apply(self, *records: StateRecord) -> list[Any]:
        self.sequence += 1
        news, faults = self.copies.apply(list(records), self.sequence)
        self.assertEqual(faults, [])
        return news

    def test_selectors(self) -> None:
        news = self._apply(progress(1.0), Selector(3), progress(2.0), iron(7), Selector(0), progress(3.0))
        self.assertEqual(
            news,
            [
                ProgressChanged(SESSION, 1, progress(1.0).progress),  # of one datagram, the first counts.
                ProgressChanged(OTHER_SESSION, 1, progress(2.0).progress),
                MaterialsChanged(MaterialsState(OTHER_SESSION, 1, (Material(IRON, 7),))),
            ],
        )

    def test_a_session_that_the_server_names(self) -> None:
        """Records that arrive before the session's name are news, and again for a watcher that is added later."""
        self.assertEqual(self._apply(Selector(5), progress(1.0)), [])
        self.assertEqual(self.copies.nameless, [5])
        changed = ProgressChanged(THIRD_SESSION, 1, progress(1.0).progress)
        news = self._apply(Selector(5), SessionName(THIRD_SESSION))
        self.assertEqual(news, [SessionAdded(THIRD_SESSION, 5), changed])
        self.assertEqual(self.copies.nameless, [])
        self.assertEqual(self._apply(Selector(5), SessionName(THIRD_SESSION)), [])  # repeated.
        self.assertEqual(self.copies.name(5, THIRD_SESSION), [changed])

    def test_a_name_of_a_session_that_is_known(self) -> None:
        self.assertEqual(self._apply(Selector(3), SessionName(THIRD_SESSION)), [])
        self.assertEqual(self.copies.sessions[3], OTHER_SESSION)

    def test_a_position_waits_for_its_table(self) -> None:
        """Else changes of materials would be taken for known that have not arrived."""
        first, second = (Position("6c0ffee", Versions(1, count).encoded, over_udp=True) for count in (1, 2))
        (progressed,) = self._apply(progress(1.0), first)
        self.assertIsNone(progressed.at)
        (materials,) = self._apply(iron(7, 1))
        self.assertEqual(materials.at, first)
        (progressed,) = self._apply(progress(2.0), second)
        self.assertIsNone(progressed.at)
        (materials,) = self._apply(iron(8, 2))
        self.assertEqual(materials.at, second)

    def test_an_older_position_is_dropped(self) -> None:
        newer, older = (Position("6c0ffee", Versions(count).encoded, over_udp=True) for count in (2, 1))
        self.sequence = 5
        self._apply(newer)
        self.copies.apply([older], 3)
        (progressed,) = self._apply(progress(2.0))
        self.assertEqual(progressed.at, newer)

    def test_each_datagram_begins_with_session_0(self) -> None:
        self._apply(Selector(3), progress(2.0))
        (event,) = self._apply(progress(4.0))
        self.assertEqual(event, ProgressChanged(SESSION, 1, progress(4.0).progress))

    def test_a_session_before_the_connect_response(self) -> None:
        """The server may send it before …/connect has answered; it becomes news with the answer."""
        self.assertEqual(self._apply(Selector(5), progress(2.0), iron(1)), [])
        self.assertEqual(
            self.copies.name(5, OTHER_SESSION),
            [
                ProgressChanged(OTHER_SESSION, 1, progress(2.0).progress),
                MaterialsChanged(MaterialsState(OTHER_SESSION, 1, (Material(IRON, 1),))),
            ],
        )
        self.assertEqual(self.copies.name(5, OTHER_SESSION), [])
        (event,) = self._apply(Selector(5), MaterialsDelta(2, 1, 1, (RowChange(0, 9),)))
        self.assertEqual(event, MaterialsChanged(MaterialsState(OTHER_SESSION, 2, (Material(IRON, 9),))))

    def test_a_session_that_ended_before_its_first_state(self) -> None:
        self._apply(Selector(5), progress(2.0))
        self._apply(Selector(5), SessionOver(CloseReason.ENDED))
        news = self.copies.name(5, OTHER_SESSION)
        self.assertEqual(news[-1], SessionEnded(OTHER_SESSION, CloseReason.ENDED))
        self.assertEqual(len(news), 2)

    def test_an_end(self) -> None:
        """Late datagrams of it change nothing."""
        self.assertEqual(
            self._apply(Selector(3), progress(9.0), SessionOver(CloseReason.REVOKED)),
            [
                ProgressChanged(OTHER_SESSION, 1, progress(9.0).progress),
                SessionEnded(OTHER_SESSION, CloseReason.REVOKED),
            ],
        )
        self.assertEqual(self._apply(Selector(3), progress(10.0), SessionOver(CloseReason.ENDED)), [])
        self.assertEqual(self.copies.sessions, {0: SESSION})

    def test_what_is_reported(self) -> None:
        self._apply(progress(1.0), FreshSecret(bytes(32)))
        self.assertTrue(self.copies.reported)
        self._apply(Selector(3), iron(1, 7))
        self.assertFalse(self.copies.reported)
        self.assertEqual(self.copies.report(), {0: 0, 3: 7})
        self.assertEqual(self.copies.report(), {0: 0})
        self._apply(Selector(3), iron(1, 7))  # it did not arrive.
        self.assertEqual(self.copies.report(), {0: 0, 3: 7})

    def test_a_difference_that_is_of_no_use(self) -> None:
        """Everything else in the datagram is."""
        delta = MaterialsDelta(2, 1, 1, (RowChange(0, 9),))
        news, faults = self.copies.apply([Selector(3), delta, Selector(0), progress(2.0)], 1)
        self.assertEqual([fault.outcome for fault in faults], ["no_baseline"])
        self.assertEqual(news, [ProgressChanged(SESSION, 1, progress(2.0).progress)])

    def test_any_order_of_sessions_says_the_same(self) -> None:
        random = Random(1)
        for _ in range(50):
            parts = [(index, progress(float(index))) for index in range(6)]
            random.shuffle(parts)
            copies = ReceivedState(dict.fromkeys(range(6), SESSION))
            records = [record for index, state in parts for record in (Selector(index), state)]
            copies.apply(records, 1)
            for index in range(6):
                copy = copies.get(index)
                assert copy is not None and copy.progress.progress is not None
                self.assertEqual(copy.progress.progress.percent, float(index))
