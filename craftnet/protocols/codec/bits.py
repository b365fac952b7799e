"""Values of any number of bits in a row, the highest bit first; zeros fill the last byte."""

from __future__ import annotations

from craftnet.errors import BadDatagram


class BitWriter:
    """Collects bits."""

    __slots__ = ("_bits", "_value")

    def __init__(self) -> None:
        self._value = 0
        self._bits = 0

    def put(self, value: int, width: int) -> None:
        """Appends the lowest `width` bits of `value`. Raises BadDatagram when it has more, or is negative."""
        if value >> width:
            raise BadDatagram("out_of_range")
        self._value = self._value << width | value
        self._bits += width

    @property
    def octets(self) -> bytes:
        """All bits, filled to whole bytes."""
        size = (self._bits + 7) // 8
        return (self._value << size * 8 - self._bits).to_bytes(size, "big")


class BitReader:
    """Reads bits from the front of `octets`."""

    __slots__ = ("_left", "_size", "_value")

    def __init__(self, octets: bytes) -> None:
        self._value = int.from_bytes(octets, "big")
        self._size = self._left = len(octets) * 8

    def take(self, width: int) -> int:
        """The next `width` bits. Raises BadDatagram when there are fewer."""
        self._left -= width
        if self._left < 0:
            raise BadDatagram("truncated")
        return self._value >> self._left & (1 << width) - 1

    def finish(self) -> int:
        """The number of bytes read. Raises BadDatagram when anything but zeros fills the last one."""
        used = (self._size - self._left + 7) // 8
        fill = used * 8 - (self._size - self._left)
        if self.take(fill):
            raise BadDatagram("reserved")
        return used
