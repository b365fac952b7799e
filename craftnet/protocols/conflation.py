"""What waits for a watcher that does not read fast enough: the newest state, not a backlog.

Conflatable updates replace each other; the others queue up to a bound; terminal ones always find room. So the memory
of one watcher is bounded. Pure.
"""

from __future__ import annotations

from craftnet.errors import CraftnetError
from craftnet.updates import Update

CAPACITY = 256
"""How many updates that cannot be conflated may wait."""


class TooSlow(CraftnetError):
    """The watcher is too slow to be served any longer."""


class Conflation:
    """The updates that wait, oldest first."""

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._capacity = capacity
        self._waiting: list[Update] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, update: Update) -> None:
        """Keep one more.

        Raises:
            TooSlow: there is no room.
        """
        if update.conflatable or update.terminal:
            self._waiting = [known for known in self._waiting if not known.conflatable]
        if len(self._waiting) >= self._capacity and not update.terminal:
            raise TooSlow("the watcher does not read fast enough")
        self._waiting.append(update)

    def take(self) -> list[Update]:
        """All that waits; nothing waits then."""
        waiting, self._waiting = self._waiting, []
        return waiting
