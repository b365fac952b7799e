"""The text by which an operator chooses and configures a part: `NAME:key=value:key=value…`. Pure.

A colon in a value needs no backslash unless a `key=` follows it, so that URLs can be typed as they are. `\\:` is a
colon in any case, `\\\\` a backslash.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct

from craftnet.errors import ConfigurationError

_NAME = re.compile(r"[a-z][a-z0-9-]*")
_ARGUMENT = re.compile(r":(?P<key>\w+)=(?P<value>(?:\\.|(?!:\w+=)[^\\])*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


class Spec(Struct, frozen=True):
    """A name and its arguments."""

    name: str
    arguments: Mapping[str, str]


def parse_spec(text: str) -> Spec:
    """Take the text apart.

    Raises:
        ConfigurationError: it is not of the form above, or an argument is given twice. Values do not appear in the
            message: somebody may have typed a secret.
    """
    named = _NAME.match(text)
    if named is None:
        raise ConfigurationError("expected NAME or NAME:key=value:…, with a name of lower-case letters, digits and '-'")
    name, position = named[0], named.end()
    arguments: dict[str, str] = {}
    while position < len(text):
        match = _ARGUMENT.match(text, position)
        if match is None:
            raise ConfigurationError(f"{name}: something behind it is not of the form :key=value")
        if match["key"] in arguments:
            raise ConfigurationError(f"{name}: {match['key']}= is given twice")
        arguments[match["key"]] = _ESCAPE.sub(r"\1", match["value"])
        position = match.end()
    return Spec(name, arguments)
