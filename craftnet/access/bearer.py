"""Finds the bearer token of a request. Pure.

It is in the Authorization header (RFC 6750 section 2.1) or, from a browser, which cannot set that header, in an entry
`bearer.<JWT>` of Sec-WebSocket-Protocol. Never in a URL: URLs end up in logs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from craftnet.errors import Unauthorized

SUBPROTOCOL_PREFIX = "bearer."
"""The prefix that marks an offered subprotocol as a token."""

_CREDENTIALS = re.compile(r"bearer +(?P<token>[A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE | re.ASCII)


def token_from_header(authorization: str | None) -> str | None:
    """The bearer token of a request, unverified.

    Arguments:
        authorization: the value of the Authorization header; several are joined with ", " (RFC 9110 section 5.3) and
            refused, since no token contains a comma.

    Returns:
        The token; None when there is none, or only credentials of another scheme.

    Raises:
        Unauthorized: the header is malformed, or there is more than one token.
    """
    credentials = (authorization or "").strip(" \t")
    if credentials.partition(" ")[0].lower() != "bearer":
        return None
    match = _CREDENTIALS.fullmatch(credentials)
    if match is None:
        raise _malformed("The Authorization header does not contain exactly one bearer token.")
    return match["token"]


def token_from_handshake(authorization: str | None, offered: Sequence[str]) -> tuple[str | None, tuple[str, ...]]:
    """The bearer token of a WebSocket handshake, unverified, and the other subprotocols.

    Arguments:
        authorization: as for `token_from_header`.
        offered: the entries of Sec-WebSocket-Protocol.

    Raises:
        Unauthorized: a token is malformed, or there is more than one; the same token in both places counts as one.
    """
    token = token_from_header(authorization)
    carried = [entry.removeprefix(SUBPROTOCOL_PREFIX) for entry in offered if entry.startswith(SUBPROTOCOL_PREFIX)]
    if carried:
        if len(carried) > 1 or (token is not None and token != carried[0]):
            raise _malformed("Send exactly one bearer token.")
        token = carried[0]
        if not token:
            raise _malformed(f"The {SUBPROTOCOL_PREFIX} subprotocol contains no token.")
    return token, tuple(entry for entry in offered if not entry.startswith(SUBPROTOCOL_PREFIX))


def _malformed(message: str) -> Unauthorized:
    return Unauthorized(message, problem="invalid_request")
