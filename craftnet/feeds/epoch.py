"""The epoch of this node's versions: the same on every node that shares the sources."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from secrets import token_hex

from craftnet.interfaces import IRelayedSource, ISharedSource
from craftnet.providers.sources import Sources

EPOCH_BYTES = 6
"""Bytes of an epoch, which is shown in hexadecimal digits."""


class FeedEpochs:
    """The epoch of every position.

    Where all sources are another craftnet's, it is that one's, and positions are valid in both. Where each source names
    an epoch otherwise, it is derived from theirs. Otherwise it is this object's own, since in another
    process the same versions mean something else. It changes when a source's epoch changes.
    """

    def __init__(self, sources: Sources) -> None:
        each = (sources.sessions, sources.materials, sources.queues)
        self._shared: Sequence[ISharedSource] = [source for source in each if ISharedSource.providedBy(source)]
        self._common = len(self._shared) == len(each)
        self._relayed = all(map(IRelayedSource.providedBy, each))
        self._names: list[str | None] = []
        self._epoch = token_hex(EPOCH_BYTES)

    def now(self) -> str:
        """The present epoch. While a source does not know its own, it is one that no other node has.

        The previous one returns if it is this object's own; otherwise it is one that never occurs again.
        """
        if not self._shared:
            return self._epoch
        names = [source.epoch for source in self._shared]
        if self._relayed and names[0] is not None and len(set(names)) == 1:
            self._names = names  # so that what is used in between never returns.
            return names[0]
        if names != self._names and (self._common or None not in names):
            self._names = names
            self._epoch = _digest(names) if self._common and None not in names else token_hex(EPOCH_BYTES)
        return self._epoch


def _digest(names: Sequence[str | None]) -> str:
    """A short digest, of characters that a position may contain."""
    return blake2b(repr(names).encode(), digest_size=EPOCH_BYTES).hexdigest()
