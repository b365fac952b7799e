"""Where in a feed a watcher is, so that it can come back and get what it missed. Pure.

A version grows with every change of what the feed tells of, within an epoch. It says nothing in another one.
"""

from __future__ import annotations

import re

from msgspec import Struct

from craftnet.errors import BadRequest

_FORM = re.compile(r"([0-9A-Za-z_-]{1,64}):(\d{1,18})", re.ASCII)


class Position(Struct, frozen=True, gc=False):
    """A position. As text: `epoch:version`."""

    epoch: str
    version: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.version}"


def parse_position(text: str) -> Position:
    """The reverse of `str(position)`.

    Raises:
        BadRequest: it is no position.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadRequest("resume takes the epoch and version of the last message, as in resume=6c0ffee:42.")
    return Position(match[1], int(match[2]))
