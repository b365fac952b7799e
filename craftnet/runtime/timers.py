"""Timers for many things at once: a wheel that spreads periodic work, and the earliest of many deadlines. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from heapq import heapify, heappop, heappush
from math import inf
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
_GRAINS = 16  # in a second: divisions by it are exact.

GRAIN = 1 / _GRAINS
"""Seconds by which a reminder may come early."""


class Deadlines(Generic[Key]):
    """Finds the keys whose deadline may have passed.

    A deadline that is postponed stays where it is: its key is returned at the old time, and its owner sets the new one.

    A deadline that is nearly always withdrawn before it comes, as an acknowledgement's, need not be exact: keys to be
    looked at in the same `GRAIN` of time share one entry.

    Attributes:
        earliest: when to call `due` next; infinite when there is no deadline.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, Key]] = []
        self._entries: dict[Key, float] = {}
        self._reminders: dict[int, list[Key]] = {}  # by their times in grains.
        self.earliest = inf

    def __len__(self) -> int:
        """How many deadlines are kept, those that are out of date included."""
        return len(self._heap)

    def set(self, key: Key, when: float) -> None:
        """Returns `key` from `due` at `when` (Unix seconds) or before."""
        entry = self._entries.get(key)
        if entry is None or when < entry:
            self._entries[key] = when
            heappush(self._heap, (when, key))
            if when < self.earliest:
                self.earliest = when
            if len(self._heap) > 3 * len(self._entries) // 2 + _SLACK:
                self._sweep()

    def remind(self, key: Key, when: float) -> float:
        """Returns `key` from `due` at `when` or at most a `GRAIN` before, whatever is set. It cannot be discarded.

        Returns:
            The time at which that is.
        """
        grain = int(when * _GRAINS)
        due = grain / _GRAINS
        keys = self._reminders.get(grain)
        if keys is not None:
            keys.append(key)
        else:
            self._reminders[grain] = [key]
            if due < self.earliest:
                self.earliest = due
        return due

    def discard(self, key: Key) -> None:
        """Removes `key`."""
        self._entries.pop(key, None)

    def _sweep(self) -> None:
        """Drops outdated entries, often enough to keep the heap small, rarely enough to be cheap."""
        self._heap = [(when, key) for key, when in self._entries.items()]
        heapify(self._heap)

    def due(self, now: float) -> list[Key]:
        """The keys whose deadline is at or before `now`; each must be set again to be returned again.

        Those of reminders may be among them more than once, and after they were discarded.
        """
        named, heap, entries = [], self._heap, self._entries
        while heap:
            when, key = heap[0]
            if entries.get(key) == when:
                if when > now:
                    break
                del entries[key]
                named.append(key)
            heappop(heap)
        self.earliest = heap[0][0] if heap else inf
        if self._reminders:
            for grain in [each for each in self._reminders if each / _GRAINS <= now]:
                named += self._reminders.pop(grain)
            self.earliest = min(self.earliest, min(self._reminders, default=inf) / _GRAINS)
        return named
