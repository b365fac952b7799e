"""The codecs in TypeScript: an interface, a decoder and an encoder of each record."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from craftnet.protocols.wire.generate.description import (
    NUMBER,
    BitField,
    BitRecord,
    FieldDescription,
    Record,
    RunDescription,
    camel,
    words,
)

_PROLOGUE = """\
/** Why octets are refused, in the words of PROTOCOL.md. The decoders here use the first four. */
export type Outcome =
  | "truncated"
  | "reserved"
  | "type"
  | "out_of_range"
  | "trailing"
  | "contradictory"
  | "unknown_connection"
  | "stale"
  | "replayed"
  | "forged"
  | "repeated"
  | "no_baseline"
  | "overlong"
  | "garbled";

/** What came in is not as the layouts say; `outcome` says why, in the words of PROTOCOL.md. */
export class Refused extends Error {
  constructor(readonly outcome: Outcome) {
    super(outcome);
    this.name = "Refused";
  }
}

/** Throws Refused with this outcome unless `holds`. */
export function refuseUnless(holds: boolean, outcome: Outcome): asserts holds {
  if (!holds) throw new Refused(outcome);
}

function viewOf(octets: Uint8Array, offset: number, size: number): DataView {
  refuseUnless(offset + size <= octets.length, "truncated");
  return new DataView(octets.buffer, octets.byteOffset + offset, size);
}

function wanted(holds: boolean, name: string, value: unknown): void {
  if (!holds) throw new RangeError(`${name} cannot be ${String(value)}`);
}

type Range = readonly [number, number];

/** A field's number; `range` is its least and its largest. */
function numberOf(value: number | null, scale: number, absent: number | null, range: Range, name: string): number {
  if (value === null && absent !== null) return absent;
  const [least, largest] = range;
  const number = value === null ? NaN : Math.round(value * scale);
  wanted(number >= least && number <= largest && number !== absent, name, value);
  return number;
}

function memberOf(members: readonly string[], value: string, name: string): number {
  const number = members.indexOf(value);
  wanted(number >= 0, name, value);
  return number;
}

function formatUuid(octets: Uint8Array): string {
  const digits = Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}

function parseUuid(text: string, name: string): Uint8Array {
  const digits = text.replaceAll("-", "");
  wanted(/^[0-9a-f]{32}$/i.test(digits), name, text);
  return Uint8Array.from({ length: 16 }, (_, k) => parseInt(digits.slice(2 * k, 2 * k + 2), 16));
}

function place(into: Uint8Array, octets: Uint8Array, offset: number, size: number, name: string): void {
  wanted(octets.length === size, name, `${octets.length} octets`);
  into.set(octets, offset);
}

/** Reads octets bit after bit, the highest first. */
export class BitReader {
  private at = 0;

  constructor(private readonly octets: Uint8Array) {}

  /** The next `count` bits, at most 32. Throws Refused (truncated) at the end. */
  take(count: number): number {
    refuseUnless(this.at + count <= this.octets.length * 8, "truncated");
    let value = 0;
    for (const end = this.at + count; this.at < end; this.at += 1) {
      value = value * 2 + (((this.octets[this.at >> 3] ?? 0) >> (7 - (this.at & 7))) & 1);
    }
    return value;
  }

  /** A quantity that has its own length in front of it; null when it is unknown. */
  number(): number | null {
    const length = this.take(6);
    if (length === 63) return null;
    refuseUnless(length <= 32, "out_of_range");
    const value = this.take(length);
    refuseUnless((length === 0 || value >= 2 ** (length - 1)) && value !== 0xffffffff, "out_of_range");
    return value;
  }

  /** How many octets were begun. Throws Refused (reserved) for a bit that is set in the rest of the last. */
  finish(): number {
    refuseUnless(this.take(-this.at & 7) === 0, "reserved");
    return this.at >> 3;
  }
}
"""


def typescript(records: Sequence[Record], bit_records: Sequence[BitRecord], notice: str) -> str:
    """The whole module; `notice` is its first line, without comment signs."""
    enumerations = _Enumerations()
    parts = [f"// {notice}\n", _PROLOGUE]
    bodies = ["\n".join(_record(record, enumerations)) for record in records]
    bodies += ["\n".join(_bit_record(record, enumerations)) for record in bit_records]
    return "\n".join([*parts, *enumerations.declarations(), *(f"{body}\n" for body in bodies)])


class _Enumerations:
    """The enumerations that fields mean, each declared once under the name of the field that had it first."""

    def __init__(self) -> None:
        self._names: dict[tuple[tuple[int, str], ...], str] = {}

    def of(self, name: str, members: tuple[tuple[int, str], ...]) -> str:
        """The name of the constant with these members."""
        return self._names.setdefault(members, _plural("_".join(words(name)).upper()))

    def declarations(self) -> Iterator[str]:
        for members, name in self._names.items():
            if members[0][0] == 0:
                listed = ", ".join(f'"{text}"' for _, text in members)
                yield f"export const {name} = [{listed}] as const;\n"
            else:
                listed = ", ".join(f"{text}: {number}" for number, text in members)
                yield f"export const {name} = {{ {listed} }} as const;\n"


def _plural(name: str) -> str:
    return f"{name}ES" if name.endswith("S") else f"{name}S"


def _name(field: FieldDescription | BitField) -> str:
    """A value that is in seconds does not say milliseconds."""
    scaled = field.meaning is not None and field.meaning.scale > 1
    return camel(field.name.removesuffix("_ms") if scaled else field.name)


def _listed(field: FieldDescription | BitField) -> bool:
    """Whether its values are the names of an enumeration that counts from 0."""
    return field.meaning is not None and bool(field.meaning.members) and field.meaning.members[0][0] == 0


def _big(field: FieldDescription) -> bool:
    return field.octets is None and field.width == 64 and field.meaning.largest >= 1 << 53


def _type(field: FieldDescription | BitField, enumerations: _Enumerations) -> str:
    meaning = field.meaning
    assert meaning is not None, field.name
    if isinstance(field, FieldDescription) and field.octets is not None:
        return "string" if meaning.uuid else "Uint8Array"
    if _listed(field):
        return f"(typeof {enumerations.of(field.name, meaning.members)})[number]"
    if isinstance(field, FieldDescription) and _big(field):
        return "bigint"
    return "number | null" if meaning.absent is not None else "number"


def _record(record: Record, enumerations: _Enumerations) -> Iterator[str]:
    constant = "_".join(words(record.name)).upper()
    yield f"/** Octets of {record.name}{', without what may follow it' if record.tag else ''}. */"
    yield f"export const {constant}_SIZE = {record.size};"
    if record.tag is not None:
        yield f"export const {constant}_TAG = {record.tag};"
    yield ""
    yield f"export interface {record.name} {{"
    for field in record.fields:
        yield f"  {_name(field)}: {_type(field, enumerations)};"
    yield "}"
    yield ""
    yield "/** Throws Refused. */"
    yield f"export function decode{record.name}(octets: Uint8Array, start = 0): {record.name} {{"
    if any(not each.text for each in record.runs):
        yield f"  const view = viewOf(octets, start, {constant}_SIZE);"
    else:
        yield f'  refuseUnless(start + {constant}_SIZE <= octets.length, "truncated");'
    for run in record.runs:
        yield from (f"  {line}" for line in _reading(run, enumerations))
    yield f"  return {{ {', '.join(_name(field) for field in record.fields)} }};"
    yield "}"
    yield ""
    yield "/** Throws RangeError. */"
    yield f"export function encode{record.name}(value: {record.name}): Uint8Array {{"
    yield f"  const octets = new Uint8Array({constant}_SIZE);"
    if any(not each.text for each in record.runs):
        yield "  const view = new DataView(octets.buffer);"
    for run in record.runs:
        yield from (f"  {line}" for line in _writing(run, enumerations))
    yield "  return octets;"
    yield "}"


def _getter(run: RunDescription) -> str:
    return {1: "getUint8", 2: "getUint16", 4: "getUint32", 8: "getBigUint64"}[run.size]


def _reading(run: RunDescription, enumerations: _Enumerations) -> Iterator[str]:
    if run.text:
        part = f"octets.slice(start + {run.offset}, start + {run.offset + run.size})"
        for field in run.fields:
            yield f"const {_name(field)} = {f'formatUuid({part})' if field.meaning.uuid else part};"
        if run.constants:
            yield f'refuseUnless({part}.every((octet) => octet === 0), "reserved");'
        return
    slot = f"slot{run.offset}"
    yield f"const {slot} = view.{_getter(run)}({run.offset});"
    for each in run.constants:
        yield f'refuseUnless({_bits(slot, run, each.shift, each.width)} === {each.value!r}, "reserved");'
    for field in run.fields:
        raw = slot if field.width == 64 else _bits(slot, run, field.shift, field.width)
        yield from _checked(field, raw, enumerations)


def _bits(slot: str, run: RunDescription, shift: int, width: int) -> str:
    if width == 8 * run.size:
        return slot
    shifted = f"({slot} >>> {shift})" if shift else slot
    return shifted if shift + width == 32 else f"({shifted} & {(1 << width) - 1:#x})"


def _checked(field: FieldDescription | BitField, raw: str, enumerations: _Enumerations) -> Iterator[str]:
    """The lines that make a constant named as the field of the expression of its number."""
    meaning, name = field.meaning, _name(field)
    assert meaning is not None, field.name
    if isinstance(field, FieldDescription) and _big(field):
        yield f"const {name} = {raw};"
        return
    suffix = "n" if isinstance(field, FieldDescription) and field.width == 64 else ""
    conditions = [f"{name}Number >= {meaning.least}{suffix}"] if meaning.least else []
    width = field.width or 32
    if meaning.largest < (1 << width) - 1:
        conditions.append(f"{name}Number <= {meaning.largest}{suffix}")
    if not conditions and meaning.scale == 1 and meaning.absent is None and not _listed(field) and not suffix:
        yield f"const {name} = {raw};"
        return
    yield f"const {name}Number = {raw};"
    if conditions:
        yield f'refuseUnless({" && ".join(conditions)}, "{meaning.outcome}");'
    number = f"Number({name}Number)" if suffix else f"{name}Number"
    value = f"{number} / {meaning.scale}" if meaning.scale > 1 else number
    if _listed(field):
        constant = enumerations.of(field.name, meaning.members)
        value = f"{constant}[{number}] as (typeof {constant})[number]"
    if meaning.absent is not None:
        value = f"{name}Number === {meaning.absent} ? null : {value}"
    yield f"const {name} = {value};"


def _writing(run: RunDescription, enumerations: _Enumerations) -> Iterator[str]:
    if run.text:
        for field in run.fields:
            given = f"value.{_name(field)}"
            octets = f'parseUuid({given}, "{_name(field)}")' if field.meaning.uuid else given
            yield f'place(octets, {octets}, {run.offset}, {run.size}, "{_name(field)}");'
        return
    parts = [_number(field, enumerations) + (f" * {1 << field.shift}" if field.shift else "") for field in run.fields]
    parts += [str(each.value << each.shift) for each in run.constants if isinstance(each.value, int) and each.value]
    if not parts:
        return  # the octets are 0 from the beginning.
    setter = _getter(run).replace("get", "set")
    total = " + ".join(parts)
    if run.size == 8 and not any(_big(field) for field in run.fields):
        total = f"BigInt({total})"
    yield f"view.{setter}({run.offset}, {total});"


def _number(field: FieldDescription, enumerations: _Enumerations) -> str:
    meaning, name = field.meaning, _name(field)
    if _big(field):
        return f"value.{name}"
    if _listed(field):
        return f'memberOf({enumerations.of(field.name, meaning.members)}, value.{name}, "{name}")'
    absent = "null" if meaning.absent is None else str(meaning.absent)
    return f'numberOf(value.{name}, {meaning.scale}, {absent}, [{meaning.least}, {meaning.largest}], "{name}")'


def _bit_record(record: BitRecord, enumerations: _Enumerations) -> Iterator[str]:
    shown = [field for field in record.fields if not field.flag]
    yield f"export interface {record.name} {{"
    for field in shown:
        yield f"  {_name(field)}{'?' if field.condition else ''}: {_bit_type(field, enumerations)};"
    yield "}"
    yield ""
    sized = ", rowBits: number" if any(field.width is None for field in record.fields) else ""
    yield "/** Throws Refused. What the record does not change is missing; a problem that ended is null. */"
    yield f"export function decode{record.name}(bits: BitReader{sized}): {record.name} {{"
    required = [field for field in record.fields if not field.condition and not field.flag]
    for field in required:
        yield from (f"  {line}" for line in _bit_reading(field, enumerations))
    yield f"  const record: {record.name} = {{ {', '.join(_name(field) for field in required)} }};"
    for field in record.fields:
        if field.flag and not field.condition:
            yield f"  const {camel(field.name)} = bits.take(1) === 1;"
    for field in record.fields:
        if field.condition:
            yield from _bit_optional(field, enumerations)
    yield "  return record;"
    yield "}"


def _bit_type(field: BitField, enumerations: _Enumerations) -> str:
    if field.nested and field.nested != NUMBER:
        return f"{field.nested} | null"
    return _type(field, enumerations)


def _bit_reading(field: BitField, enumerations: _Enumerations) -> Iterator[str]:
    """The lines that make a constant named as the field."""
    meaning = field.meaning
    assert meaning is not None, field.name
    if field.nested == NUMBER:
        yield f"const {_name(field)} = bits.number();"
        if meaning.absent is None:
            yield f'if ({_name(field)} === null) throw new Refused("{meaning.outcome}");'
        if meaning.least:
            yield f'refuseUnless({_name(field)} !== 0, "{meaning.outcome}");'
        return
    if field.nested:
        yield f"const {_name(field)} = decode{field.nested}(bits);"
        return
    raw = f"bits.take({field.width if field.width is not None else 'rowBits'})"
    yield from _checked(field._replace(width=field.width or 16), raw, enumerations)


def _bit_optional(field: BitField, enumerations: _Enumerations) -> Iterator[str]:
    if field.flag:
        yield f"  const {camel(field.name)} = {camel(field.condition)} && bits.take(1) === 1;"
        return
    yield f"  if ({camel(field.condition)}) {{"
    yield from (f"    {line}" for line in _bit_reading(field, enumerations))
    yield f"    record.{_name(field)} = {_name(field)};"
    ended = field.nested and field.nested != NUMBER
    yield f"  }} else if (has{field.name.capitalize()}) record.{_name(field)} = null;" if ended else "  }"
