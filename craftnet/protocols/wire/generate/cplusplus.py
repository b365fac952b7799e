"""The codecs in C++17: a structure, a decoder and an encoder of each record. Nothing in them allocates or throws."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.generate.description import (
    NUMBER,
    BitField,
    BitRecord,
    FieldDescription,
    Meaning,
    Record,
    RunDescription,
    words,
)

_HEADER = """\
// {notice}
#pragma once

#include <cstddef>
#include <cstdint>

#include "craftnet/bytes.h"
#include "craftnet/outcome.h"

namespace craftnet::wire {{

/// A quantity or a duration that is unknown. A quality that is unknown is 0.
constexpr std::uint32_t kUnknown = 0x{unknown:X}U;

/// The version in the header of a record of the HTTP interface.
constexpr std::uint8_t kRecordVersion = {record_version};

/// The version in the first byte of a datagram.
constexpr std::uint8_t kDatagramVersion = {datagram_version};

/// Bytes of a HELLO and of a RESPONSE.
constexpr std::size_t kHandshakeSize = {handshake_size};

// A decoder looks at the first bytes only, and takes more than it needs. Where the outcome is not kAccepted, the record
// is undefined. An encoder writes kSize bytes and trusts that each number is in its range.

{body}
}}  // namespace craftnet::wire
"""

_SOURCE = """\
// {notice}
#include "craftnet/wire.h"

#include <cstring>

namespace craftnet::wire {{

namespace {{

bool zeros(const std::uint8_t* octets, std::size_t size) noexcept {{
  std::uint8_t sum = 0;
  for (std::size_t k = 0; k < size; ++k) sum = static_cast<std::uint8_t>(sum | octets[k]);
  return sum == 0;
}}

}}  // namespace

{body}
}}  // namespace craftnet::wire
"""

_TYPES = {8: "std::uint8_t", 16: "std::uint16_t", 32: "std::uint32_t", 64: "std::uint64_t"}


def header(records: Sequence[Record], bit_records: Sequence[BitRecord], notice: str) -> str:
    """The header; `notice` is its first line, without comment signs."""
    parts = [*_enumerations(records)]
    parts += ["\n".join(_structure(record)) for record in records]
    parts += ["\n".join(_bit_structure(record)) for record in bit_records]
    constants = {
        "unknown": layouts.NONE_U32,
        "record_version": layouts.RECORD_VERSION,
        "datagram_version": layouts.DATAGRAM_VERSION,
        "handshake_size": layouts.HANDSHAKE_SIZE,
    }
    return _HEADER.format(notice=notice, **constants, body="\n".join(f"{part}\n" for part in parts))


def source(records: Sequence[Record], bit_records: Sequence[BitRecord], notice: str) -> str:
    """The file with the functions."""
    parts = ["\n".join(_functions(record)) for record in records]
    parts += ["\n".join(_bit_function(record)) for record in bit_records]
    return _SOURCE.format(notice=notice, body="\n".join(f"{part}\n" for part in parts))


def _pascal(name: str) -> str:
    return "".join(word.capitalize() for word in words(name))


def _number_type(width: int) -> str:
    return next(name for size, name in _TYPES.items() if width <= size)


def _enumerations(records: Sequence[Record]) -> Iterator[str]:
    seen = set()
    for field in (field for record in records for field in record.fields):
        if not field.meaning.members or field.name in seen:
            continue
        seen.add(field.name)
        listed = "\n".join(f"  k{_pascal(name)} = {number}," for number, name in field.meaning.members)
        yield f"enum class {_pascal(field.name)} : std::uint8_t {{\n{listed}\n}};"


def _type(name: str, width: int, octets: int | None, meaning: Meaning | None) -> str:
    if octets is not None:
        return "Uuid" if meaning is not None and meaning.uuid else f"Octets<{octets}>"
    if meaning is not None and meaning.members:
        return _pascal(name)
    return _number_type(width)


def _initial(name: str, octets: int | None, meaning: Meaning | None) -> str:
    if octets is not None:
        return "{}"
    if meaning is not None and meaning.members:
        return f" = {_pascal(name)}::k{_pascal(meaning.members[0][1])}"
    return " = 0"


def _said(meaning: Meaning, width: int) -> str:
    """The comment behind a field."""
    said = []
    if meaning.scale > 1:
        said.append(f"{meaning.scale} are one unit")
    limited = meaning.least or meaning.largest < (1 << width) - 1
    if limited and not meaning.members:
        said.append(f"{meaning.least} to {meaning.largest}")
    if meaning.absent is not None:
        said.append(f"{'kUnknown' if meaning.absent else 0}: unknown")
    return f"  ///< {', '.join(said)}" if said else ""


def _structure(record: Record) -> Iterator[str]:
    yield f"struct {record.name} {{"
    yield f"  static constexpr std::size_t kSize = {record.size};"
    if record.tag is not None:
        yield f"  static constexpr std::uint8_t kTag = {record.tag};"
    for field in record.fields:
        kind = _type(field.name, field.width, field.octets, field.meaning)
        said = "" if field.octets is not None else _said(field.meaning, field.width)
        yield f"  {kind} {field.name}{_initial(field.name, field.octets, field.meaning)};{said}"
    yield "};"
    yield f"[[nodiscard]] CRAFTNETCORE_API Outcome decode(Bytes octets, {record.name}& record) noexcept;"
    yield f"CRAFTNETCORE_API void encode(const {record.name}& record, std::uint8_t* octets) noexcept;"


def _functions(record: Record) -> Iterator[str]:
    yield f"Outcome decode(Bytes octets, {record.name}& record) noexcept {{"
    yield f"  if (octets.size < {record.name}::kSize) return Outcome::kTruncated;"
    yield "  const std::uint8_t* at = octets.data;"
    for run in record.runs:
        yield from (f"  {line}" for line in _reading(run))
    yield "  return Outcome::kAccepted;"
    yield "}"
    yield ""
    yield f"void encode(const {record.name}& record, std::uint8_t* octets) noexcept {{"
    for run in record.runs:
        yield from (f"  {line}" for line in _writing(run))
    yield "}"


def _reading(run: RunDescription) -> Iterator[str]:
    if run.text:
        for field in run.fields:
            yield f"std::memcpy(record.{field.name}.data(), at + {run.offset}, {run.size});"
        if run.constants:
            yield f"if (!zeros(at + {run.offset}, {run.size})) return Outcome::kReserved;"
        return
    slot, bits = f"slot{run.offset}", 8 * run.size
    yield f"const {_number_type(max(bits, 32))} {slot} = load_u{bits}(at + {run.offset});"
    for each in run.constants:
        yield f"if ({_bits(slot, bits, each.shift, each.width)} != {each.value!r}U) return Outcome::kReserved;"
    for field in run.fields:
        yield from _checked(field, _bits(slot, bits, field.shift, field.width), bits)


def _bits(slot: str, bits: int, shift: int, width: int) -> str:
    shifted = f"({slot} >> {shift})" if shift else slot
    return shifted if shift + width == bits else f"({shifted} & {(1 << width) - 1:#x}U)"


def _checked(field: FieldDescription | BitField, raw: str, bits: int) -> Iterator[str]:
    """The lines that refuse an expression that means nothing, and put it into the record."""
    meaning = field.meaning
    assert meaning is not None, field.name
    width = field.width or 16
    suffix = "ULL" if bits == 64 else "U"
    conditions = [f"{raw} < {meaning.least}{suffix}"] if meaning.least else []
    if meaning.largest < (1 << width) - 1:
        conditions.append(f"{raw} > {meaning.largest}{suffix}")
    if conditions:
        yield f"if ({' || '.join(conditions)}) return Outcome::k{_pascal(meaning.outcome)};"
    kind = _type(field.name, width, None, meaning)
    value = raw if _number_type(max(bits, 32)) == kind else f"static_cast<{kind}>({raw})"
    yield f"record.{field.name} = {value};"


def _writing(run: RunDescription) -> Iterator[str]:
    if run.text:
        for field in run.fields:
            yield f"std::memcpy(octets + {run.offset}, record.{field.name}.data(), {run.size});"
        if run.constants:
            yield f"std::memset(octets + {run.offset}, 0, {run.size});"
        return
    bits = 8 * run.size
    kind = _number_type(bits)
    wide = "std::uint64_t" if bits == 64 else "std::uint32_t"
    parts = []
    for field in run.fields:
        value = f"static_cast<{wide}>(record.{field.name})"
        parts.append(f"({value} << {field.shift})" if field.shift else value)
    parts += [f"{each.value << each.shift}U" for each in run.constants if isinstance(each.value, int) and each.value]
    total = " | ".join(parts) or "0U"
    if len(run.fields) == 1 and len(parts) == 1 and not run.fields[0].meaning.members:
        total = f"record.{run.fields[0].name}"
        if run.fields[0].shift:
            total = f"static_cast<{kind}>({parts[0]})"
    elif kind != wide:
        total = f"static_cast<{kind}>({total})"
    yield f"store_u{bits}(octets + {run.offset}, {total});"


def _bit_structure(record: BitRecord) -> Iterator[str]:
    yield f"struct {record.name} {{"
    for field in record.fields:
        if field.flag:
            yield f"  bool {field.name} = false;"
        elif field.nested and field.nested != NUMBER:
            yield f"  {field.nested} {field.name};"
        else:
            assert field.meaning is not None, field.name
            width = 32 if field.nested else field.width or 16
            said = _said(field.meaning, width)
            kind, initial = _type(field.name, width, None, field.meaning), _initial(field.name, None, field.meaning)
            yield f"  {kind} {field.name}{initial};{said}"
    yield "};"
    yield f"[[nodiscard]] Outcome decode(BitReader& bits, {_sized(record)}{record.name}& record) noexcept;"


def _sized(record: BitRecord) -> str:
    return "unsigned row_bits, " if any(field.width is None for field in record.fields) else ""


def _bit_function(record: BitRecord) -> Iterator[str]:
    yield f"Outcome decode(BitReader& bits, {_sized(record)}{record.name}& record) noexcept {{"
    yield f"  record = {record.name}{{}};"
    for field in record.fields:
        lines = [*_bit_reading(field)]
        if field.condition and not field.flag:
            yield f"  if (record.{field.condition}) {{"
            yield from (f"    {line}" for line in lines)
            yield "  }"
        else:
            yield from (f"  {line}" for line in lines)
    yield "  return bits.truncated() ? Outcome::kTruncated : Outcome::kAccepted;"
    yield "}"


def _bit_reading(field: BitField) -> Iterator[str]:
    name = field.name
    if field.flag:
        condition = f"record.{field.condition} && " if field.condition else ""
        yield f"record.{name} = {condition}bits.take(1) == 1U;"
        return
    if field.nested and field.nested != NUMBER:
        yield f"const Outcome outcome = decode(bits, record.{name});"
        yield "if (outcome != Outcome::kAccepted) return outcome;"
        return
    meaning = field.meaning
    assert meaning is not None, name
    if field.nested:
        absent = "true" if meaning.absent is not None else "false"
        yield f"if (!bits.number({absent}, record.{name})) return bits.refusal();"
        if meaning.least:
            yield f"if (record.{name} < {meaning.least}U) return Outcome::k{_pascal(meaning.outcome)};"
        return
    yield f"const std::uint32_t {name} = bits.take({field.width if field.width is not None else 'row_bits'});"
    yield "if (bits.truncated()) return Outcome::kTruncated;"
    yield from _checked(field, name, 32)
