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


class Field(NamedTuple):
    """What has a value of its own.

    Attributes:
        width: in bits.
        read: the expression for it; `{}` in it is the slot's variable.
    """

    name: str
    width: int
    read: str


class Slot(NamedTuple):
    """One item of a struct format.

    Attributes:
        code: how the format names it.
        packed: the expression that makes it of variables named as the fields.
        checks: what must not hold of it.
    """

    code: str
    packed: str
    checks: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def whole(self) -> str | None:
        """The name of the field that has it for itself."""
        return self.fields[0].name if self.fields and self.fields[0].read == "{}" else None


def slots(layout: Construct) -> Iterator[Slot]:
    """The items of a declaration, in their order.

    Raises:
        TypeError: there is anything in it but integers, Bytes(n), BitStructs, constants, and Structs of such.
    """
    for member in layout.subcons:
        inner = member.subcon
        if isinstance(inner, Struct):
            yield from slots(inner)
        elif isinstance(inner, Restreamed | Transformed):
            yield _bits(inner.subcon)
        else:
            yield _whole(member.name, inner)


def _whole(name: str, kind: Construct) -> Slot:
    """A field that is an item of the struct format by itself."""
    if isinstance(kind, Const):
        return Slot(_code(kind.subcon), repr(kind.value), (f"{{}} != {kind.value!r}",), ())
    code = _code(kind)
    return Slot(code, name, (), (Field(name, struct.calcsize(">" + code) * 8, "{}"),))


def _code(kind: Construct) -> str:
    kind = kind.subcon if isinstance(kind, Renamed) else kind
    if isinstance(kind, FormatField) and kind.fmtstr[0] == ">":
        return str(kind.fmtstr[1:])
    if isinstance(kind, Bytes):
        return f"{kind.length}s"
    raise TypeError(f"no fast form for {kind!r}")


def _bits(layout: Construct) -> Slot:
    """A BitStruct: one integer of the struct format, taken apart by shifts."""
    members: list[tuple[str, int, int | None]] = []
    for member in layout.subcons:
        inner = member.subcon
        value = inner.value if isinstance(inner, Const) else None
        integer = inner.subcon if isinstance(inner, Const) else inner
        if not isinstance(integer, BitsInteger):
            raise TypeError(f"no fast form for {integer!r}")
        members.append((member.name, integer.length, value))
    total = sum(width for _, width, _ in members)
    codes = {8: "B", 16: "H", 32: "I", 64: "Q"}
    if total not in codes:
        raise TypeError(f"a BitStruct of {total} bits has no fast form")
    shift = total
    packed, checks, fields = [], [], []
    for name, width, value in members:
        shift -= width
        part = f"{{}} >> {shift}" if shift else "{}"
        if shift + width < total:
            part = f"{part} & {(1 << width) - 1:#x}"
        if value is None:
            packed.append(f"{name} << {shift}" if shift else name)
            fields.append(Field(name, width, part))
        elif value:
            packed.append(str(value << shift))
        if value is not None:
            checks.append(f"{part} != {value}")
    return Slot(codes[total], " | ".join(packed) or "0", tuple(checks), tuple(fields))
