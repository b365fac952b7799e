"""The possible endings of a connection and their consequences: stop, or retry. Pure."""

from __future__ import annotations

import http.client
import io
from enum import Enum

import msgspec
from msgspec import Struct

from craftnet.contract.close_codes import NO_RETRY_CODES, STALE_TOKEN_CODES, CloseCode, retry_after
from craftnet.contract.http_bodies import ErrorResponse
from craftnet.contract.messages import MALFORMED
from craftnet.protocols.wire.records import CloseReason

MAX_ANSWER = 65_536
"""Bytes of a refusal that are read."""


SILENT = "the server is silent"
"""Nothing came on a connection for too long."""


class EndingKind(Enum):
    """The consequence of an ending."""

    OVER = "over"
    """The session ended. Nothing is left to watch."""

    REFUSED = "refused"
    """The server refused. A retry would be refused as well."""

    LOST = "lost"
    """The connection broke or cannot be opened now. Retry."""


class Ending(Struct, frozen=True):
    """Why a connection ended, or was never opened.

    Attributes:
        reason: one clause for people, without a full stop.
        retry_after: seconds that the server asks the client to wait.
        try_another_transport: another transport may succeed at once.
        stale: the token was refused or has expired; a fresh one may succeed.
    """

    kind: EndingKind
    reason: str
    retry_after: float | None = None
    try_another_transport: bool = False
    stale: bool = False


def connection_lost(reason: str, *, try_another_transport: bool = False) -> Ending:
    """An ending for a broken connection."""
    return Ending(EndingKind.LOST, reason, try_another_transport=try_another_transport)


def websocket_closed(code: int | None, reason: str | None) -> Ending:
    """The ending for a WebSocket that the server closed with `code`; None: it vanished without a close frame."""
    if code is None:
        return connection_lost("the server dropped the connection")
    known = code in CloseCode.__members__.values()
    name = CloseCode(code).name.lower().replace("_", " ") if known else "unknown close code"
    text = f"the server closed the connection: {reason or name} ({code})"
    if code == CloseCode.NORMAL:
        return Ending(EndingKind.OVER, text)
    stale = code in STALE_TOKEN_CODES
    kind = EndingKind.REFUSED if code in NO_RETRY_CODES or stale else EndingKind.LOST
    return Ending(kind, text, retry_after(reason), stale=stale)


def udp_closed(reason: CloseReason) -> Ending:
    """The ending for a UDP connection that closed with `reason`."""
    match reason:
        case CloseReason.ENDED:
            return Ending(EndingKind.OVER, "the server closed the connection: the session ended")
        case CloseReason.NOT_FOUND:
            return Ending(EndingKind.REFUSED, "the server closed the connection: there is no such session")
        case CloseReason.UNREACHABLE:
            return unreachable()
        case CloseReason.SILENT:
            return connection_lost(SILENT)
        case CloseReason.REVOKED:
            return Ending(EndingKind.REFUSED, "the server closed the connection: the right to watch was revoked")
        case CloseReason.EXPIRED:
            return Ending(EndingKind.REFUSED, "the server closed the connection: the token has expired", stale=True)
        case _:
            return connection_lost(f"the server closed the connection: {reason.name.lower().replace('_', ' ')}")


def request_refused(
    status: int,
    body: bytes,
    wait: str | None = None,
    *,
    location: str | None = None,
    try_another_transport: bool = False,
) -> Ending:
    """The ending for a request that the server answered with an unexpected HTTP status.

    Arguments:
        status: 3xx and 4xx are final, except 429; any other status is worth a retry.
        body: the contract's error object, whose message is passed on.
        wait: the Retry-After header, in seconds; its date form is ignored.
        location: the Location header. Not followed: the token is for this server only.
    """
    if 300 <= status < 400:
        aim = "without saying where" if location is None else f"to {location}: if that is the service, give its URL"
        return Ending(EndingKind.REFUSED, f"the server answered {status} and redirects {aim}")
    try:
        message = msgspec.json.decode(body, type=ErrorResponse).message
    except MALFORMED:
        message = http.client.responses.get(status, "no reason given")
    final = 400 <= status < 500 and status != http.HTTPStatus.TOO_MANY_REQUESTS
    return Ending(
        EndingKind.REFUSED if final else EndingKind.LOST,
        f"the server answered {status}: {message.rstrip('.')}",
        float(wait) if wait is not None and wait.isascii() and wait.isdecimal() else None,
        try_another_transport,
        status == http.HTTPStatus.UNAUTHORIZED,
    )


class _Octets(io.BytesIO):
    """The part of a socket that `http.client` uses."""

    def makefile(self, _mode: str) -> io.BytesIO:
        return self


def handshake_refused(octets: bytes, *, complete: bool) -> Ending | None:
    """The ending for an answer that refuses a WebSocket handshake.

    Arguments:
        octets: the HTTP response received so far.
        complete: nothing will follow.

    Returns:
        The ending, or None while more octets are needed.
    """
    response = http.client.HTTPResponse(_Octets(octets))  # type: ignore[arg-type]  # needs only makefile of a socket
    body = b""
    try:
        response.begin()
        if response.status == http.HTTPStatus.SWITCHING_PROTOCOLS:
            return connection_lost("the server's WebSocket handshake is invalid")
        body = response.read()
    except http.client.IncompleteRead as error:
        if not complete and len(octets) < MAX_ANSWER:
            return None
        body = error.partial
    except (http.client.HTTPException, OSError, ValueError):
        return connection_lost("the server does not speak HTTP")
    return request_refused(
        response.status, body, response.getheader("Retry-After"), location=response.getheader("Location")
    )


def unreachable() -> Ending:
    """No datagram arrives; another transport may work."""
    return connection_lost("no datagram arrives", try_another_transport=True)


def without_token(error: Exception) -> Ending:
    """The token source fails, and may work again later."""
    return connection_lost(f"cannot obtain a fresh token: {error}")
