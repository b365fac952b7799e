"""The text by which an operator chooses and configures a part: `NAME:key=value:key=value…`. Pure.

A colon or backslash in a value is escaped with a backslash, as in Twisted's endpoint strings.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from craftnet.errors import ConfigurationError

_PART = re.compile(r"((?:[^:\\]|\\.)*)(?::|\Z)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Spec(Struct, frozen=True):
    """A name and its arguments."""

    name: str
    arguments: Mapping[str, str]


def parse_spec(text: str) -> Spec:
    """Take the text apart.

    Raises:
        ConfigurationError: it is not of the form above, or an argument is given twice.
    """
    name, *pairs = _split(text)
    if not name or "=" in name:
        raise ConfigurationError(f"expected NAME or NAME:key=value:…, not {text!r}")
    arguments: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise ConfigurationError(f"{name}: {pair!r} is not of the form key=value")
        if key in arguments:
            raise ConfigurationError(f"{name}: {key} is given twice")
        arguments[key] = _ESCAPE.sub(r"\1", value)
    return Spec(name, arguments)


def _split(text: str) -> list[str]:
    """The parts between colons that are not escaped."""
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise ConfigurationError(f"{text!r} ends in the middle of an escape")
        parts.append(match[1])
        position = match.end()
        if not match[0].endswith(":") or match.end() == match.end(1):
            return parts
