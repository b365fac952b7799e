"""Bounded LZ4 with preset dictionaries: the binary messages of `craftnet.json.lz4.v1`. Pure.

    dictionary id (u8) · declared size (u24, big-endian) · one LZ4 block

The size is that of the decompressed message.
"""

from __future__ import annotations

from lz4.block import (  # type: ignore[import-untyped]  # lz4 ships no annotations.
    LZ4BlockError,
    compress,
    decompress,
)

from craftnet.errors import CraftnetError
from craftnet.protocols.websocket.core.dictionaries import Dictionary, dictionary

MAX_SIZE = 65_536
"""Octets of the largest message that is compressed or decompressed, checked before memory is allocated."""

_HEADER = 4


class BadCompressedMessage(CraftnetError):
    """Octets that are not a compressed message, or that cannot be decompressed here. The text says which."""


def compress_message(message: bytes, preset: Dictionary) -> bytes:
    """One message, compressed.

    Raises:
        BadCompressedMessage: it is longer than `MAX_SIZE`.
    """
    if len(message) > MAX_SIZE:
        raise BadCompressedMessage(f"The message is longer than {MAX_SIZE} octets.")
    block: bytes = compress(message, store_size=False, dict=preset.octets)
    return (preset.id << 24 | len(message)).to_bytes(_HEADER, "big") + block


def decompress_message(octets: bytes) -> bytes:
    """The decompressed message.

    Raises:
        UnknownDictionary: it needs a dictionary that the package does not have.
        BadCompressedMessage: it is not a compressed message, or longer than `MAX_SIZE` octets.
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
