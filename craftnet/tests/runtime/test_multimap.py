"""Several values by id."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.runtime.multimap import Multimap
from craftnet.tests.support.samples import PLAYER, SESSION


class MultimapTests(SynchronousTestCase):
    def test_empty_again(self) -> None:
        """Nothing remains of an id without values."""
        values: Multimap[str] = Multimap()
        values.remove(SESSION, "unknown")
        values.add(SESSION, "a")
        values.add(SESSION, "b")
        values.remove(SESSION, "a")
        self.assertEqual(values.of(SESSION), ("b",))
        values.remove(SESSION, "b")
        self.assertEqual(values.of(SESSION), ())

    def test_removing_many_takes_few_comparisons(self) -> None:
        compared: list[object] = []

        class Compared:
            def __eq__(self, other: object) -> bool:
                compared.append(other)
                return self is other

            __hash__ = object.__hash__

        values: Multimap[Compared] = Multimap()
        many = [Compared() for _ in range(100)]
        for act, each in [*((values.add, each) for each in many), *((values.remove, each) for each in many)]:
            act(PLAYER, each)
        self.assertLess(len(compared), 500)
