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
    """Kept, because most messages are of a few hundred lengths."""
    if size < 126:
        return bytes((first, size))
    if size < 65536:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")
