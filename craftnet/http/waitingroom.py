"""Who may wait, when there are more than can: the newest. So connections that say nothing keep nobody out. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

Guest = TypeVar("Guest", bound=Hashable)


class WaitingRoom(Generic[Guest]):
    """Those who wait, in the order in which they came.

    Arguments:
        capacity, per_address: how many, in all and from one address; 0 stands for no bound.
    """

    def __init__(self, capacity: int, per_address: int) -> None:
        self._capacity = capacity
        self._per_address = per_address
        self._guests: dict[Guest, str | None] = {}
        self._from: dict[str, dict[Guest, None]] = {}

    def __len__(self) -> int:
        return len(self._guests)

    def enter(self, guest: Guest, address: str | None) -> Guest | None:
        """Let one in; answers who has to go for it, and is in no more.

        Arguments:
            guest: not in yet.
            address: where it comes from; None where that does not count.
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
        """It waits no more. One who is not in is no error."""
        address = self._guests.pop(guest, None)
        if address is not None:
            there = self._from[address]
            del there[guest]
            if not there:
                del self._from[address]
