"""The received sequences: the sliding window of RFC 4303 section 3.4.3, and the completion of truncated sequences."""

from __future__ import annotations

from msgspec import Struct

from craftnet.errors import BadDatagram

WINDOW_SIZE = 256
"""Sequences by which a datagram may be behind the newest."""


def expand(low: int, bits: int, newest: int) -> int:
    """The whole sequence with these low `bits`: the one closest to the expected one after `newest`.

    The method of RFC 9000 appendix A.3.
    """
    half = 1 << bits - 1
    expected = newest + 1
    candidate = expected + (low - expected + half - 1 & 2 * half - 1) - half + 1
    return candidate if candidate >= 0 else candidate + 2 * half


class ReplayWindow(Struct, eq=False, gc=False):
    """Remembers the last `WINDOW_SIZE` received sequences. Sequences start at 1.

    Attributes:
        newest: the highest; 0 before the first.
        seen: bit i: newest − i was received.
        reordered: the share of datagrams that arrived after a later one, 0 to 1, smoothed over about 64 datagrams.
    """

    newest: int = 0
    seen: int = 0
    reordered: float = 0.0

    def check(self, sequence: int) -> None:
        """Checks that a datagram may be new. Changes nothing: before decryption, its sender is unknown.

        Raises:
            BadDatagram: it was received before, or is too old for the window.
        """
        behind = self.newest - sequence
        if behind < 0:
            return
        if behind >= WINDOW_SIZE or sequence < 1:
            raise BadDatagram("stale")
        if self.seen >> behind & 1:
            raise BadDatagram("replayed")

    def follow(self) -> None:
        """As `advance` to the next sequence."""
        self.newest += 1
        self.seen = self.seen << 1 & WINDOW_MASK | 1
        if self.reordered:  # each difference is another float object.
            self.reordered -= self.reordered / SMOOTHING

    def advance(self, sequence: int) -> None:
        """Records an authentic datagram with this sequence."""
        ahead = sequence - self.newest
        if ahead > 0:
            # Beyond the window nothing is left to remember; shifting that far would only cost memory.
            self.seen = ((self.seen << ahead) & WINDOW_MASK) | 1 if ahead < WINDOW_SIZE else 1
            self.newest = sequence
            if self.reordered:
                self.reordered -= self.reordered / SMOOTHING
        else:
            self.seen |= 1 << -ahead
            self.reordered += (1.0 - self.reordered) / SMOOTHING


SMOOTHING = 64
WINDOW_MASK = (1 << WINDOW_SIZE) - 1
