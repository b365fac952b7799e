"""How far the stream of each partition is read, and where something was trimmed before that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set

from msgspec import Struct


class StreamPosition(Struct, frozen=True):
    """A place in a stream.

    Attributes:
        entry: the id of the entry there; `0-0` where there is none.
        number: that of its change. The next one has the next number, so that it shows what is missing.
    """

    entry: bytes
    number: int

    @property
    def order(self) -> tuple[int, int]:
        """Of the entries in a stream."""
        milliseconds, _, more = self.entry.partition(b"-")
        return int(milliseconds), int(more)


class StreamPositions:
    """The partitions that are read.

    Attributes:
        gaps: those of which something was trimmed before it was read. Whoever compares their states moves them to
            `mending` meanwhile.
    """

    def __init__(self) -> None:
        self._read: dict[int, StreamPosition] = {}
        self.gaps: set[int] = set()
        self.mending: set[int] = set()

    @property
    def partitions(self) -> Set[int]:
        """All of them."""
        return self._read.keys()

    def entry(self, partition: int) -> bytes:
        """After which one to read on."""
        return self._read[partition].entry

    def follow(self, partition: int, mark: StreamPosition) -> None:
        """Read one from `mark` on, if it is not read already."""
        self._read.setdefault(partition, mark)

    def keep(self, wanted: Set[int]) -> None:
        """Read no others any more."""
        for partition in self._read.keys() - wanted:
            del self._read[partition]

    def heard(self, partition: int, entry: bytes, fields: Mapping[bytes, bytes]) -> StreamPosition:
        """The next entry of one came; what it is now read up to. What has no number is not ours."""
        last = self._read[partition].number
        text = fields.get(b"number", b"")
        number = int(text) if text.isdigit() else last
        if number not in (last, last + 1):
            self.gaps.add(partition)
        self._read[partition] = mark = StreamPosition(entry, number)
        return mark

    def behind(self, ends: Mapping[int, StreamPosition]) -> set[int]:
        """Those that are not read as far as that."""
        return {one for one, end in ends.items() if one in self._read and self._read[one].order < end.order}

    def complete(self, partitions: Set[int]) -> bool:
        """Whether all that there was in them up to where they are read is known."""
        return partitions.isdisjoint(self.gaps) and partitions.isdisjoint(self.mending)

    def replaced(self, ends: Mapping[int, StreamPosition]) -> None:
        """Where the streams of another server end: some have lost their ends, or are other ones."""
        for partition, end in ends.items():
            if partition in self._read and end.order < self._read[partition].order:
                self._read[partition] = end

    def numbers(self) -> dict[int, int]:
        """Of the newest change that was heard of each."""
        return {partition: mark.number for partition, mark in self._read.items()}

    def counted(self, before: Mapping[int, int], ends: Mapping[int, StreamPosition]) -> None:
        """All there was up to `ends` was read, and `before` that these numbers. What is missing now was trimmed."""
        for partition, end in ends.items():
            mark = self._read.get(partition)
            # Numbers that begin again were removed, and what they counted with them.
            if mark is not None and (mark.number < end.number or end.number < before.get(partition, 0)):
                self.gaps.add(partition)
                self._read[partition] = StreamPosition(mark.entry, end.number)
