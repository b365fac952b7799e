"""A Wireshark dissector in Lua: the layouts as tables, and `dissector.lua` behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files

from craftnet.protocols.wire import layouts
from craftnet.protocols.wire.generate.description import BitRecord, FieldDescription, Record, RunDescription, words
from craftnet.protocols.wire.records import DatagramKind


def wireshark(records: Sequence[Record], bit_records: Sequence[BitRecord], notice: str) -> str:
    """The whole script; `notice` is its first line, without comment signs."""
    tags = ", ".join(f'[{record.tag}] = "{record.name}"' for record in records if record.tag is not None)
    kinds = ", ".join(f'[{int(kind)}] = "{kind.name}"' for kind in DatagramKind)
    rest = files(__package__).joinpath("dissector.lua").read_text("utf-8")
    return "\n".join(
        [
            f"-- {notice}",
            "-- wireshark -X lua_script:craftnet.lua",
            "",
            f"local DATAGRAM_VERSION = {layouts.DATAGRAM_VERSION}",
            f"local KINDS = {{ {kinds} }}",
            f"local TAGS = {{ {tags} }}",
            "",
            "local layouts = {}",
            *(line for record in records for line in _record(record)),
            "",
            "local bit_layouts = {}",
            *(line for record in bit_records for line in _bit_record(record)),
            "",
            rest,
        ]
    )


def _record(record: Record) -> Iterator[str]:
    yield f'layouts.{record.name} = {{ filter = "{"_".join(words(record.name))}", size = {record.size}, fields = {{'
    for run in record.runs:
        yield from (f"  {_field(field, run)}," for field in run.fields)
    yield "} }"


def _field(field: FieldDescription, run: RunDescription) -> str:
    parts = [f'name = "{field.name}"', f"offset = {run.offset}", f"size = {run.size}"]
    if field.octets is not None:
        parts.append(f'kind = "{"guid" if field.meaning.uuid else "bytes"}"')
        return f"{{ {', '.join(parts)} }}"
    bits = 8 * run.size
    parts += [f'kind = "uint{bits}"', f"width = {field.width}"]
    if field.width < bits:
        parts += [f"shift = {field.shift}", f'mask = "{((1 << field.width) - 1) << field.shift:x}"']
    if field.meaning.members:
        parts.append(f"members = {{ {', '.join(f'[{number}] = {name!r}' for number, name in field.meaning.members)} }}")
    return f"{{ {', '.join(parts)} }}"


def _bit_record(record: BitRecord) -> Iterator[str]:
    yield f"bit_layouts.{record.name} = {{"
    for field in record.fields:
        parts = [f'name = "{field.name}"']
        if field.nested:
            parts.append(f'nested = "{field.nested}"')
        elif field.width is not None:
            parts.append(f"width = {field.width}")
        if field.flag:
            parts.append("flag = true")
        if field.condition:
            parts.append(f'condition = "{field.condition}"')
        yield f"  {{ {', '.join(parts)} }},"
    yield "}"
