"""WebSocket subprotocols: which there are, and which one a client gets. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from craftnet.errors import BadRequest

JSON = "craftnet.json.v1"
"""JSON text frames; also what a client without any subprotocol gets."""

LZ4 = "craftnet.json.lz4.v1"
"""The same JSON, LZ4-compressed with a preset dictionary, in binary frames."""

BINARY = "craftnet.bin.v1"
"""The UDP interface's records in binary frames; JSON text frames for what has no record."""

SUPPORTED = (JSON, LZ4, BINARY)
"""In our order of preference; the client's order decides."""


def choose(offered: Sequence[str]) -> str | None:
    """The first offered one that is supported; None when nothing is offered.

    Arguments:
        offered: the entries of Sec-WebSocket-Protocol but for the bearer token.

    Raises:
        BadRequest: something is offered, but nothing that is supported.
    """
    if not offered:
        return None
    for name in offered:
        if name in SUPPORTED:
            return name
    raise BadRequest("None of the offered subprotocols is supported.", details={"supported_protocols": list(SUPPORTED)})
