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


def choose(offered: Sequence[str], *, token_offered: bool, page: bool) -> str | None:
    """The first offered one that is supported; None when the client gets JSON text and no subprotocol.

    A client that offers only names of other servers does not depend on the answer, and gets JSON text. A page does: its
    browser fails the connection when it offered something and nothing is selected (RFC 6455 section 4.1). So does a
    client that offers nothing but its token, which is never selected.

    Arguments:
        offered: the entries of Sec-WebSocket-Protocol but for the bearer token.
        token_offered: whether there was one among them.
        page: whether a browser opens the connection for a page, that is, with an Origin header.

    Raises:
        BadRequest: something must be selected, and nothing offered can be; the text says what to offer.
    """
    name = spoken(offered)
    if name is not None:
        return name
    if token_offered and not offered:
        problem = "Sec-WebSocket-Protocol offers a bearer token and no subprotocol beside it"
    elif offered and page:
        problem = "Sec-WebSocket-Protocol offers no subprotocol that this server speaks"
    else:
        return None
    raise BadRequest(
        f"{problem}; offer one of {', '.join(SUPPORTED)}, too.", details={"supported_protocols": list(SUPPORTED)}
    )


def spoken(offered: Sequence[str]) -> str | None:
    """The first offered one that is supported, if any is."""
    return next((name for name in offered if name in SUPPORTED), None)
