"""Every WebSocket close code this service sends, and what a client should do about it.

1000–1011 are RFC 6455 section 7.4.1; 4000–4999 are ours (section 7.4.2: private use).
"""

from __future__ import annotations

from enum import IntEnum


class CloseCode(IntEnum):
    """Why the server closed a feed."""

    NORMAL = 1000
    """The watched session is over and forgotten. Do not reconnect."""

    GOING_AWAY = 1001
    """The server is shutting down. Reconnect with backoff."""

    POLICY_VIOLATION = 1008
    """The client sent what it must not. Do not reconnect before it is mended."""

    MESSAGE_TOO_BIG = 1009
    """The client sent a message beyond the limit. As above."""

    INTERNAL_ERROR = 1011
    """The feed broke on our side. Reconnect with backoff."""

    SLOW_CONSUMER = 4008
    """The client did not read fast enough and its queue of notifications is full. Reconnect: a snapshot follows."""


FINAL = frozenset({CloseCode.NORMAL, CloseCode.POLICY_VIOLATION, CloseCode.MESSAGE_TOO_BIG})
"""Codes after which a client does not reconnect by itself."""
