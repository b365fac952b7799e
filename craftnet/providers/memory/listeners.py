"""Listeners by key, in the order in which they were added."""

from __future__ import annotations

from typing import Generic, TypeVar
from uuid import UUID

Listener = TypeVar("Listener")


class Listeners(Generic[Listener]):
    """Listeners by key. A listener that is added twice is called once."""

    def __init__(self) -> None:
        # Keyed by the integer of the id: UUIDs are hashed and compared in Python. Nearly every key has one listener.
        self._by_key: dict[int, tuple[Listener, ...]] = {}

    def add(self, key: UUID, listener: Listener) -> None:
        """Adds a listener for `key`."""
        listeners = self.of(key)
        if listener not in listeners:
            self._by_key[key.int] = (*listeners, listener)

    def remove(self, key: UUID, listener: Listener) -> None:
        """Removes a listener; unknown ones are ignored."""
        listeners = self.of(key)
        if listener in listeners:
            left = tuple(each for each in listeners if each != listener)
            if left:
                self._by_key[key.int] = left
            else:
                del self._by_key[key.int]

    def of(self, key: UUID) -> tuple[Listener, ...]:
        """A copy of the listeners of `key`, since calling them may change the list."""
        return self._by_key.get(key.int, ())
