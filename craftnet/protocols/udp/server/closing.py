"""The end of a connection that the client should learn of: CLOSE, repeated until it is acknowledged. Pure."""

from __future__ import annotations

from collections.abc import Callable

from craftnet.protocols.udp.core.heartbeat import MAX_TIMEOUT
from craftnet.protocols.wire.records import CloseReason

MAX_CLOSE_ATTEMPTS = 4
"""Times that CLOSE is sent when it is not acknowledged."""

MAX_CLOSE_DELAY = 60.0
"""Seconds for which CLOSE waits until everything else is acknowledged."""


class Closing:
    """The end of one connection.

    Arguments:
        now: its beginning, Unix seconds.

    Attributes:
        reason: the reason in CLOSE.
        deadline: when to send CLOSE, repeat it, or give up, whatever else is pending, Unix seconds.
    """

    __slots__ = ("_sequences", "deadline", "reason")

    def __init__(self, reason: CloseReason, now: float) -> None:
        self.reason = reason
        self.deadline = now if self.at_once else now + MAX_CLOSE_DELAY
        self._sequences: tuple[int, ...] = ()

    @property
    def at_once(self) -> bool:
        """Whether nothing else is sent any more."""
        return self.reason is CloseReason.REVOKED

    def due(self, now: float, acknowledged: bool) -> bool:
        """Whether to send CLOSE, or to give up.

        Arguments:
            acknowledged: whether everything else was acknowledged.
        """
        return now >= self.deadline or (acknowledged and not self._sequences)

    @property
    def exhausted(self) -> bool:
        """Whether it was sent often enough."""
        return len(self._sequences) == MAX_CLOSE_ATTEMPTS

    def sent(self, sequence: int, now: float, timeout: float) -> None:
        """CLOSE was sent as that datagram: without an answer it is due again, after twice as long each time.

        Arguments:
            timeout: seconds that an answer may take.
        """
        self.deadline = now + min(MAX_TIMEOUT, timeout * 2 ** len(self._sequences))
        self._sequences = (*self._sequences, sequence)

    def landed(self, arrived: Callable[[int], bool]) -> bool:
        """Whether the client has it; `arrived` returns whether a sequence was acknowledged."""
        return any(map(arrived, self._sequences))
