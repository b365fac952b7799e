"""Limits who waits: the newest may stay, so silent connections keep nobody out. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Guest = TypeVar("Guest", bound=Hashable)


class WaitingRoom(Generic[Guest]):
    """Waiting connections in the order in which they came.

    Arguments:
        capacity, per_address: maximum number, in all and from one address; 0: no limit.
    """

    def __init__(self, capacity: int, per_address: int) -> None:
        self._capacity = capacity
        self._per_address = per_address
        self._guests: dict[Guest, str | None] = {}
        self._from: dict[str, dict[Guest, None]] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, guest: Guest, address: str | None) -> Guest | None:
        """Adds one; returns the one that must go for it and was removed.

        Arguments:
            guest: not in yet.
            address: where it comes from; None where that is not counted.
        """
        self._guests[guest] = address
        oldest = None
        if address is not None:
            there = self._from.setdefault(address, {})
            there[guest] = None
            if self._per_address and len(there) > self._per_address:
                oldest = next(iter(there))
        if oldest is None and self._capacity and len(self._guests) > self._capacity:
            oldest = next(iter(self._guests))
        if oldest is not None:
            self.leave(oldest)
        return oldest

    def leave(self, guest: Guest) -> None:
        """Removes one. Unknown ones are ignored."""
        address = self._guests.pop(guest, None)
        if address is not None:
            there = self._from[address]
            del there[guest]
            if not there:
                del self._from[address]
