"""The record that describes a table of materials by its differences from an earlier one, bit by bit."""

from __future__ import annotations

from msgspec import UNSET

from craftnet.contract.messages import MaterialProblem
from craftnet.errors import BadDatagram
from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.codec.fields import from_quality, member, to_quality, to_quantity
from craftnet.protocols.wire.compiler.compiled_layouts import compile_layout
from craftnet.protocols.wire.layouts import NONE_U32
from craftnet.protocols.wire.records import MaterialsDelta, Problem, RowChange


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


_head = compile_layout(layouts.MaterialsDelta)

_PROBLEMS = tuple(MaterialProblem)
_UNKNOWN = 63
_LONGEST = 32
_QUALITY_BITS = 7


def encode_materials_delta(delta: MaterialsDelta) -> bytes:
    """Encodes the record."""
    writer = BitWriter()
    row_bits = _row_bits(delta.rows)
    for change in delta.changes:
        problem = change.problem
        writer.put(change.row, row_bits)
        writer.put(change.quantity is not None, 1)
        writer.put(change.quality is not None, 1)
        writer.put(problem is not UNSET, 1)
        if change.quantity is not None:
            _put_number(writer, change.quantity)
        if change.quality is not None:
            writer.put(change.quality, _QUALITY_BITS)
        if problem is not UNSET:
            writer.put(problem is not None, 1)
        if isinstance(problem, Problem):
            writer.put(_PROBLEMS.index(problem.problem), 2)
            _put_number(writer, problem.required_quantity)
            _put_number(writer, problem.available_quantity)
            writer.put(to_quality(problem.required_quality), _QUALITY_BITS)
            writer.put(to_quality(problem.available_quality), _QUALITY_BITS)
    return _head.encode(delta.version, delta.back, delta.rows, len(delta.changes)) + writer.octets


def decode_materials_delta(body: bytes, offset: int) -> tuple[MaterialsDelta, int]:
    """The record at `offset`, and the offset of its end."""
    version, back, rows, count = _head.decode(body, offset)
    if not (back and rows and count):
        raise BadDatagram("out_of_range", "a delta without entries, or against itself")
    offset += _head.size
    # No entry is longer than 34 bytes: the rest of a long body need not become a number.
    reader = BitReader(body[offset : offset + 34 * count])
    row_bits = _row_bits(rows)
    changes = []
    newest = -1
    for _ in range(count):
        change = _take_change(reader, row_bits)
        if not newest < change.row < rows:
            raise BadDatagram("out_of_range", "rows out of order, or outside the table")
        newest = change.row
        changes.append(change)
    return MaterialsDelta(version, back, rows, tuple(changes)), offset + reader.finish()


def _take_change(reader: BitReader, row_bits: int) -> RowChange:
    row = reader.take(row_bits)
    has_quantity, has_quality, has_problem = reader.take(1), reader.take(1), reader.take(1)
    if not (has_quantity or has_quality or has_problem):
        raise BadDatagram("out_of_range", "a change without a value")
    quantity = _take_number(reader) if has_quantity else None
    if has_quantity and quantity is None:
        raise BadDatagram("out_of_range", "a material without a quantity")
    quality = from_quality(reader.take(_QUALITY_BITS)) or 0 if has_quality else None
    if not has_problem:
        return RowChange(row, quantity, quality)
    return RowChange(row, quantity, quality, _take_problem(reader, row) if reader.take(1) else None)


def _take_problem(reader: BitReader, row: int) -> Problem:
    problem = member(_PROBLEMS, reader.take(2))
    required, available = _take_number(reader), _take_number(reader)
    if required == 0:
        raise BadDatagram("out_of_range", "a required quantity of 0")
    required_quality, available_quality = reader.take(_QUALITY_BITS), reader.take(_QUALITY_BITS)
    return Problem(row, problem, required, available, from_quality(required_quality), from_quality(available_quality))


def _row_bits(rows: int) -> int:
    return max(1, (rows - 1).bit_length())


def _put_number(writer: BitWriter, quantity: int | None) -> None:
    if quantity is None:
        writer.put(_UNKNOWN, 6)
        return
    bits = to_quantity(quantity).bit_length()
    writer.put(bits, 6)
    writer.put(quantity, bits)


def _take_number(reader: BitReader) -> int | None:
    bits = reader.take(6)
    if bits == _UNKNOWN:
        return None
    value = reader.take(bits) if bits <= _LONGEST else NONE_U32
    # One encoding for each number, without leading zeros, so that equal states are equal bytes.
    if value == NONE_U32 or value.bit_length() != bits:
        raise BadDatagram("out_of_range", "a quantity that does not fit, or has leading zeros")
    return value
