"""RFC 6455 frames as a server sends them: whole messages, never masked, so that they serve every watcher. Pure."""

from __future__ import annotations

TEXT, BINARY = b"\x81", b"\x82"
"""The first octet: FIN and the opcode (section 5.2)."""


def text(payload: bytes) -> bytes:
    """A text message; `payload` is UTF-8."""
    return TEXT + _length(len(payload)) + payload


def binary(payload: bytes) -> bytes:
    """A binary message."""
    return BINARY + _length(len(payload)) + payload


def _length(size: int) -> bytes:
    if size < 126:
        return bytes((size,))
    if size < 65536:
        return b"\x7e" + size.to_bytes(2, "big")
    return b"\x7f" + size.to_bytes(8, "big")
