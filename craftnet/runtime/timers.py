"""Timers for many things at once: a wheel that spreads periodic work, and the earliest of many deadlines. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

Item = TypeVar("Item", bound=Hashable)


class TimingWheel(Generic[Item]):
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


Key = TypeVar("Key", int, str)

_SLACK = 64


class Deadlines(Generic[Key]):
    """Finds the keys whose deadline may have passed.

    A deadline that is postponed stays where it is: its key is returned at the old time, and its owner sets the new one.

    Attributes:
        earliest: when to call `due` next; None when there is no deadline.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, Key]] = []
        self._entries: dict[Key, float] = {}
        self.earliest: float | None = None

    def __len__(self) -> int:
        """How many deadlines are kept, those that are out of date included."""
        return len(self._heap)

    def set(self, key: Key, when: float) -> None:
        """Returns `key` from `due` at `when` (Unix seconds) or before."""
        entry = self._entries.get(key)
        if entry is None or when < entry:
            self._entries[key] = when
            heappush(self._heap, (when, key))
            if self.earliest is None or when < self.earliest:
                self.earliest = when
            if len(self._heap) > 3 * len(self._entries) // 2 + _SLACK:
                self._sweep()

    def discard(self, key: Key) -> None:
        """Removes `key`."""
        self._entries.pop(key, None)

    def _sweep(self) -> None:
        """Drops outdated entries, often enough to keep the heap small, rarely enough to be cheap."""
        self._heap = [(when, key) for key, when in self._entries.items()]
        heapify(self._heap)

    def due(self, now: float) -> list[Key]:
        """The keys whose deadline is at or before `now`; each must be set again to be returned again."""
        named, heap, entries = [], self._heap, self._entries
        while heap:
            when, key = heap[0]
            if entries.get(key) == when:
                if when > now:
                    break
                del entries[key]
                named.append(key)
            heappop(heap)
        self.earliest = heap[0][0] if heap else None
        return named
