"""What is kept for watchers that come back."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.feeds.history import History
from craftnet.tests.samples import NOW
from craftnet.updates import Update


class HistoryTests(SynchronousTestCase):
    def test_what_came_after(self) -> None:
        history, first, second = History(4), Update(None, ()), Update(None, ())
        history.keep(5, first, NOW)
        history.keep(7, second, NOW)
        for version, missed in ((4, [first, second]), (5, [second]), (6, [second]), (7, [])):
            self.assertEqual(history.since(version, NOW), missed, version)

    def test_before_the_beginning(self) -> None:
        self.assertIsNone(History(4).since(3, NOW))
        self.assertEqual(History(4).since(4, NOW), [])

    def test_bounded_in_number(self) -> None:
        history = History(0, capacity=2)
        updates = [Update(None, ()) for _ in range(3)]
        for version, update in enumerate(updates, 1):
            history.keep(version, update, NOW)
        self.assertIsNone(history.since(0, NOW))
        self.assertEqual(history.since(1, NOW), updates[1:])

    def test_bounded_in_age(self) -> None:
        history, update = History(0, age=30.0), Update(None, ())
        history.keep(1, update, NOW)
        self.assertEqual(history.since(0, NOW + 30), [update])
        self.assertIsNone(history.since(0, NOW + 31))
        self.assertEqual(history.since(1, NOW + 31), [])
