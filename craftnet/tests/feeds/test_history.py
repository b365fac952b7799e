"""The changes that are kept for returning watchers."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.position import HISTORY_LENGTH, HISTORY_SECONDS
from craftnet.crafting.state import MaterialsChange, MaterialsState
from craftnet.feeds.recovery import History
from craftnet.tests.support.samples import NOW, SESSION

CHANGES = [MaterialsChange(MaterialsState(SESSION, version)) for version in range(200)]
"""The change at index n leads to version n."""


class HistoryTests(SynchronousTestCase):
    def updated(self, start: int, *versions: int) -> History[MaterialsChange]:
        """A history that starts at `start` and has these changes."""
        history: History[MaterialsChange] = History(start)
        for version in versions:
            history.keep(CHANGES[version], NOW)
        return history

    def test_what_came_after(self) -> None:
        history = self.updated(4, 5, 6, 7)
        for version in range(4, 8):
            self.assertEqual(history.since(version, NOW), CHANGES[version + 1 : 8], version)

    def test_before_the_beginning(self) -> None:
        self.assertIsNone(self.updated(4).since(3, NOW))
        self.assertEqual(self.updated(4).since(4, NOW), [])

    def test_a_gap(self) -> None:
        """A change that replaces several may repeat one of them: only later ones are delivered."""
        history = self.updated(4, 5, 8, 9)
        self.assertEqual([history.since(version, NOW) for version in (4, 5, 7)], [None] * 3)
        self.assertEqual(history.since(8, NOW), [CHANGES[9]])
        self.assertIsNone(self.updated(9, 3).since(2, NOW))

    def test_with_what_another_recalls(self) -> None:
        history = self.updated(4, 5, 6)
        # It may know more than was delivered here: that follows as usual.
        self.assertEqual(history.since(2, NOW, CHANGES[3:9]), CHANGES[3:7])
        self.assertEqual(history.since(2, NOW, CHANGES[3:5]), CHANGES[3:7])
        self.assertEqual(history.since(5, NOW, CHANGES[3:9]), [CHANGES[6]])
        for recalled in ((), CHANGES[3:4], CHANGES[4:9], [CHANGES[3], *CHANGES[5:9]]):
            self.assertIsNone(history.since(2, NOW, recalled))

    def test_bounded_in_number(self) -> None:
        history = self.updated(0, *range(1, HISTORY_LENGTH + 2))
        self.assertIsNone(history.since(0, NOW))
        self.assertEqual(history.since(1, NOW), CHANGES[2 : HISTORY_LENGTH + 2])

    def test_bounded_in_age(self) -> None:
        history = self.updated(0, 1)
        self.assertEqual(history.since(0, NOW + HISTORY_SECONDS), [CHANGES[1]])
        self.assertIsNone(history.since(0, NOW + HISTORY_SECONDS + 1))
        self.assertEqual(history.since(1, NOW + HISTORY_SECONDS + 1), [])
