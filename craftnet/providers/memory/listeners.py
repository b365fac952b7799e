"""Who watches what: listeners by key, in the order they came."""

from __future__ import annotations

from typing import Generic, TypeVar
from uuid import UUID

Listener = TypeVar("Listener")


class Listeners(Generic[Listener]):
    """A listener that watches a key twice is told once."""

    def __init__(self) -> None:
        # By the number of the id: UUIDs are hashed, and compared, in Python. Nearly always there is one.
        self._by_key: dict[int, tuple[Listener, ...]] = {}

    def add(self, key: UUID, listener: Listener) -> None:
        """Tell `listener` of `key` from now on."""
        listeners = self.of(key)
        if listener not in listeners:
            self._by_key[key.int] = (*listeners, listener)

    def remove(self, key: UUID, listener: Listener) -> None:
        """Tell it no more; unknown ones are no error."""
        listeners = self.of(key)
        if listener in listeners:
            left = tuple(each for each in listeners if each != listener)
            if left:
                self._by_key[key.int] = left
            else:
                del self._by_key[key.int]

    def of(self, key: UUID) -> tuple[Listener, ...]:
        """Those of `key` at this moment; listening may change while they are told."""
        return self._by_key.get(key.int, ())
