"""The messages between the server and the writer of a recording, over pipes. Pure.

Each message is a length of four bytes, big-endian, and MessagePack. Both ends are of one version.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import Raw, Struct

from craftnet.contract.events import EVENT_TYPES
from craftnet.recording.rows import PathSample

LENGTH = 4
"""Bytes of a length."""

KINDS: tuple[type[Any], ...] = (*EVENT_TYPES.values(), PathSample)
"""The kinds of observations; each is sent as its index."""

CODES = {kind: code for code, kind in enumerate(KINDS)}

Observation = tuple[int, float, Any]
"""An observation: the index of its kind, when it became true (Unix seconds), and its data."""


class WriterSettings(Struct, frozen=True):
    """The settings of a writer.

    Attributes:
        folder: the folder of the recording.
        players: the file of the players' keys.
        rotation: "day" or "month".
        key: the file of the secret that machines share; None: this machine makes the keys.
        days: days after which files are deleted; 0: never.
        interval: seconds for which a batch is open.
        worker: the name of the worker, for the names of files.
    """

    folder: str
    players: str
    rotation: str = "day"
    key: str | None = None
    days: int = 0
    interval: float = 60.0
    worker: str = "w0"


class WriterStatus(Struct, frozen=True, array_like=True):
    """What a writer has done since its last status.

    Attributes:
        written: observations in files that have appeared.
        size: bytes of these files.
        problem: the reason why the writer cannot write now; empty if it can.
    """

    written: int = 0
    size: int = 0
    problem: str = ""


_encoder = msgspec.msgpack.Encoder(uuid_format="bytes")
_observations = msgspec.msgpack.Decoder(list[tuple[int, float, Raw]])
_status = msgspec.msgpack.Decoder(WriterStatus)
_data = tuple(msgspec.msgpack.Decoder(kind) for kind in KINDS)


def encode_observations(observations: Sequence[Observation]) -> bytes:
    """The message of observations."""
    return _framed(_encoder.encode(observations))


def decode_observations(message: bytes) -> list[tuple[float, Any]]:
    """When each observation became true, and its data."""
    return [(when, _data[code].decode(raw)) for code, when, raw in _observations.decode(message)]


def encode_status(status: WriterStatus) -> bytes:
    """The message of a status."""
    return _framed(_encoder.encode(status))


def decode_status(message: bytes) -> WriterStatus:
    """The status in a message."""
    return _status.decode(message)


def _framed(octets: bytes) -> bytes:
    return len(octets).to_bytes(LENGTH, "big") + octets


class Messages:
    """Finds the messages in a stream of bytes."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, octets: bytes) -> Iterator[bytes]:
        """The messages that these bytes complete."""
        rest = self._rest
        rest += octets
        while len(rest) >= LENGTH and len(rest) >= (end := LENGTH + int.from_bytes(rest[:LENGTH], "big")):
            message = bytes(rest[LENGTH:end])
            del rest[:end]
            yield message
