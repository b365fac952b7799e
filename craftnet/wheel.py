"""A timing wheel: many items, each due once in a period, spread evenly, on one timer.

After G. Varghese and T. Lauck, "Hashed and Hierarchical Timing Wheels" (1987). Pure: its owner turns it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class Wheel(Generic[Item]):
    """`slots` slots; an item's hash selects its slot, so adding needs no bookkeeping."""

    def __init__(self, slots: int) -> None:
        self._slots: list[dict[Item, None]] = [{} for _ in range(slots)]
        self._position = 0

    def _slot(self, item: Item) -> dict[Item, None]:
        return self._slots[hash(item) % len(self._slots)]

    def add(self, item: Item) -> None:
        """Adds an item."""
        self._slot(item)[item] = None

    def discard(self, item: Item) -> None:
        """Removes an item."""
        self._slot(item).pop(item, None)

    def turn(self) -> tuple[Item, ...]:
        """Advances by one slot and returns its items."""
        due = tuple(self._slots[self._position])
        self._position = (self._position + 1) % len(self._slots)
        return due
