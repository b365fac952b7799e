"""Recently accepted event ids: a bounded set that evicts the oldest."""

from __future__ import annotations

from uuid import UUID


class RecentIds:
    """Remembers up to `capacity` ids."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        # Insertion order makes a dict the cheapest queue with membership; UUIDs are hashed and compared in Python.
        self._ids: dict[int, None] = {}

    def __contains__(self, event_id: UUID) -> bool:
        return event_id.int in self._ids

    def __len__(self) -> int:
        return len(self._ids)

    def add(self, event_id: UUID) -> None:
        """Adds an id and evicts the oldest when the set is full."""
        self._ids[event_id.int] = None
        if len(self._ids) > self._capacity:
            del self._ids[next(iter(self._ids))]
