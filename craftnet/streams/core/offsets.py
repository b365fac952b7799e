"""Up to which offset everything of a partition is finished. Pure."""

from __future__ import annotations


class PartitionOffsets:
    """The offsets of one partition: those received, and those finished, which need not be in order.

    Arguments:
        begin: the first offset to read; None while it is not known.
    """

    __slots__ = ("_committed", "_next", "_unfinished")

    def __init__(self, begin: int | None = None) -> None:
        self._next = begin
        self._committed = begin
        self._unfinished: dict[int, None] = {}

    def received(self, offset: int) -> None:
        """The message at `offset` was received; later ones have larger offsets."""
        self._unfinished[offset] = None
        self._next = offset + 1

    def finished(self, offset: int) -> None:
        """The message at `offset` need not be read again. Unknown ones are ignored."""
        self._unfinished.pop(offset, None)

    @property
    def position(self) -> int | None:
        """Where a reader that knows only what is finished has to begin; None while that is not known."""
        return next(iter(self._unfinished), self._next)

    @property
    def uncommitted(self) -> int | None:
        """The position, if it is another one than was committed last."""
        position = self.position
        return None if position == self._committed else position

    def committed(self, position: int) -> None:
        """`position` was committed."""
        self._committed = position
