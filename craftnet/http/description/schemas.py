"""JSON schemas of message types, in the dialect of OpenAPI 3.0.3, which AsyncAPI's is a superset of. Pure.

(msgspec's own generator writes JSON Schema 2020-12, which OpenAPI 3.0 does not understand, and knows no docstrings of
fields.)
"""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterable
from enum import Enum
from functools import cache
from itertools import pairwise
from typing import Any

import msgspec
from msgspec import NODEFAULT, Struct
from msgspec import inspect as types

from craftnet.contract.messages import Time
from craftnet.http.operations import Binary, Named, OneOf, Several, Text

Schema = dict[str, Any]

ALIGNMENT = "Fields are ordered from large to small, so that a struct in this order needs no padding."
"""Ends the description of every schema with fields of different sizes."""

_TIME = next(meta.pattern for meta in Time.__metadata__)  # type: ignore[attr-defined]  # an Annotated type has it.

_INT32 = range(-(2**31), 2**31)


@cache
def attribute_texts(cls: type) -> dict[str, str]:
    """The docstrings below the attributes of a class and its bases; empty without source code."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not base.__module__.startswith("craftnet") or base.__qualname__ not in _classes(base.__module__):
            continue
        for statement, following in pairwise(_classes(base.__module__)[base.__qualname__].body):
            target = getattr(statement, "target", None) or (getattr(statement, "targets", None) or [None])[0]
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))) if isinstance(target, ast.Name):
                    found[target.id] = " ".join(text.split())
    return found


@cache
def _classes(module: str) -> dict[str, ast.ClassDef]:
    """The classes at the top of a module's source, by name."""
    try:
        source = inspect.getsource(sys.modules[module])
    except OSError:  # the source is not installed.
        return {}
    return {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}


@cache
def _type_info(kind: Any) -> types.Type:
    """Cached, because msgspec evaluates all annotations of a struct and of its members each time."""
    return types.type_info(kind)


class Schemas:
    """Derives schemas from types, and collects those of structs and enums, to which other schemas refer.

    Arguments:
        nullable: the structs that occur only in requests; their optional fields may be null.

    Attributes:
        components: the named schemas.
    """

    def __init__(self, nullable: Iterable[type] = ()) -> None:
        self._nullable = frozenset(nullable)
        self.components: dict[str, Schema] = {}

    def of(self, kind: Any) -> Schema:
        """The schema of a type that msgspec supports, or of a type of `craftnet.http.operations`."""
        if isinstance(kind, OneOf):
            return {"oneOf": [self.of(each) for each in kind.kinds]}
        if isinstance(kind, Named):
            self.components[kind.name] = {"description": kind.description, **self.of(kind.kind)}
            return _reference(kind.name)
        if isinstance(kind, Several):
            return {"type": "array", "items": self.of(kind.kind), "minItems": 1}
        if kind is Binary:
            return {"type": "string", "format": "binary"}
        if kind is Text:
            return {"type": "string"}
        return self._of(_type_info(kind))

    def _of(self, kind: types.Type) -> Schema:
        match kind:
            case types.StructType(cls=cls) | types.EnumType(cls=cls):
                return self._named(kind, cls)
            case types.UnionType():
                return self._union(kind)
            case types.ListType(item_type=inner) | types.VarTupleType(item_type=inner):
                bounds = {"minItems": kind.min_length, "maxItems": kind.max_length}
                return {"type": "array", "items": self._element(inner), **_given(bounds)}
            case types.DictType(value_type=inner):
                return {"type": "object", "additionalProperties": self._element(inner)}
            case types.AnyType() | types.RawType() | types.CustomType():
                return {}
            case types.LiteralType(values=values):
                return {"type": "string", "enum": list(values)}
            case _:
                return _scalar(kind)

    def _element(self, kind: types.Type) -> Schema:
        """The schema of the elements of an array or object, which cannot be missing but may be null."""
        schema = self._of(kind)
        return self._or_null(schema) if isinstance(kind, types.UnionType) and kind.includes_none else schema

    def _named(self, kind: types.StructType | types.EnumType, cls: type) -> Schema:
        name = cls.__name__
        if name not in self.components:
            self.components[name] = {}  # a schema that contains itself refers to it.
            made = self._struct(kind) if isinstance(kind, types.StructType) else _enum(kind.cls)
            self.components[name] = made
        return _reference(name)

    def _struct(self, kind: types.StructType) -> Schema:
        texts, nullable = attribute_texts(kind.cls), kind.cls in self._nullable
        properties: dict[str, Schema] = {}
        if kind.tag_field is not None:
            properties[kind.tag_field] = {"type": "string", "enum": [kind.tag]}
        for field in kind.fields:
            schema = self._of(field.type)
            optional = isinstance(field.type, types.UnionType) and field.type.includes_none
            if optional and (field.required or nullable):
                schema = self._or_null(schema)
            if "$ref" in schema:
                # In OpenAPI 3.0 nothing may stand beside $ref, so that the text is that of the type.
                properties[field.encode_name] = schema
                continue
            if field.name in texts:
                schema = {**schema, "description": texts[field.name]}
            properties[field.encode_name] = {**schema, **_default(field)}
        required = [field.encode_name for field in kind.fields if field.required]
        required += [] if kind.tag_field is None else [kind.tag_field]
        ordered = dict(sorted(properties.items(), key=lambda each: self._rank(each[1])))
        ranks = {self._rank(schema) for schema in properties.values()}
        text = " ".join(line.strip() for line in (kind.cls.__doc__ or "").split("\n")).strip()
        return {
            "type": "object",
            "description": f"{text} {ALIGNMENT}".strip() if len(ranks) > 1 else text,
            **({"required": [name for name in ordered if name in required]} if required else {}),
            "properties": ordered,
        }

    def _union(self, kind: types.UnionType) -> Schema:
        several = [self._of(each) for each in kind.types if not isinstance(each, types.NoneType)]
        if len(several) == 1:
            return several[0]
        tagged = [each for each in kind.types if isinstance(each, types.StructType) and each.tag is not None]
        made: Schema = {"oneOf": several}
        if len(tagged) == len(several):
            refs = {str(each.tag): schema["$ref"] for each, schema in zip(tagged, several, strict=True)}
            made["discriminator"] = {"propertyName": tagged[0].tag_field, "mapping": refs}
        return made

    def _or_null(self, schema: Schema) -> Schema:
        """The same, or null. OpenAPI 3.0 has `nullable` only beside a type, and nothing beside `$ref`."""
        if "$ref" in schema:
            kind = self.components[schema["$ref"].rpartition("/")[2]].get("type", "object")
            return {"type": kind, "nullable": True, "allOf": [schema]}
        if "oneOf" in schema:
            first, *others = schema["oneOf"]
            return {**schema, "oneOf": [self._or_null(first), *others]}
        return {**schema, "nullable": True} if schema else schema

    def _rank(self, schema: Schema) -> int:
        """How large a field is in a struct: 0 for the largest."""
        while "$ref" in schema:
            schema = self.components[schema["$ref"].rpartition("/")[2]]
        if schema.get("type") in ("string", "integer", "number", "boolean"):
            small = {"int32": 3, "boolean": 4}.get(schema.get("format") or schema["type"])
            return small or (1 if schema["type"] == "string" else 2)
        return 0


def _scalar(kind: types.Type) -> Schema:
    match kind:
        case types.BoolType():
            return {"type": "boolean"}
        case types.IntType(ge=least, le=most):
            small = least is not None and least in _INT32 and most is not None and most in _INT32
            bounds = {"minimum": least, "maximum": most}
            return {"type": "integer", "format": "int32" if small else "int64", **_given(bounds)}
        case types.FloatType(ge=least, le=most):
            return {"type": "number", "format": "double", **_given({"minimum": least, "maximum": most})}
        case types.UUIDType():
            return {"type": "string", "format": "uuid"}
        case types.DateTimeType():
            return {"type": "string", "format": "date-time"}
        case types.StrType(pattern=pattern) if pattern == _TIME:
            return {"type": "string", "format": "date-time"}
        case types.StrType(pattern=pattern):
            # ECMA-262 has ^ and $ for Python's \A and \Z.
            form = None if pattern is None else pattern.replace("\\A", "^").replace("\\Z", "$")
            bounds = {"minLength": kind.min_length, "maxLength": kind.max_length}
            return {"type": "string", **_given({"pattern": form}), **_given(bounds)}
        case _:
            raise TypeError(f"no schema for {kind}: add it to {__name__}")


def _enum(cls: type[Enum]) -> Schema:
    texts = attribute_texts(cls)
    meanings = [f"- `{each.value}`: {texts[each.name]}" for each in cls if each.name in texts]
    text = "\n".join([inspect.cleandoc(cls.__doc__ or ""), *([""] if meanings else []), *meanings])
    return {"type": "string", "description": text, "enum": [each.value for each in cls]}


def _default(field: types.Field) -> Schema:
    """The default of an optional field, if it has one other than being absent."""
    if field.default_factory is not NODEFAULT:
        made = field.default_factory()
        return {} if isinstance(made, dict) else {"default": msgspec.to_builtins(made)}
    if field.default in (None, NODEFAULT, ()):
        return {}
    return {"default": msgspec.to_builtins(field.default)}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _given(values: Schema) -> Schema:
    return {name: value for name, value in values.items() if value is not None}


def structs_in(kind: Any) -> set[type[Struct]]:
    """The structs that a type consists of, itself included."""
    if isinstance(kind, OneOf):
        return set().union(*map(structs_in, kind.kinds))
    if isinstance(kind, Named | Several):
        return structs_in(kind.kind)
    found: set[type[Struct]] = set()
    waiting = [] if kind in (None, Binary, Text) else [_type_info(kind)]
    while waiting:
        match waiting.pop():
            case types.StructType(cls=cls, fields=fields) if cls not in found:
                found.add(cls)
                waiting += [field.type for field in fields]
            case types.UnionType(types=several):
                waiting += several
            case types.ListType(item_type=inner) | types.VarTupleType(item_type=inner):
                waiting.append(inner)
            case types.DictType(value_type=inner):
                waiting.append(inner)
    return found
