"""The supported WebSocket subprotocols, and the selection of one for a client. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from craftnet.errors import BadRequest

JSON = "craftnet.json.v1"
"""JSON text frames; also for clients without any subprotocol."""

LZ4 = "craftnet.json.lz4.v1"
"""The same JSON, LZ4-compressed with a preset dictionary, in binary frames."""

BINARY = "craftnet.bin.v1"
"""The UDP interface's records in binary frames; JSON text frames for what has no record."""

SUPPORTED = (JSON, LZ4, BINARY)
"""In the server's order; the client's order decides."""


def choose(offered: Sequence[str], *, token_offered: bool, page: bool) -> str | None:
    """The first supported one that is offered; None: JSON text without a subprotocol.

    A client that offers only names of other servers does not depend on the answer, and receives JSON text. A page does:
    its browser fails the connection when it offered something and nothing is selected (RFC 6455 section 4.1). So does a
    client that offers only its token, which is never selected.

    Arguments:
        offered: the entries of Sec-WebSocket-Protocol without the bearer token.
        token_offered: whether a token was among them.
        page: whether a browser opens the connection for a page, that is, with an Origin header.

    Raises:
        BadRequest: something must be selected but nothing can be; the text says what to offer.
    """
    name = spoken(offered)
    if name is not None:
        return name
    if token_offered and not offered:
        problem = "Sec-WebSocket-Protocol offers a bearer token but no subprotocol"
    elif offered and page:
        problem = "Sec-WebSocket-Protocol offers no subprotocol that this server speaks"
    else:
        return None
    raise BadRequest(
        f"{problem}; offer one of {', '.join(SUPPORTED)} as well.", details={"supported_protocols": list(SUPPORTED)}
    )


def spoken(offered: Sequence[str]) -> str | None:
    """The first supported one that is offered, if any."""
    return next((name for name in offered if name in SUPPORTED), None)
