"""From a construct declaration of fixed size to code that packs and unpacks it with one `struct.Struct` and shifts.

construct takes some 20 µs for what this does in about one; the code is generated once, at import, the way
`collections.namedtuple` and `dataclasses` generate theirs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
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

from craftnet.errors import BadDatagram


class Derived(NamedTuple):
    """The fast form of a declaration.

    Attributes:
        size: in bytes.
        fields: the names of what is not constant, nested names flattened, in the order of the bytes.
        pack: takes the fields' values (int, or bytes of the declared size) in that order, gives the bytes.
            Raises BadDatagram when a value does not fit.
        unpack: takes bytes and an offset, gives a tuple of the fields' values. Raises BadDatagram when the bytes end
            too early or something constant is different.
    """

    size: int
    fields: tuple[str, ...]
    pack: Callable[..., bytes]
    unpack: Callable[[bytes, int], tuple[object, ...]]


class _Slot(NamedTuple):
    """One item of the struct format: what packs it, what must hold of it, what is read from it."""

    code: str
    packed: str
    checks: tuple[str, ...]
    fits: tuple[str, ...]
    fields: tuple[tuple[str, str], ...]


def derive(layout: Construct) -> Derived:
    """Make fast code of `layout`: a Struct of integers, Bytes(n), BitStructs, constants, and Structs of such.

    Raises:
        TypeError: the layout contains anything else.
    """
    slots = list(_slots(layout))
    fields = [field for slot in slots for field in slot.fields]
    names = tuple(name for name, _ in fields)
    if len(set(names)) != len(names):
        raise TypeError(f"two fields have the same name: {names}")
    compiled = struct.Struct(">" + "".join(slot.code for slot in slots))
    targets = ", ".join(f"v{index}" for index in range(len(slots)))
    checks = [check.format(f"v{index}") for index, slot in enumerate(slots) for check in slot.checks]
    results = [expression.format(f"v{index}") for index, slot in enumerate(slots) for _, expression in slot.fields]
    fits = [condition for slot in slots for condition in slot.fits]
    source = "\n".join(
        [
            f"def pack({', '.join(names)}):",
            f"    if {' or '.join(fits) or 'False'}:",
            "        raise BadDatagram('out_of_range')",
            "    try:",
            f"        return compiled_pack({', '.join(slot.packed for slot in slots)})",
            "    except struct_error:",
            "        raise BadDatagram('out_of_range') from None",
            "def unpack(octets, offset):",
            "    try:",
            f"        {targets}, = unpack_from(octets, offset)",
            "    except struct_error:",
            "        raise BadDatagram('truncated') from None",
            f"    if {' or '.join(checks) or 'False'}:",
            "        raise BadDatagram('reserved')",
            f"    return ({', '.join(results)},)",
        ]
    )
    scope: dict[str, Callable[..., object]] = {
        "BadDatagram": BadDatagram,
        "struct_error": struct.error,
        "compiled_pack": compiled.pack,
        "unpack_from": compiled.unpack_from,
    }
    exec(source, scope)  # the source comes from layouts.py alone.
    return Derived(compiled.size, names, scope["pack"], scope["unpack"])  # type: ignore[arg-type]  # made by exec.


def _slots(layout: Construct) -> Iterator[_Slot]:
    for member in layout.subcons:
        inner = member.subcon
        if isinstance(inner, Struct):
            yield from _slots(inner)
        elif isinstance(inner, Restreamed | Transformed):
            yield _bits(inner.subcon)
        else:
            yield _whole(member.name, inner)


def _whole(name: str, kind: Construct) -> _Slot:
    """A field that is an item of the struct format by itself."""
    if isinstance(kind, Const):
        return _Slot(_code(kind.subcon), repr(kind.value), (f"{{}} != {kind.value!r}",), (), ())
    code = _code(kind)
    # struct pads and cuts bytes silently; it does refuse integers that do not fit.
    fits = (f"len({name}) != {kind.length}",) if isinstance(kind, Bytes) else ()
    return _Slot(code, name, (), fits, ((name, "{}"),))


def _code(kind: Construct) -> str:
    kind = kind.subcon if isinstance(kind, Renamed) else kind
    if isinstance(kind, FormatField) and kind.fmtstr[0] == ">":
        return str(kind.fmtstr[1:])
    if isinstance(kind, Bytes):
        return f"{kind.length}s"
    raise TypeError(f"no fast form for {kind!r}")


def _bits(layout: Construct) -> _Slot:
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
    packed, checks, fits, fields = [], [], [], []
    for name, width, value in members:
        shift -= width
        part = f"{{}} >> {shift} & {(1 << width) - 1:#x}" if shift else f"{{}} & {(1 << width) - 1:#x}"
        if value is None:
            packed.append(f"{name} << {shift}")
            fits.append(f"{name} >> {width}")  # also true of anything negative.
            fields.append((name, part))
        else:
            packed.append(str(value << shift))
            checks.append(f"{part} != {value}")
    return _Slot(codes[total], " | ".join(packed), tuple(checks), tuple(fits), tuple(fields))
