"""A dictionary from ids to values, of which nearly every id has one."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar
from uuid import UUID

Value = TypeVar("Value", bound=Hashable)


class Multimap(Generic[Value]):
    """Values by id, each id's in the order in which they were added. A value that is added twice is there once.

    An id with one value takes the memory of one entry of a dictionary.
    """

    def __init__(self) -> None:
        # Keyed by the integer of the id: UUIDs are hashed and compared in Python.
        self._first: dict[int, Value] = {}
        self._others: dict[int, dict[Value, None]] = {}

    def add(self, key: UUID, value: Value) -> None:
        """Adds a value for `key`."""
        first = self._first.setdefault(key.int, value)
        if first != value:
            self._others.setdefault(key.int, {})[value] = None

    def remove(self, key: UUID, value: Value) -> None:
        """Removes a value; unknown ones are ignored."""
        number = key.int
        others = self._others.get(number, {})
        if value in others:
            del others[value]
        elif self._first.get(number) != value:
            return
        elif others:
            self._first[number] = following = next(iter(others))
            del others[following]
        else:
            del self._first[number]
        if not others:
            self._others.pop(number, None)

    def of(self, key: UUID) -> tuple[Value, ...]:
        """A copy of the values of `key`: what is done with them may change them."""
        first = self._first.get(key.int)
        if first is None:
            return ()
        return (first, *self._others.get(key.int, ()))
