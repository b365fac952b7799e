"""What waits for a slow consumer: the newest state instead of a backlog.

Conflatable updates replace each other; the others queue up to a bound; there is always room for terminal ones. This
bounds the memory of a watcher. Pure.
"""

from __future__ import annotations

from craftnet.crafting.updates import Update
from craftnet.errors import CraftnetError

MAX_UPDATES = 256
"""Maximum number of waiting updates that cannot be conflated."""


MAX_OCTETS = 65_536
"""Maximum octets of them; a single one may be longer."""


class SlowConsumer(CraftnetError):
    """The watcher reads too slowly to be served."""


class Conflation:
    """The waiting updates, oldest first.

    Arguments:
        capacity: maximum number of updates that cannot be conflated …
        octets: … and their maximum encoded length, all together.
    """

    __slots__ = ("_capacity", "_octets", "_waiting")

    def __init__(self, capacity: int = MAX_UPDATES, octets: int = MAX_OCTETS) -> None:
        self._capacity = capacity
        self._octets = octets
        # With their sizes. None while nothing waits, which is nearly always.
        self._waiting: list[tuple[Update, int]] | None = None

    def __len__(self) -> int:
        return len(self._waiting or ())

    @property
    def size(self) -> int:
        """The waiting octets."""
        return sum(size for _, size in self._waiting or ())

    @property
    def oldest(self) -> float | None:
        """When the event behind the oldest update was accepted; None where nothing waits, or no event is known."""
        return min((update.accepted for update, _ in self._waiting or () if update.accepted is not None), default=None)

    def put(self, update: Update, size: int) -> None:
        """Adds an update of `size` octets.

        Raises:
            TooSlow: there is no room.
        """
        waiting = self._waiting or []
        if update.conflatable or update.terminal:
            of = update.conflation_key
            waiting = [
                (known, octets) for known, octets in waiting if not (known.conflatable and known.conflation_key == of)
            ]
        full = len(waiting) >= self._capacity or (
            waiting and size + sum(octets for _, octets in waiting) > self._octets
        )
        if full and not update.terminal:
            raise SlowConsumer("the watcher does not read fast enough")
        waiting.append((update, size))
        self._waiting = waiting

    def take(self) -> list[Update]:
        """Returns and removes everything that waits."""
        waiting, self._waiting = self._waiting, None
        return [update for update, _ in waiting or ()]
