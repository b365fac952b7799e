"""Packed content cut into datagrams, and put together again. Pure.

The parts of a MESSAGE are sent one right after the other, so that the sequence of its first part names it, and no
message is ever taken for another. Whoever sends keeps at most one message of several parts under way; so whoever
receives need keep one: a part of a newer message shows that nobody waits for the older one any more.
"""

from __future__ import annotations

from typing import NamedTuple

from craftnet.errors import BadDatagram
from craftnet.protocols.wire.records import Fragment

MAX_PARTS = 4
"""Datagrams that a message takes at most: all of them must arrive."""


class CompressedMessage(NamedTuple):
    """A whole message.

    Attributes:
        octets: still packed.
        size: of the content, unpacked.
        sequence: of its first part: what it says counts as said there.
    """

    octets: bytes
    size: int
    sequence: int


def split(compressed: bytes, size: int, room: int) -> list[Fragment]:
    """Cut up `compressed`, the content of `size` octets.

    Arguments:
        room: octets of `compressed` that fit into one datagram.

    Returns:
        `MAX_PARTS` fragments at most; none when it takes more.
    """
    pieces = [compressed[start : start + room] for start in range(0, len(compressed), room)]
    if len(pieces) > MAX_PARTS:
        return []
    return [Fragment(part, len(pieces) - 1, size, piece) for part, piece in enumerate(pieces)]


class Reassembly:
    """Puts messages together, one at a time.

    Arguments:
        most: octets of the longest content taken; no more than these are ever kept.

    Attributes:
        first: the sequence of the first part of what is being put together, or of what may be next.
        kept: octets of the parts that are there.
    """

    __slots__ = ("_last", "_most", "_pieces", "_size", "first", "kept")

    def __init__(self, most: int) -> None:
        self._most = most
        self._pieces: dict[int, bytes] = {}
        self.kept = 0
        self.first = 1
        self._last = self._size = 0

    def __len__(self) -> int:
        return len(self._pieces)

    def take(self, fragment: Fragment, sequence: int) -> CompressedMessage | None:
        """Add what came with datagram `sequence`; the message, if that makes it whole.

        Raises:
            BadDatagram: overlong: more content than is taken; stale: of a message that was dropped or done with;
                contradictory: its parts do not agree on how many they are, or how long what they say; replayed: this
                part is there; out_of_range: as long packed as not.
        """
        if fragment.size > self._most:
            raise BadDatagram("overlong", "more content than was agreed on")
        if not fragment.last:
            self._check_saving(len(fragment.octets), fragment.size)
            return CompressedMessage(fragment.octets, fragment.size, sequence)
        first = sequence - fragment.part
        if first < self.first:
            raise BadDatagram("stale", "a part of a message that is not waited for any more")
        if first > self.first or not self._pieces:
            self.first, self._last, self._size = first, fragment.last, fragment.size
            self._pieces, self.kept = {}, 0
        if (fragment.last, fragment.size) != (self._last, self._size):
            raise BadDatagram("contradictory", "the parts of a message do not agree")
        if fragment.part in self._pieces:
            raise BadDatagram("replayed", "a part that is there")
        self.kept += len(fragment.octets)
        try:
            self._check_saving(self.kept, self._size)
        except BadDatagram:
            self._end()
            raise
        self._pieces[fragment.part] = fragment.octets
        if len(self._pieces) <= self._last:
            return None
        octets = b"".join(self._pieces[part] for part in range(self._last + 1))
        self._end()
        return CompressedMessage(octets, fragment.size, first)

    def _end(self) -> None:
        """What else there is of this message is stale."""
        self.first += self._last + 1
        self._pieces, self.kept = {}, 0

    @staticmethod
    def _check_saving(octets: int, size: int) -> None:
        if octets >= size:
            raise BadDatagram("out_of_range", "as long packed as not")
