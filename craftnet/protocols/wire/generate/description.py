"""Describes the layouts for every language: records, the places in them, their fields and what the numbers mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import NamedTuple

from construct import (  # type: ignore[import-untyped]  # construct ships no annotations.
    BitsInteger,
    Construct,
    Flag,
    IfThenElse,
    Renamed,
)

from craftnet.contract.messages import MaterialProblem
from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.codec import datagrams, deltas, fields, reports, states
from craftnet.protocols.wire.compiler.compiled_layouts import CompiledLayout, CompiledRecord
from craftnet.protocols.wire.compiler.conversions import PLAIN, Conversion, one_of
from craftnet.protocols.wire.compiler.struct_items import StructConstant, StructItem, struct_items

CODECS: tuple[ModuleType, ...] = (reports, datagrams, datagrams, datagrams, states, deltas)
"""The modules whose codecs are derived from layouts."""


class Meaning(NamedTuple):
    """What the numbers of a field stand for.

    Attributes:
        absent: the number of a value that is unknown; None when a value is always there.
        least, largest: the range of what means something, `absent` besides.
        scale: how many of it make one unit of the value: 100 of a percent, 1000 of a second.
        members: the numbers of an enumeration and their names; empty when it is none.
        uuid: whether the bytes are a uuid's.
        outcome: the word for a number outside this.
    """

    absent: int | None
    least: int
    largest: int
    scale: int = 1
    members: tuple[tuple[int, str], ...] = ()
    uuid: bool = False
    outcome: str = "out_of_range"


class FieldDescription(NamedTuple):
    """One value of a record.

    Attributes:
        octets: how many, when it is a string of bytes; None when it is a number.
        shift, width: where it is in its slot, in bits.
    """

    name: str
    octets: int | None
    shift: int
    width: int
    meaning: Meaning


class RunDescription(NamedTuple):
    """A run of bytes: one big-endian integer with fields and constants in it, or a string of bytes."""

    offset: int
    size: int
    text: bool
    fields: tuple[FieldDescription, ...]
    constants: tuple[StructConstant, ...]


class Record(NamedTuple):
    """A layout of fixed size."""

    name: str
    size: int
    runs: tuple[RunDescription, ...]

    @property
    def fields(self) -> tuple[FieldDescription, ...]:
        """All of them, in the order of the bytes."""
        return tuple(field for run in self.runs for field in run.fields)

    @property
    def tag(self) -> int | None:
        """The constant first byte that says which record it is; None when there is none."""
        first = self.runs[0]
        named = [each.value for each in first.constants if each.name == "tag"]
        return named[0] if named and isinstance(named[0], int) else None


class BitField(NamedTuple):
    """One value of a record of bits.

    Attributes:
        width: in bits; 0 for a nested record, None where the record before says it.
        nested: the name of the record of bits that it is; "" for a number.
        condition: the flag that must be set for it to be there; "" when it always is.
        flag: whether it is one bit that is true or false.
        meaning: what its number stands for.
    """

    name: str
    width: int | None
    nested: str = ""
    condition: str = ""
    flag: bool = False
    meaning: Meaning | None = None


class BitRecord(NamedTuple):
    """A layout of a number of bits that depends on its content."""

    name: str
    fields: tuple[BitField, ...]


NUMBER = "Number"
"""The record of bits that is a quantity: its own length, then the quantity."""

_BIT_CONVERSIONS = {
    "problem": one_of("PROBLEMS", tuple(MaterialProblem)),
    "quantity": fields.HELD_QUANTITY,
    "required_quantity": fields.REQUIRED,
    "available_quantity": fields.QUANTITY,
    "quality": fields.QUALITY,
    "required_quality": fields.QUALITY,
    "available_quality": fields.QUALITY,
}
"""How the fields of records of bits travel, which `craftnet.protocols.wire.codec.deltas` says in code."""


def words(name: str) -> list[str]:
    """The words of a name in snake_case or PascalCase, in lower case."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower().split("_")


def camel(name: str) -> str:
    """The same name in camelCase."""
    first, *others = words(name)
    return first + "".join(word.capitalize() for word in others)


def records() -> list[Record]:
    """Every layout of fixed size that the codecs use, in the order of their declarations.

    Raises:
        TypeError: a conversion says something that this has no word for.
    """
    found = {}
    for module in CODECS:
        for codec in vars(module).values():
            if isinstance(codec, CompiledLayout | CompiledRecord):
                found[id(codec.layout)] = dict(codec.conversions)
    return [
        Record(name, layout.sizeof(), tuple(runs(layout, found[id(layout)])))
        for name, layout in vars(layouts).items()
        if id(layout) in found and not name.startswith("_")
    ]


def bit_records() -> list[BitRecord]:
    """The records of bits that an entry of `MaterialsDelta` is made of, those that others contain first."""
    return [
        BitRecord(name, tuple(map(_bit_field, getattr(layouts, name).subcons))) for name in ("RowProblem", "RowChange")
    ]


def runs(layout: Construct, conversions: Mapping[str, Conversion]) -> Iterator[RunDescription]:
    """The places of a layout, whose fields travel by these conversions where they do not travel as they are."""
    offset = 0
    for slot in struct_items(layout):
        yield _run(slot, offset, conversions)
        offset += slot.size


def _run(slot: StructItem, offset: int, conversions: Mapping[str, Conversion]) -> RunDescription:
    text = slot.code[-1] == "s"
    fields = []
    for field in slot.fields:
        conversion = conversions.get(field.name, PLAIN)
        meaning = meaning_of(conversion, 0 if text else field.width)
        fields.append(FieldDescription(field.name, slot.size if text else None, field.shift, field.width, meaning))
    return RunDescription(offset, slot.size, text, tuple(fields), slot.constants)


def meaning_of(conversion: Conversion, width: int) -> Meaning:
    """What a conversion of a field of `width` bits says, without Python's expressions.

    Raises:
        TypeError: it says something that this has no word for.
    """
    largest = (1 << width) - 1 if conversion.most is None else min(conversion.most, (1 << width) - 1)
    members: tuple[tuple[int, str], ...] = ()
    least = 0
    if (named := re.fullmatch(r"\{\} in (\w+)", conversion.means)) is not None:
        table = conversion.names[named[1]]
        assert isinstance(table, dict), named[1]
        members = tuple((number, member.name.lower()) for number, member in table.items())
        least, largest = min(table), max(table)
    elif conversion.means == "{}":  # not 0.
        least = 1
    elif conversion.means:
        raise TypeError(f"no description of {conversion.means!r}")
    scale, uuid = 1, False
    if (divided := re.fullmatch(r"\{\} / (\d+)", conversion.value)) is not None:
        scale = int(divided[1])
    elif (listed := re.fullmatch(r"(\w+)\[\{\}\]", conversion.value)) is not None:
        table = conversion.names[listed[1]]
        members = members or tuple(enumerate(map(str, _tuple(table))))
    elif conversion.value == "UUID(bytes={})":
        uuid = True
    elif conversion.value != "{}":
        raise TypeError(f"no description of {conversion.value!r}")
    return Meaning(conversion.none, least, largest, scale, members, uuid, conversion.outcome)


def _tuple(table: object) -> tuple[object, ...]:
    assert isinstance(table, tuple), table
    return table


def _bit_field(member: Construct) -> BitField:
    inner, condition = member.subcon, ""
    if isinstance(inner, IfThenElse):
        condition = str(inner.condfunc).rpartition("[")[2].strip("']")
        inner = inner.thensubcon
    while isinstance(inner, Renamed):
        inner = inner.subcon
    if inner is Flag:
        return BitField(member.name, 1, condition=condition, flag=True)
    for name in (NUMBER, "RowProblem"):
        if inner is getattr(layouts, name):
            return BitField(member.name, 0, name, condition, meaning=_bit_meaning(member.name, 32))
    if isinstance(inner, BitsInteger):
        width = inner.length if isinstance(inner.length, int) else None
        return BitField(member.name, width, "", condition, meaning=_bit_meaning(member.name, width or 16))
    raise TypeError(f"no description of {inner!r}")


def _bit_meaning(name: str, width: int) -> Meaning:
    return meaning_of(_BIT_CONVERSIONS.get(name, PLAIN), width)
