"""Parses a chunked body (RFC 9112 section 7.1), strictly. Pure: octets in, octets out."""

from __future__ import annotations

import re

from craftnet.errors import BadRequest, HeadersTooLarge
from craftnet.http.request_head import QUOTED_STRING, TOKEN, parse_field

LINE_LIMIT = 4096
"""Maximum bytes of a chunk-size line or of a trailer field."""

OVERHEAD_LIMIT = 16384
"""Maximum bytes of all chunk extensions and trailer fields of a body (RFC 9112 section 7.1.1 asks for a limit)."""

_SPACE = rb"[ \t]*"
_EXTENSION = (
    _SPACE + b";" + _SPACE + TOKEN + b"(?:" + _SPACE + b"=" + _SPACE + b"(?:" + TOKEN + b"|" + QUOTED_STRING + b"))?"
)
_SIZE = re.compile(b"(?P<size>[0-9A-Fa-f]{1,16})(?P<extensions>(?:" + _EXTENSION + b")*)")


class ChunkedBody:
    """Parses one body, piece by piece.

    Attributes:
        rest: the octets after the body; None until it is complete.
    """

    def __init__(self) -> None:
        self.rest: bytes | None = None
        self._octets = bytearray()
        self._left = 0  # bytes of the current chunk still to come, its line end included.
        self._overhead = 0
        self._in_trailers = False

    def feed(self, octets: bytes) -> bytes:
        """The part of the body in these octets. Not to be called when the body is complete.

        Raises:
            BadRequest: they are not valid chunks.
            HeadersTooLarge: extensions or trailer fields exceed the limits above.
        """
        self._octets += octets
        body = bytearray()
        while self.rest is None:
            if self._left:
                if not self._take_data(body):
                    break
            else:
                line = self._line()
                if line is None:
                    break
                self._read_line(line)
        return bytes(body)

    def _take_data(self, body: bytearray) -> bool:
        """Moves a part of the current chunk to the body; returns whether the chunk is complete."""
        size = min(len(self._octets), max(0, self._left - 2))
        body += self._octets[:size]
        del self._octets[:size]
        self._left -= size
        if self._left > 2 or len(self._octets) < 2:
            return False
        if not self._octets.startswith(b"\r\n"):
            raise BadRequest("A chunk is longer than it declares.")
        del self._octets[:2]
        self._left = 0
        return True

    def _line(self) -> bytes | None:
        """The next line; None until it is complete."""
        end = self._octets.find(b"\n")
        if end > LINE_LIMIT or (end < 0 and len(self._octets) > LINE_LIMIT):
            raise HeadersTooLarge(f"A line between chunks is longer than {LINE_LIMIT} bytes.", LINE_LIMIT)
        if end < 0:
            return None
        line = bytes(self._octets[:end])
        if not line.endswith(b"\r"):
            raise BadRequest("A line between chunks does not end in CR LF.")
        del self._octets[: end + 1]
        return line[:-1]

    def _read_line(self, line: bytes) -> None:
        if self._in_trailers:
            if line:
                parse_field(line)  # trailer fields are ignored, but invalid ones are refused.
                self._count(len(line))
            else:
                self.rest = bytes(self._octets)
            return
        match = _SIZE.fullmatch(line)
        if match is None:
            raise BadRequest("A chunk does not start with its size.")
        self._count(len(match["extensions"]))
        size = int(match["size"], 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True

    def _count(self, overhead: int) -> None:
        self._overhead += overhead
        if self._overhead > OVERHEAD_LIMIT:
            raise HeadersTooLarge(
                f"Chunk extensions and trailer fields are longer than {OVERHEAD_LIMIT} bytes.", OVERHEAD_LIMIT
            )
