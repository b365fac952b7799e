"""Tracks the offset below which every message of a partition is finished. Pure."""

from __future__ import annotations


class PartitionOffsets:
    """The offsets of one partition: received, and finished in any order.

    Arguments:
        begin: the first offset to read; None if it is unknown.
    """

    __slots__ = ("_committed", "_next", "_unfinished")

    def __init__(self, begin: int | None = None) -> None:
        self._next = begin
        self._committed = begin
        self._unfinished: dict[int, None] = {}

    def received(self, offset: int) -> None:
        """The message at `offset` was received; offsets increase."""
        self._unfinished[offset] = None
        self._next = offset + 1

    def finished(self, offset: int) -> None:
        """The message at `offset` need not be read again. Unknown offsets are ignored."""
        self._unfinished.pop(offset, None)

    @property
    def position(self) -> int | None:
        """The offset at which the next reader must begin; None while it is unknown."""
        return next(iter(self._unfinished), self._next)

    @property
    def uncommitted(self) -> int | None:
        """The position if it differs from the last committed one; otherwise None."""
        position = self.position
        return None if position == self._committed else position

    def committed(self, position: int) -> None:
        """`position` was committed."""
        self._committed = position
