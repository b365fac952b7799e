"""Captured messages without identifying values: one JSON message a line. Pure, except for reading the file.

In each message, ids and epochs are replaced by random ones, and times move to another date. What remains is common to
all messages, so that a dictionary made of it stays useful for later ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from uuid import UUID

import msgspec
from msgspec import Struct

from craftnet.errors import ConfigurationError

HELD_OUT = 0.3
"""The newest share of the messages, which evaluates a dictionary instead of training it."""

LEAST = 200
"""Minimum number of messages of a corpus."""

_UUID = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_EPOCH = re.compile(rb'("epoch":")([0-9a-f]+)')
_DATE = re.compile(rb"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")
_LAST_DATE = 2_000_000_000


class Blanking:
    """Replaces values that identify a player, a session, a server or a day.

    Arguments:
        random: draws the replacements.
    """

    def __init__(self, random: Random) -> None:
        self._random = random

    def blank(self, message: bytes) -> bytes:
        """The message, with its length unchanged. An id has one replacement per message."""
        drawn: dict[bytes, bytes] = {}

        def replacement(found: re.Match[bytes]) -> bytes:
            if found[0] not in drawn:
                drawn[found[0]] = str(UUID(int=self._random.getrandbits(128), version=4)).encode()
            return drawn[found[0]]

        shift = self._random.randrange(_LAST_DATE)

        def moved(found: re.Match[bytes]) -> bytes:
            try:
                seconds = datetime.fromisoformat(found[0].decode()).replace(tzinfo=UTC).timestamp()
            except ValueError:
                return found[0]
            return (
                datetime.fromtimestamp((int(seconds) + shift) % _LAST_DATE, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()
            )

        message = _DATE.sub(moved, _UUID.sub(replacement, message))
        return _EPOCH.sub(
            lambda found: found[1] + b"%0*x" % (len(found[2]), self._random.getrandbits(4 * len(found[2]))), message
        )


class Corpus(Struct, frozen=True):
    """Messages in the order in which they were sent.

    Attributes:
        training: the older ones.
        held_out: the newer ones.
    """

    training: Sequence[bytes]
    held_out: Sequence[bytes]

    @classmethod
    def of(cls, messages: Sequence[bytes]) -> Corpus:
        """Divides messages by `HELD_OUT`."""
        divide = round(len(messages) * (1 - HELD_OUT))
        return cls(messages[:divide], messages[divide:])


def read_corpus(path: Path) -> Corpus:
    """Reads the messages of a file.

    Raises:
        ConfigurationError: the file cannot be read, a line is not a JSON object, or there are too few messages.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        try:
            msgspec.json.decode(line, type=dict[str, object])
        except msgspec.MsgspecError:
            raise ConfigurationError(f"{path}, line {number}: not a JSON object") from None
    if len(lines) < LEAST:
        raise ConfigurationError(f"{path} has {len(lines)} messages; at least {LEAST} are needed: capture for longer")
    return Corpus.of(lines)
