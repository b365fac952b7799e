"""The compression algorithms of the UDP protocol. Pure.

Decompression allocates no more than the expected size, whatever the octets claim.
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
"""Octets of the longest content."""

_WINDOW_BITS = 16  # of a zstd frame: what MAX_CONTENT needs, so that no frame makes a receiver reserve more.


class Compression(Protocol):
    """An algorithm."""

    @property
    def name(self) -> Literal["lz4", "zstd"]:
        """The name in …/connect."""

    def compress(self, content: bytes) -> bytes:
        """`content`, at most `MAX_CONTENT` octets, in often fewer and sometimes more octets."""

    def decompress(self, compressed: bytes, size: int) -> bytes:
        """The content of exactly `size` octets. Never allocates more than that.

        Raises:
            BadDatagram: garbled: it does not decompress to that size.
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
    """One zstd frame (RFC 8878). The fastest level: higher ones gain nothing on content this short."""

    name: Literal["zstd"] = "zstd"

    def __init__(self) -> None:
        self._compressor = zstd.ZstdCompressor(level=1)  # shared: creating it costs more than using it.

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
"""The available algorithms by name, the one that compresses best first."""


def _garbled() -> BadDatagram:
    return BadDatagram("garbled", "compressed content that does not decompress to its declared size")
