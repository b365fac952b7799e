"""The syntax with which an operator chooses and configures a part: `NAME:key=value:key=value…`. Pure.

A colon in a value needs no backslash unless a `key=` follows it, so URLs can be typed unchanged. `\\:` is always a
colon, `\\\\` a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from craftnet.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_ARGUMENT = re.compile(r":(?P<key>\w+)=(?P<value>(?:\\.|(?!:\w+=)[^\\])*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class ComponentSpec(Struct, frozen=True):
    """A name and its arguments."""

    name: str
    arguments: Mapping[str, str]


def parse_component_spec(text: str) -> ComponentSpec:
    """Parses the text.

    Raises:
        ConfigurationError: it has another form, or repeats an argument. The message contains no values: one of them
            may be a secret.
    """
    named = _NAME.match(text)
    if named is None:
        raise ConfigurationError("expected NAME or NAME:key=value:…, with a name of lower-case letters, digits and '-'")
    name, position = named[0], named.end()
    arguments: dict[str, str] = {}
    while position < len(text):
        match = _ARGUMENT.match(text, position)
        if match is None:
            raise ConfigurationError(f"{name}: an argument is not of the form :key=value")
        if match["key"] in arguments:
            raise ConfigurationError(f"{name}: {match['key']}= is given twice")
        arguments[match["key"]] = _ESCAPE.sub(r"\1", match["value"])
        position = match.end()
    return ComponentSpec(name, arguments)
