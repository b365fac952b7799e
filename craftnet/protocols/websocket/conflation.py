"""What waits for a watcher that does not read fast enough: the newest state, not a backlog.

Conflatable updates replace each other; the others queue up to a bound; terminal ones always find room. So the memory
of one watcher is bounded. Pure.
"""

from __future__ import annotations

from craftnet.errors import CraftnetError
from craftnet.updates import Update

CAPACITY = 256
"""How many updates that cannot be conflated may wait."""


CAPACITY_OCTETS = 65_536
"""How many octets of them may wait; one alone may be longer."""


class TooSlow(CraftnetError):
    """The watcher is too slow to be served any longer."""


class Conflation:
    """The updates that wait, oldest first.

    Arguments:
        capacity: how many that cannot be conflated may wait …
        octets: … and how long they may be, encoded, all together.
    """

    __slots__ = ("_capacity", "_octets", "_waiting")

    def __init__(self, capacity: int = CAPACITY, octets: int = CAPACITY_OCTETS) -> None:
        self._capacity = capacity
        self._octets = octets
        # With their sizes. None while nothing waits, which is nearly always.
        self._waiting: list[tuple[Update, int]] | None = None

    def __len__(self) -> int:
        return len(self._waiting or ())

    @property
    def size(self) -> int:
        """Octets that wait."""
        return sum(size for _, size in self._waiting or ())

    def put(self, update: Update, size: int) -> None:
        """Keep one more, of `size` octets.

        Raises:
            TooSlow: there is no room.
        """
        waiting = self._waiting or []
        if update.conflatable or update.terminal:
            waiting = [(known, octets) for known, octets in waiting if not known.conflatable]
        full = len(waiting) >= self._capacity or (
            waiting and size + sum(octets for _, octets in waiting) > self._octets
        )
        if full and not update.terminal:
            raise TooSlow("the watcher does not read fast enough")
        waiting.append((update, size))
        self._waiting = waiting

    def take(self) -> list[Update]:
        """All that waits; nothing waits then."""
        waiting, self._waiting = self._waiting, None
        return [update for update, _ in waiting or ()]
