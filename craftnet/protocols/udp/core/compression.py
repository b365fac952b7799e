"""Compression of what is told over UDP: the algorithms. Pure.

Unpacking costs no more than what is asked for, whatever the octets claim.
"""

from __future__ import annotations

import sys
from typing import Literal, Protocol

from lz4.block import LZ4BlockError, compress, decompress  # type: ignore[import-untyped]  # lz4 ships no annotations.

from craftnet.errors import BadDatagram

try:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
except ImportError:  # an extra before Python 3.14, and left out of some builds after it.
    zstd = None  # type: ignore[assignment]  # a module that is not there.

MAX_CONTENT = 65_536
"""Octets of the longest content there is."""

_WINDOW_BITS = 16  # of a zstd frame: as much as MAX_CONTENT needs, so that no frame makes anybody reserve more.


class Compression(Protocol):
    """An algorithm."""

    @property
    def name(self) -> Literal["lz4", "zstd"]:
        """How …/connect names it."""

    def compress(self, content: bytes) -> bytes:
        """`content`, at most `MAX_CONTENT` octets, in what is often fewer and sometimes more."""

    def decompress(self, compressed: bytes, size: int) -> bytes:
        """The content of exactly `size` octets that was packed. Never makes room for more than those.

        Raises:
            BadDatagram: garbled: that is not what was packed.
        """


class Lz4:
    """One LZ4 block."""

    name: Literal["lz4"] = "lz4"

    def compress(self, content: bytes) -> bytes:
        """See `Compression`."""
        compressed: bytes = compress(content, store_size=False)
        return compressed

    def decompress(self, compressed: bytes, size: int) -> bytes:
        """See `Compression`."""
        try:
            content: bytes = decompress(compressed, uncompressed_size=size)
        except LZ4BlockError:
            raise _garbled() from None
        if len(content) != size:
            raise _garbled()
        return content


class Zstd:
    """One zstd frame (RFC 8878). The fastest level: higher ones do no better on content as short as this."""

    name: Literal["zstd"] = "zstd"

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=1)  # one for all: making it costs more than what it does.

    def compress(self, content: bytes) -> bytes:
        """See `Compression`."""
        self._compressor.set_pledged_input_size(len(content))
        return self._compressor.compress(content, zstd.ZstdCompressor.FLUSH_FRAME)

    def decompress(self, compressed: bytes, size: int) -> bytes:
        """See `Compression`."""
        frame = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_BITS})
        try:
            content = frame.decompress(compressed, size + 1)
        except zstd.ZstdError:
            raise _garbled() from None
        if len(content) != size or not frame.eof or frame.unused_data:
            raise _garbled()
        return content


COMPRESSIONS: dict[str, Compression] = {"lz4": Lz4()} if zstd is None else {"zstd": Zstd(), "lz4": Lz4()}
"""What there is here by its name, the one that packs best first."""


def _garbled() -> BadDatagram:
    return BadDatagram("garbled", "what was packed is not what it says")
