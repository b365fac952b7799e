"""Recent changes of one thing, for watchers that return: bounded in number and age. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, TypeVar

from craftnet.positions import KEPT, REACH
from craftnet.state import MaterialsChange, QueueChange

Change = TypeVar("Change", MaterialsChange, QueueChange)


class History(Generic[Change]):
    """The newest changes, without a gap between them.

    Arguments:
        version: the present version; the changes that led to it are unknown.
    """

    __slots__ = ("_complete_from", "_kept", "_version")

    def __init__(self, version: int) -> None:
        self._version = version
        self._complete_from = version
        # (time of delivery, change). Created with the first change: most feeds have nothing to keep.
        self._kept: deque[tuple[float, Change]] | None = None

    def keep(self, change: Change, now: float) -> None:
        """Records a delivered change. One that does not follow directly replaces others, which are unknown."""
        version, self._version = self._version, change.state.version
        if self._version != version + 1:
            self._complete_from, self._kept = self._version, None
            return
        if self._kept is None:
            self._kept = deque()
        self._kept.append((now, change))
        self._forget(now)

    def since(self, version: int, now: float, recalled: Sequence[Change] = ()) -> list[Change] | None:
        """The changes after `version`, which is not newer than the present one; None when they are not all known.

        Arguments:
            recalled: the changes after it that another source remembers, in order.
        """
        self._forget(now)
        earlier = [change for change in recalled if version < change.state.version <= self._complete_from]
        if [change.state.version for change in earlier] != [*range(version + 1, self._complete_from + 1)]:
            return None
        return earlier + [change for _, change in self._kept or () if change.state.version > version]

    def _forget(self, now: float) -> None:
        kept = self._kept
        while kept and (len(kept) > KEPT or kept[0][0] < now - REACH):
            self._complete_from = kept.popleft()[1].state.version
