"""What a feed told lately, for watchers that come back: bounded by count and by age. Pure."""

from __future__ import annotations

from collections import deque

from craftnet.updates import Update

CAPACITY = 64
"""How many updates are kept."""

AGE = 60.0
"""Seconds that one is kept."""


class History:
    """The newest updates, in the order they were told.

    Arguments:
        version: where the feed is now; what was told before is not known.
    """

    __slots__ = ("_age", "_capacity", "_complete_from", "_kept")

    def __init__(self, version: int, *, capacity: int = CAPACITY, age: float = AGE) -> None:
        self._capacity = capacity
        self._age = age
        self._complete_from = version
        # (version, when it was told, what). Made with the first one: most feeds have nothing to keep.
        self._kept: deque[tuple[int, float, Update]] | None = None

    def keep(self, version: int, update: Update, now: float) -> None:
        """`update` is told, with which the feed is at `version`."""
        if self._kept is None:
            self._kept = deque()
        self._kept.append((version, now, update))
        self._forget(now)

    def since(self, version: int, now: float) -> list[Update] | None:
        """What was told after `version`; None when it is not known any more."""
        self._forget(now)
        if version < self._complete_from:
            return None
        return [update for at, _, update in self._kept or () if at > version]

    def _forget(self, now: float) -> None:
        kept = self._kept
        while kept and (len(kept) > self._capacity or kept[0][1] < now - self._age):
            self._complete_from = kept.popleft()[0]
