"""RFC 6455 frames as a server sends them: whole messages, never masked, so that they serve every watcher. Pure."""

from __future__ import annotations

from functools import lru_cache

TEXT, BINARY = 0x81, 0x82
"""The first octet: FIN and the opcode (section 5.2)."""


def text(payload: bytes) -> bytes:
    """A text message; `payload` is UTF-8."""
    return _head(TEXT, len(payload)) + payload


def binary(payload: bytes) -> bytes:
    """A binary message."""
    return _head(BINARY, len(payload)) + payload


@lru_cache(maxsize=2048)
def _head(first: int, size: int) -> bytes:
    """The head of a frame; cached, because most messages have one of a few hundred lengths."""
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def split(octets: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """The opcode and payload of every complete frame that a server sent, and the octets of the incomplete rest.

    For clients that trust the server: does not check fragments and reserved bits.
    """
    found, start, end = [], 0, len(octets)
    while end - start >= 2:
        size, body = octets[start + 1], start + 2
        if size == 126:
            size, body = int.from_bytes(octets[body : body + 2], "big"), body + 2
        elif size == 127:
            size, body = int.from_bytes(octets[body : body + 8], "big"), body + 8
        if end < body + size:
            break
        found.append((octets[start] & 0x0F, octets[body : body + size]))
        start = body + size
    return found, octets[start:]
