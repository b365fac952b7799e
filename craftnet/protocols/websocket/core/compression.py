"""Bounded LZ4 with preset dictionaries: the binary messages of `craftnet.json.lz4.v1`. Pure.

    dictionary id (u8) · declared size (u24, big-endian) · one LZ4 block

The size is that of the decompressed message. A dictionary contains what messages have in common; once published under
an id it never changes, so both ends may keep it for ever. Id 0 means no dictionary.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files

from lz4.block import (  # type: ignore[import-untyped]  # lz4 ships no annotations.
    LZ4BlockError,
    compress,
    decompress,
)
from msgspec import Struct

from craftnet.errors import CraftnetError

MAX_SIZE = 65_536
"""Octets of the largest message that is compressed or decompressed, checked before memory is allocated."""

NEWEST = 1
"""The id of the dictionary with which messages are compressed."""

KNOWN = (1,)
"""The ids of all dictionaries."""

_HEADER = 4


class BadCompressedMessage(CraftnetError):
    """Octets that are not a compressed message, or that cannot be decompressed here. The text says which."""


class UnknownDictionary(BadCompressedMessage):
    """There is no dictionary with this id. Attributes: `id`."""

    def __init__(self, dictionary_id: int) -> None:
        known = ", ".join(map(str, KNOWN))
        super().__init__(f"There is no dictionary {dictionary_id}; the dictionaries are: {known}.")
        self.id = dictionary_id


class Dictionary(Struct, frozen=True):
    """A preset dictionary. `digest` is the SHA-256 of its octets, in hexadecimal."""

    id: int
    octets: bytes
    digest: str


@cache
def dictionary(dictionary_id: int) -> Dictionary:
    """The dictionary with this id, which is package data.

    Raises:
        UnknownDictionary: there is none.
    """
    if dictionary_id not in KNOWN:
        raise UnknownDictionary(dictionary_id)
    octets = files("craftnet.protocols.websocket").joinpath("dictionaries", f"{dictionary_id}.lz4dict").read_bytes()
    return Dictionary(dictionary_id, octets, sha256(octets).hexdigest())


def compress_message(message: bytes, preset: Dictionary) -> bytes:
    """One message, compressed.

    Raises:
        BadBlock: it is longer than `MAX_SIZE`.
    """
    if len(message) > MAX_SIZE:
        raise BadCompressedMessage(f"The message is longer than {MAX_SIZE} octets.")
    block: bytes = compress(message, store_size=False, dict=preset.octets)
    return (preset.id << 24 | len(message)).to_bytes(_HEADER, "big") + block


def decompress_message(octets: bytes) -> bytes:
    """The decompressed message.

    Raises:
        UnknownDictionary: it needs a dictionary that is unknown here.
        BadBlock: it is not a compressed message, or longer than `MAX_SIZE` octets.
    """
    if len(octets) < _HEADER:
        raise BadCompressedMessage("The message is truncated.")
    size = int.from_bytes(octets[1:_HEADER], "big")
    if size > MAX_SIZE:
        raise BadCompressedMessage(f"The message declares {size} octets; the maximum is {MAX_SIZE}.")
    preset = dictionary(octets[0]).octets if octets[0] else b""
    try:
        message: bytes = decompress(octets[_HEADER:], uncompressed_size=size, dict=preset)
    except LZ4BlockError:
        raise BadCompressedMessage("The message is not an LZ4 block of the declared size.") from None
    if len(message) != size:
        raise BadCompressedMessage("The message is shorter than it declares.")
    return message
