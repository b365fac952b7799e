"""Splits compressed content into datagrams, and reassembles it. Pure.

The parts of a MESSAGE are sent directly after one another, so the sequence of its first part identifies it. A sender
keeps at most one message of several parts in flight, so a receiver reassembles only one: a part of a newer message
shows that the older one is no longer needed.
"""

from __future__ import annotations

from typing import NamedTuple

from craftnet.errors import BadDatagram
from craftnet.protocols.wire.records import Fragment

MAX_PARTS = 4
"""Maximum datagrams of a message: all of them must arrive."""


class CompressedMessage(NamedTuple):
    """A complete message.

    Attributes:
        octets: still compressed.
        size: of the decompressed content.
        sequence: of its first part: the content counts as received with it.
    """

    octets: bytes
    size: int
    sequence: int


def split(compressed: bytes, size: int, room: int) -> list[Fragment]:
    """Splits `compressed`, whose content has `size` octets.

    Arguments:
        room: octets of `compressed` that fit into one datagram.

    Returns:
        At most `MAX_PARTS` fragments; none when more are needed.
    """
    pieces = [compressed[start : start + room] for start in range(0, len(compressed), room)]
    if len(pieces) > MAX_PARTS:
        return []
    return [Fragment(part, len(pieces) - 1, size, piece) for part, piece in enumerate(pieces)]


class Reassembly:
    """Reassembles messages, one at a time.

    Arguments:
        most: maximum octets of the content; never more are kept.

    Attributes:
        first: the sequence of the first part of the present message, or of the next possible one.
        kept: octets of the present parts.
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
        """Adds a part from datagram `sequence`; returns the message when it is complete.

        Raises:
            BadDatagram: overlong: more content than allowed; stale: of a message that was dropped or is complete;
                contradictory: its parts disagree about their number or the size; replayed: this part is present;
                out_of_range: as long compressed as not.
        """
        if fragment.size > self._most:
            raise BadDatagram("overlong", "more content than negotiated")
        if not fragment.last:
            self._check_saving(len(fragment.octets), fragment.size)
            return CompressedMessage(fragment.octets, fragment.size, sequence)
        first = sequence - fragment.part
        if first < self.first:
            raise BadDatagram("stale", "a part of a message that is no longer needed")
        if first > self.first or not self._pieces:
            self.first, self._last, self._size = first, fragment.last, fragment.size
            self._pieces, self.kept = {}, 0
        if (fragment.last, fragment.size) != (self._last, self._size):
            raise BadDatagram("contradictory", "the parts of a message disagree")
        if fragment.part in self._pieces:
            raise BadDatagram("replayed", "a repeated part")
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
        """Makes further parts of this message stale."""
        self.first += self._last + 1
        self._pieces, self.kept = {}, 0

    @staticmethod
    def _check_saving(octets: int, size: int) -> None:
        if octets >= size:
            raise BadDatagram("out_of_range", "as long compressed as not")
