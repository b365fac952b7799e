"""A construct declaration of fixed size as items of a `struct` format, and the bits in them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from construct import (  # type: ignore[import-untyped]  # construct ships no annotations.
    BitsInteger,
    Bytes,
    Const,
    Construct,
    FormatField,
    Renamed,
    Restreamed,
    Struct,
    Transformed,
)


class StructField(NamedTuple):
    """A field with a value of its own.

    Attributes:
        shift: the number of bits of the slot below it.
        width: in bits.
    """

    name: str
    shift: int
    width: int


class StructConstant(NamedTuple):
    """A constant. `value` is an integer, or bytes that fill the whole slot."""

    name: str
    shift: int
    width: int
    value: int | bytes


class StructItem(NamedTuple):
    """One item of a struct format: a big-endian integer or a string of bytes.

    Attributes:
        code: its code in the format.
        size: in bytes.
        fields, constants: its content, from the highest bit on.
    """

    code: str
    size: int
    fields: tuple[StructField, ...]
    constants: tuple[StructConstant, ...]

    @property
    def whole(self) -> str | None:
        """The name of its only field; None when there are more."""
        alone = self.fields and self.fields[0].width == 8 * self.size
        return self.fields[0].name if alone else None

    @property
    def packed(self) -> str:
        """The expression that packs it from variables named like the fields."""
        if self.code[-1] == "s":
            return self.whole or repr(self.constants[0].value)
        parts = [
            (field.shift, f"{field.name} << {field.shift}" if field.shift else field.name) for field in self.fields
        ]
        parts += [
            (each.shift, str(each.value << each.shift))
            for each in self.constants
            if isinstance(each.value, int) and each.value
        ]
        return " | ".join(part for _, part in sorted(parts, reverse=True)) or "0"

    @property
    def checks(self) -> tuple[str, ...]:
        """Conditions that must be false; `{}` is its variable."""
        return tuple(f"{self._part(each.shift, each.width)} != {each.value!r}" for each in self.constants)

    def read(self, field: StructField) -> str:
        """The expression for one of its fields; `{}` is its variable."""
        return self._part(field.shift, field.width)

    def _part(self, shift: int, width: int) -> str:
        part = f"{{}} >> {shift}" if shift else "{}"
        return part if shift + width == 8 * self.size else f"{part} & {(1 << width) - 1:#x}"


def struct_items(layout: Construct) -> Iterator[StructItem]:
    """The items of a declaration, in order.

    Raises:
        TypeError: it contains anything but integers, Bytes(n), BitStructs, constants, and Structs of such.
    """
    for member in layout.subcons:
        inner = member.subcon
        if isinstance(inner, Struct):
            yield from struct_items(inner)
        elif isinstance(inner, Restreamed | Transformed):
            yield _bits(inner.subcon)
        else:
            yield _whole(member.name, inner)


def _whole(name: str, kind: Construct) -> StructItem:
    """A field that is a whole item of the struct format."""
    code = _code(kind.subcon if isinstance(kind, Const) else kind)
    size = struct.calcsize(">" + code)
    if isinstance(kind, Const):
        return StructItem(code, size, (), (StructConstant(name, 0, 8 * size, kind.value),))
    return StructItem(code, size, (StructField(name, 0, 8 * size),), ())


def _code(kind: Construct) -> str:
    kind = kind.subcon if isinstance(kind, Renamed) else kind
    if isinstance(kind, FormatField) and kind.fmtstr[0] == ">":
        return str(kind.fmtstr[1:])
    if isinstance(kind, Bytes):
        return f"{kind.length}s"
    raise TypeError(f"no fast form for {kind!r}")


def _bits(layout: Construct) -> StructItem:
    """A BitStruct: one integer of the struct format, split by shifts."""
    members: list[tuple[str, int, int | None]] = []
    for member in layout.subcons:
        inner = member.subcon
        value = inner.value if isinstance(inner, Const) else None
        integer = inner.subcon if isinstance(inner, Const) else inner
        if not isinstance(integer, BitsInteger):
            raise TypeError(f"no fast form for {integer!r}")
        members.append((member.name, integer.length, value))
    shift = total = sum(width for _, width, _ in members)
    codes = {8: "B", 16: "H", 32: "I", 64: "Q"}
    if total not in codes:
        raise TypeError(f"a BitStruct of {total} bits has no fast form")
    fields, constants = [], []
    for name, width, value in members:
        shift -= width
        if value is None:
            fields.append(StructField(name, shift, width))
        else:
            constants.append(StructConstant(name, shift, width, value))
    return StructItem(codes[total], total // 8, tuple(fields), tuple(constants))
