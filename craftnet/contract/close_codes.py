"""Every WebSocket close code that this service sends, and whether and when a client should reconnect after it.

1000 to 1011 are those of RFC 6455 section 7.4.1; 4000 to 4999 are for private use (section 7.4.2).
"""

from __future__ import annotations

import re
from enum import IntEnum

from craftnet.errors import Refusal


class CloseCode(IntEnum):
    """Why the server closed a feed."""

    NORMAL = 1000
    """The watched session ended and was removed. Do not reconnect."""

    GOING_AWAY = 1001
    """The server is shutting down. Reconnect at the time that the close reason names, see `retry_reason`."""

    POLICY_VIOLATION = 1008
    """The client sent an invalid frame or message. Do not reconnect before it is mended."""

    MESSAGE_TOO_BIG = 1009
    """The client sent a message above the limit. As above."""

    INTERNAL_ERROR = 1011
    """The feed failed on the server's side. Reconnect with backoff."""

    TOKEN_EXPIRED = 4001
    """The token expired, and no fresh one arrived in time. Reconnect with a fresh one."""

    TOKEN_REVOKED = 4003
    """The token, or all tokens of the player, were revoked. Do not reconnect before the player has logged in again."""

    SLOW_CONSUMER = 4008
    """The client did not read fast enough and its queue of notifications is full. Reconnect: a snapshot follows."""

    DISCONNECTED = 4009
    """An operator ended this connection. Do not reconnect before the player asks for it."""

    TOO_FAST = 4029
    """The client kept sending messages or pings faster than allowed. Do not reconnect before it is mended."""

    # A browser's handshake was refused, with the HTTP status that each names. See `close_for_refusal`.

    BAD_REQUEST = 4400
    """400: an id or a parameter is malformed. Do not reconnect before it is mended."""

    UNAUTHORIZED = 4401
    """401: the token is invalid. Reconnect with a fresh one."""

    FORBIDDEN = 4403
    """403: the token is valid, but not for this feed. Do not reconnect."""

    NOT_FOUND = 4404
    """404: no such route or session. Do not reconnect."""

    RATE_LIMITED = 4429
    """429: a limit is exceeded. Reconnect at the time that the close reason names."""

    UNAVAILABLE = 4453
    """503: a back end is unreachable, or the server stops. Reconnect at the time that the close reason names."""


NO_RETRY_CODES = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.POLICY_VIOLATION,
        CloseCode.MESSAGE_TOO_BIG,
        CloseCode.TOKEN_REVOKED,
        CloseCode.DISCONNECTED,
        CloseCode.TOO_FAST,
        CloseCode.BAD_REQUEST,
        CloseCode.FORBIDDEN,
        CloseCode.NOT_FOUND,
    }
)
"""Codes after which a client does not reconnect by itself."""

STALE_TOKEN_CODES = frozenset({CloseCode.TOKEN_EXPIRED, CloseCode.UNAUTHORIZED})
"""Codes after which a client reconnects with a fresh token, if it can obtain one."""

MAX_REASON_BYTES = 123
"""Bytes of a close reason (RFC 6455 section 5.5)."""

_OF_STATUS = {
    400: CloseCode.BAD_REQUEST,
    401: CloseCode.UNAUTHORIZED,
    403: CloseCode.FORBIDDEN,
    404: CloseCode.NOT_FOUND,
    429: CloseCode.RATE_LIMITED,
    503: CloseCode.UNAVAILABLE,
}

_RETRY = re.compile(r"retry in ([0-9]{1,6}(?:\.[0-9]{1,3})?) s")


def retry_reason(seconds: float) -> str:
    """The close reason that asks a client to reconnect after a number of seconds: ``retry in 7.3 s``."""
    return f"retry in {max(0.0, seconds):.1f} s"


def close_for_refusal(refusal: Refusal) -> tuple[CloseCode, str] | None:
    """The close code and reason that a browser receives for a refusal; None for one that has only an HTTP status.

    A page cannot see the status of a refused handshake: its JavaScript receives 1006 and nothing else (WebSockets
    Standard, section 6). The reason is the time to reconnect where the refusal names one, else its message.
    """
    code = _OF_STATUS.get(refusal.status)
    if code is None:
        return None
    wait = refusal.headers.get("Retry-After")
    reason = refusal.message if wait is None else retry_reason(float(wait))
    return code, reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore")


def retry_after(reason: str | None) -> float | None:
    """The seconds to wait according to a close reason; None when it names none."""
    match = _RETRY.fullmatch(reason or "")
    return None if match is None else float(match[1])
