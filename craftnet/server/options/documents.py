"""Documents about the options: the effective configuration, a file of all defaults, a JSON Schema. Pure."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from craftnet.limits.client_address import Networks
from craftnet.runtime.masking import masked_option
from craftnet.server.options.option import Declaration
from craftnet.server.options.resolution import Effective
from craftnet.server.options.table import GROUPS, OPTIONS

WIDTH = 100
"""Characters of a line of a document."""


def toml_value(value: Any) -> str:
    """A value in TOML's syntax; an empty string for None."""
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"{value!r}"
        case tuple():
            return f"[{', '.join(map(toml_value, value))}]"
        case Networks():
            return toml_value(str(value))
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def written(values: Mapping[str, Any]) -> str:
    """A configuration file with these values, by the name of the option; secrets included."""
    return "".join(f"{name} = {toml_value(value)}\n" for name, value in values.items() if value is not None)


def shown(effective: Effective) -> str:
    """The effective configuration as a TOML file: each value with its origin. Secrets are masked."""
    lines = []
    for group in GROUPS:
        if not group.declarations:
            continue
        lines += ["", f"# {group.heading}"]
        for declared in group.declarations:
            found = effective.options[declared.name]
            line = f"{declared.name} = {toml_value(without_secret(found.value))}"
            lines.append(f"{line if declared.option.in_file else '# ' + line}  # {found.origin}")
    return "\n".join(lines[1:]) + "\n"


def without_secret(value: Any) -> Any:
    """The value of an option without secrets."""
    if isinstance(value, tuple):
        return tuple(map(masked_option, value))
    return masked_option(value) if isinstance(value, str) else value


def default_file() -> str:
    """A configuration file with every option at its default, commented out."""
    lines = [
        "# Options of `twistd craftnet --config FILE`. Each has its default here; remove the # to change one.",
        "# The command line and CRAFTNET_… variables win over this file. An empty text counts as not given.",
    ]
    for group in GROUPS:
        given = [each for each in group.declarations if each.option.in_file]
        if given:
            lines += ["", f"# {group.heading}"]
        for declared in given:
            lines += ["", *_comment(declared.described())]
            lines.append(f"#{declared.name} = {toml_value(declared.default)}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> Iterable[str]:
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def schema() -> dict[str, Any]:
    """A JSON Schema (draft 7, as editors of TOML read it) of the configuration file."""
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The configuration of craftnet",
        "description": "The file that `twistd craftnet --config FILE` reads.",
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: dict(_property(declared)) for name, declared in OPTIONS.items() if declared.option.in_file
        },
    }


def _property(declared: Declaration) -> Iterator[tuple[str, Any]]:
    """The schema of one option."""
    option = declared.option
    yield "description", declared.described()
    texts: dict[str, Any] = {"type": "array", "items": {"type": "string"}}
    if declared.is_number:
        yield "type", "integer" if declared.kind is int else "number"
        for key, bound in (("minimum", option.least), ("maximum", option.most)):
            if bound is not None:
                yield key, bound
    elif declared.is_flag:
        yield "type", "boolean"
    elif declared.is_list:
        yield "anyOf", [texts, {"type": "string"}]
    elif declared.kind is Networks:
        yield "anyOf", [{"type": "string"}, texts]
    else:
        yield "type", "string"
        if option.choices:
            yield "enum", list(option.choices)
    if declared.default is not None and not declared.is_list:
        yield "default", str(declared.default) if declared.kind is Networks else declared.default


def schema_text() -> str:
    """The schema as a file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
