"""What the versions that this node tells belong to: the same on every node where the sources are shared."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from secrets import token_hex

from craftnet.interfaces import IShared
from craftnet.sources import Sources

BYTES = 6
"""Of an epoch, which is shown in hexadecimal digits."""


class Epochs:
    """The epoch of every position.

    Where each source names one, it is made of theirs. Otherwise it is this object's own: in another process the same
    versions mean something else. It is another one when a source that does name one has another.
    """

    def __init__(self, sources: Sources) -> None:
        each = (sources.sessions, sources.materials, sources.queues)
        self._shared: Sequence[IShared] = [source for source in each if IShared.providedBy(source)]
        self._common = len(self._shared) == len(each)
        self._names: list[str | None] = []
        self._epoch = token_hex(BYTES)

    def now(self) -> str:
        """The epoch. While a source does not know its own, it is one that no other node has.

        That of before, if it is this object's own; otherwise one that never comes again.
        """
        if not self._shared:
            return self._epoch
        names = [source.epoch for source in self._shared]
        if names != self._names and (self._common or None not in names):
            self._names = names
            self._epoch = _digest(names) if self._common and None not in names else token_hex(BYTES)
        return self._epoch


def _digest(names: Sequence[str | None]) -> str:
    """Short, and of the characters that a position may have."""
    return blake2b(repr(names).encode(), digest_size=BYTES).hexdigest()
