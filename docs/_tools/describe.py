"""What the code says about its messages: fields, types, ranges, meanings and examples, read from the types."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable
from enum import Enum
from typing import Any

import admin_samples
import msgspec
from msgspec import NODEFAULT, Struct
from msgspec import inspect as types

from craftnet.contract.messages import Time
from craftnet.http.description.schemas import attribute_texts
from craftnet.recording.rows import TABLES, columns

WIDTH = 100
"""Characters of the longest line of Markdown."""

UNKNOWN = 2**32 - 1
"""The upper bound of what is stored in 32 bits, which says nothing to a reader."""

PAGES = {"ChangeType": "events.md", "MaterialChange": "events.md"}
"""The page of each module, by its full name, and of types that are on another page than their module's."""

ID = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
SAMPLES: dict[str, Any] = {
    # What an example has in a field of this name, or of this name in one type; others get a value of their type.
    "session_id": ID,
    "player_id": "11111111-1111-4111-8111-111111111111",
    "material_id": "0f1e2d3c-4b5a-4697-8877-665544332206",
    "recipe_id": "cccccccc-cccc-4ccc-8ccc-cccccccccccc",
    "event_id": "5b0b4bb2-3f0d-4c64-9c53-0d3f3b1f6a11",
    "result_item_id": "7a6b5c4d-3e2f-4d1c-9b0a-9f8e7d6c5b05",
    "workstation_id": "9f7f7c1e-6a54-4a39-8a39-0c2a6c5d7e02",
    "zone_id": "night_city_crafting_zone_01",
    "timestamp": "2026-01-15T10:30:00.000Z",
    "message_timestamp": "2026-01-15T10:29:58.000Z",
    "expires": "2026-01-22T10:30:00.000Z",
    "progress_percentage": 42,
    "remaining_time_seconds": 174,
    "estimated_duration_seconds": 300,
    "remaining_duration_seconds": 120,
    "current_quality": 55,
    "target_quality": 80,
    "required_quantity": 5,
    "available_quantity": 2,
    "required_quality": 60,
    "available_quality": 40,
    "new_quantity": 3,
    "quantity": 5,
    "new_quality": 60,
    "queue_position": 3,
    "total_in_queue": 12,
    "estimated_wait_seconds": 95,
    "estimated_wait_time": 95,
    "jump_queue_cost": 250,
    "experience_gained": 120,
    "epoch": "5f0d1c2b3a49",
    "version": 12582915,
    "uptime": 86400,
    "response_time": 3,
    "code": 404,
    "closed": 2,
    "client_version": "1.0.0",
    "max_packet_size": 4096,
    "negotiated_packet_size": 4096,
    "heartbeat_interval": 5000,
    "progress_tolerance": 1.5,
    "session_index": 1,
    "expires_in": 3600,
    "session_token": "3q2-7wABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f",
    "token": "eyJ…",
    "jti": "b1946ac9",
    "server_endpoint": "craft.example:8082",
    "websocket_url": "wss://craft.example/health/ws",
    "supported_protocols": ["craftnet.json.v1"],
    "supported_compression": ["lz4"],
    "messages": [
        {
            "type": "queue_position",
            "player_id": "11111111-1111-4111-8111-111111111111",
            "timestamp": "2026-01-15T10:30:00.000Z",
            "queue_position": 3,
        }
    ],
    "position": "5f0d1c2b3a49:12582915",
    "name": "craftnet",
    "links": {"health": "/health", "metrics": "/metrics"},
    "failure_reason": "recipe_error",
    "DeviceState.name": "phone",
    "device": "phone",
    "DeviceState.since": "2026-01-15T10:12:00.000Z",
    "DeviceCursor.seen": 12582915,
    "DeviceCursor.dismissed": 8388610,
    "deviation_percent": 0.2,
    "deviation_seconds": -0.4,
    **admin_samples.SAMPLES,
}


def meaning(cls: type, name: str) -> str:
    """The text below an attribute. Raises LookupError for one that has none, so that none is forgotten."""
    text = attribute_texts(cls).get(name)
    if not text:
        raise LookupError(f"{cls.__module__}.{cls.__name__}.{name} has no docstring below it: say what it means")
    return text


def item(text: str, depth: int = 0) -> str:
    """One item of a list, wrapped."""
    indent = "  " * depth
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=f"{indent}- ",
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def paragraph(text: str) -> str:
    """A paragraph, wrapped."""
    return textwrap.fill(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)


def console(text: object) -> str:
    """JSON in a block of its own."""
    return "```json\n" + json.dumps(text, indent=2, ensure_ascii=False) + "\n```"


def reference(cls: type) -> str:
    """A link to the section about a type."""
    page = PAGES.get(cls.__name__) or PAGES[cls.__module__]
    return f"[{cls.__name__}]({page}#{cls.__name__.lower()})"


def _bounds(least: float | None, most: float | None) -> str:
    if most == UNKNOWN:
        most = None
    if least is not None and most is not None:
        return f", {least:g} to {most:.15g}"
    return f", {least:g} or more" if least is not None else ""


def type_text(kind: types.Type) -> str:
    """A type in words: ``integer, 0 to 100``."""
    match kind:
        case types.IntType(ge=least, le=most):
            return "integer" + _bounds(least, most)
        case types.FloatType(ge=least, le=most):
            return "number" + _bounds(least, most)
        case types.StrType(pattern=pattern, max_length=longest):
            if pattern == _TIME:
                return "time (RFC 3339)"
            text = "string" if longest is None else f"string of at most {longest} characters"
            return text if pattern is None else text + f" that matches `{pattern[2:-2]}`"
        case types.BoolType():
            return "boolean"
        case types.UUIDType():
            return "uuid"
        case types.DateTimeType():
            return "time (RFC 3339)"
        case types.EnumType(cls=cls):
            return reference(cls)
        case types.LiteralType(values=values):
            return " or ".join(f"`{value}`" for value in values)
        case types.StructType(cls=cls):
            return reference(cls)
        case types.ListType(item_type=inner) | types.VarTupleType(item_type=inner):
            return f"array of {type_text(inner)}" + _length(kind)
        case types.DictType(value_type=inner):
            return f"object of {type_text(inner)} by name"
        case types.UnionType(types=several):
            return " or ".join(type_text(each) for each in several if not isinstance(each, types.NoneType))
        case types.AnyType() | types.RawType() | types.CustomType():
            return "any value"
        case _:
            raise TypeError(f"no words for {kind}")


def _length(kind: types.ListType | types.VarTupleType) -> str:
    least, most = kind.min_length, kind.max_length
    if most is None:
        return ""
    return f" ({least} to {most})" if least else f" (at most {most})"


_TIME = next(meta.pattern for meta in Time.__metadata__)  # type: ignore[attr-defined]  # an Annotated type has it.


def struct_fields(cls: type[Struct]) -> Iterable[types.Field]:
    """The fields of a struct, as msgspec sees them."""
    info = types.type_info(cls)
    assert isinstance(info, types.StructType)
    return info.fields


def fields_text(cls: type[Struct]) -> str:
    """A list item for every field: name, type, range, whether it is required, and what it means."""
    lines = []
    for field in struct_fields(cls):
        need = "required" if field.required else _default(field)
        lines.append(item(f"`{field.encode_name}`: {type_text(field.type)}; {need}. {meaning(cls, field.name)}"))
    return "\n".join(lines)


def _default(field: types.Field) -> str:
    if field.default_factory is not NODEFAULT:
        return f"optional, default `{json.dumps(field.default_factory())}`"
    if field.default in (None, NODEFAULT, ()):
        return "optional"
    return f"optional, default `{json.dumps(msgspec.to_builtins(field.default))}`"


def values_text(cls: type[Enum]) -> str:
    """A list item for every value of an enum."""
    return "\n".join(item(f"`{each.value}`: {meaning(cls, each.name)}") for each in cls)


def example(cls: type[Struct], without: Iterable[str] = (), **given: Any) -> dict[str, Any]:
    """A JSON object with all fields but some, checked against the type."""
    made: dict[str, Any] = {}
    info = types.type_info(cls)
    assert isinstance(info, types.StructType)
    if info.tag is not None:
        made[str(info.tag_field)] = info.tag
    for field in info.fields:
        if field.name in given:
            made[field.encode_name] = given[field.name]
        elif field.name not in without:
            own = f"{cls.__name__}.{field.name}"
            made[field.encode_name] = SAMPLES[own] if own in SAMPLES else _sample(field.name, field.type)
    msgspec.convert(made, cls, strict=True)
    return made


def _sample(name: str, kind: types.Type) -> Any:
    if isinstance(kind, types.UnionType):
        kind = next(each for each in kind.types if not isinstance(each, types.NoneType))
    match kind:
        case types.StrType() if name == "version":  # of a service or an envelope; that of a position is a number.
            return "1.0.0"
        case types.StructType(cls=cls):
            return example(cls)
        case types.ListType(item_type=inner) | types.VarTupleType(item_type=inner) if name not in SAMPLES:
            return [_sample("", inner)]
        case types.DictType(key_type=key, value_type=inner) if name not in SAMPLES:
            return {_sample("", key) if isinstance(key, types.EnumType) else "sessions": _sample("", inner)}
        case types.EnumType(cls=cls):
            return next(iter(cls)).value
        case types.LiteralType(values=values):
            return values[0]
        case types.BoolType():
            return True
        case types.UUIDType() if name not in SAMPLES:
            return ID
        case types.DateTimeType() | types.StrType(pattern=str()) if name not in SAMPLES:
            return "2026-01-15T10:30:00.000Z"
        case types.StrType() if name not in SAMPLES:
            return "…"
        case types.IntType() | types.FloatType() if name not in SAMPLES:
            return 1
    return SAMPLES[name]


def recording_tables() -> str:
    """The columns of each table of a recording."""
    parts = []
    for name, table in TABLES.items():
        texts = attribute_texts(table)
        lines = [f"### {name}\n\n{paragraph(str(table.__doc__))}\n"]
        for column in columns(table):
            kind = f"{column.type}, optional" if column.optional else column.type
            lines.append(item(f"`{column.name}` ({kind}): {texts[column.name]}"))
        parts.append("\n".join(lines))
    return "\n\n".join(parts)
