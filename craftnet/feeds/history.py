"""What was told lately of one thing, for watchers that come back: bounded by count and by age. Pure."""

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
        version: the one that is held now; how it came to that is not known.
    """

    __slots__ = ("_complete_from", "_kept", "_version")

    def __init__(self, version: int) -> None:
        self._version = version
        self._complete_from = version
        # (when it was told, what). Made with the first one: most feeds have nothing to keep.
        self._kept: deque[tuple[float, Change]] | None = None

    def keep(self, change: Change, now: float) -> None:
        """`change` is told. One that is not the next stands for others, which are not known."""
        version, self._version = self._version, change.state.version
        if self._version != version + 1:
            self._complete_from, self._kept = self._version, None
            return
        if self._kept is None:
            self._kept = deque()
        self._kept.append((now, change))
        self._forget(now)

    def since(self, version: int, now: float, recalled: Sequence[Change] = ()) -> list[Change] | None:
        """What came after `version`, which is not newer than what is held; None when it is not known any more.

        Arguments:
            recalled: what somebody else knows to have come after it, in order.
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
