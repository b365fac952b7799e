"""Which sequences have been seen: the sliding window of RFC 4303 section 3.4.3, and how a cut sequence is completed."""

from __future__ import annotations

from craftnet.errors import BadDatagram

WINDOW = 256
"""How far behind the newest a datagram may come in."""


def expand(low: int, bits: int, newest: int) -> int:
    """The whole sequence of which the low `bits` travelled: the one closest to what is expected after `newest`.

    The method of RFC 9000 appendix A.3.
    """
    span = 1 << bits
    expected = newest + 1
    candidate = (expected & ~(span - 1)) | low
    if candidate <= expected - span // 2:
        return candidate + span
    if candidate > expected + span // 2 and candidate >= span:
        return candidate - span
    return candidate


class ReplayWindow:
    """Remembers the sequences of the last `WINDOW` received. Sequences start at 1."""

    __slots__ = ("_seen", "newest")

    def __init__(self) -> None:
        self.newest = 0
        self._seen = 0  # bit i: newest − i was received.

    def check(self, sequence: int) -> None:
        """Whether a datagram may be new. Changes nothing: before the AEAD has spoken anybody may have sent it.

        Raises:
            BadDatagram: it was received before, or is too old to tell.
        """
        behind = self.newest - sequence
        if behind < 0:
            return
        if behind >= WINDOW or sequence < 1:
            raise BadDatagram("stale")
        if self._seen >> behind & 1:
            raise BadDatagram("replayed")

    def advance(self, sequence: int) -> None:
        """An authentic datagram with this sequence came in."""
        ahead = sequence - self.newest
        if ahead > 0:
            # Beyond the window nothing is left to remember; shifting that far would only cost memory.
            self._seen = ((self._seen << ahead) & _MASK) | 1 if ahead < WINDOW else 1
            self.newest = sequence
        else:
            self._seen |= 1 << -ahead

    def earlier(self, bits: int) -> int:
        """The bits of an acknowledgement: bit i is set when newest − 1 − i was received."""
        return self._seen >> 1 & ((1 << bits) - 1)


_MASK = (1 << WINDOW) - 1
