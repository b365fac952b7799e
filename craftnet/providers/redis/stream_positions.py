"""How far the stream of each partition is read, and where entries were trimmed before that. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Set

from msgspec import Struct


class StreamPosition(Struct, frozen=True):
    """A position in a stream.

    Attributes:
        entry: the id of the entry there; `0-0` where there is none.
        number: that of its change. Numbers have no gaps, so they show what is missing.
    """

    entry: bytes
    number: int

    @property
    def order(self) -> tuple[int, int]:
        """The order of entries in a stream."""
        milliseconds, _, more = self.entry.partition(b"-")
        return int(milliseconds), int(more)


class StreamPositions:
    """The partitions that are read.

    Attributes:
        gaps: the partitions in which something was trimmed before it was read. While their states are compared, they
            are in `mending`.
    """

    def __init__(self) -> None:
        self._read: dict[int, StreamPosition] = {}
        self.gaps: set[int] = set()
        self.mending: set[int] = set()

    @property
    def partitions(self) -> Set[int]:
        """All partitions that are read."""
        return self._read.keys()

    def entry(self, partition: int) -> bytes:
        """The entry after which to read on."""
        return self._read[partition].entry

    def follow(self, partition: int, mark: StreamPosition) -> None:
        """Reads a partition from `mark` on, unless it is already read."""
        self._read.setdefault(partition, mark)

    def keep(self, wanted: Set[int]) -> None:
        """Stops reading all others."""
        for partition in self._read.keys() - wanted:
            del self._read[partition]

    def heard(self, partition: int, entry: bytes, fields: Mapping[bytes, bytes]) -> StreamPosition:
        """Records the next entry of a partition; returns the position. An entry without a number is foreign."""
        last = self._read[partition].number
        text = fields.get(b"number", b"")
        number = int(text) if text.isdigit() else last
        if number not in (last, last + 1):
            self.gaps.add(partition)
        self._read[partition] = mark = StreamPosition(entry, number)
        return mark

    def behind(self, ends: Mapping[int, StreamPosition]) -> set[int]:
        """The partitions that are not read up to `ends`."""
        return {one for one, end in ends.items() if one in self._read and self._read[one].order < end.order}

    def complete(self, partitions: Set[int]) -> bool:
        """Whether everything in these partitions up to their positions is known."""
        return partitions.isdisjoint(self.gaps) and partitions.isdisjoint(self.mending)

    def replaced(self, ends: Mapping[int, StreamPosition]) -> None:
        """Takes the ends of another server's streams: some may have lost their ends, or be different."""
        for partition, end in ends.items():
            if partition in self._read and end.order < self._read[partition].order:
                self._read[partition] = end

    def numbers(self) -> dict[int, int]:
        """The number of the newest change received of each partition."""
        return {partition: mark.number for partition, mark in self._read.items()}

    def counted(self, before: Mapping[int, int], ends: Mapping[int, StreamPosition]) -> None:
        """Everything up to `ends` was read, and `before` that these numbers. What is missing now was trimmed."""
        for partition, end in ends.items():
            mark = self._read.get(partition)
            # Numbers that restart were removed together with what they counted.
            if mark is not None and (mark.number < end.number or end.number < before.get(partition, 0)):
                self.gaps.add(partition)
                self._read[partition] = StreamPosition(mark.entry, end.number)
