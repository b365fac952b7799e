"""Every WebSocket close code this service sends, what a client should do about it, and when it should come back.

1000–1011 are RFC 6455 section 7.4.1; 4000–4999 are ours (section 7.4.2: private use).
"""

from __future__ import annotations

import re
from enum import IntEnum


class CloseCode(IntEnum):
    """Why the server closed a feed."""

    NORMAL = 1000
    """The watched session is over and forgotten. Do not reconnect."""

    GOING_AWAY = 1001
    """The server is shutting down. Reconnect at the time that the close reason names, see `retry_reason`."""

    POLICY_VIOLATION = 1008
    """The client sent what it must not. Do not reconnect before it is mended."""

    MESSAGE_TOO_BIG = 1009
    """The client sent a message beyond the limit. As above."""

    INTERNAL_ERROR = 1011
    """The feed broke on our side. Reconnect with backoff."""

    TOKEN_EXPIRED = 4001
    """The token expired, and no fresh one came before. Reconnect with a fresh one."""

    TOKEN_REVOKED = 4003
    """The token, or all of the player's, were revoked. Do not reconnect before the player has logged in again."""

    SLOW_CONSUMER = 4008
    """The client did not read fast enough and its queue of notifications is full. Reconnect: a snapshot follows."""

    TOO_FAST = 4029
    """The client went on sending messages or pings faster than it may. Do not reconnect before it is mended."""


FINAL = frozenset(
    {
        CloseCode.NORMAL,
        CloseCode.POLICY_VIOLATION,
        CloseCode.MESSAGE_TOO_BIG,
        CloseCode.TOKEN_REVOKED,
        CloseCode.TOO_FAST,
    }
)
"""Codes after which a client does not reconnect by itself."""

_RETRY = re.compile(r"retry in ([0-9]{1,6}(?:\.[0-9]{1,3})?) s")


def retry_reason(seconds: float) -> str:
    """The close reason that asks a client to come back after so many seconds: ``retry in 7.3 s``."""
    return f"retry in {max(0.0, seconds):.1f} s"


def retry_after(reason: str | None) -> float | None:
    """The seconds that a close reason asks to wait; None when it does not."""
    match = _RETRY.fullmatch(reason or "")
    return None if match is None else float(match[1])
