"""The sessions that a client leaves; LEAVE is repeated until the server has confirmed it. Pure."""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from craftnet.protocols.udp.core.heartbeat import DOUBLINGS, MAX_TIMEOUT

CONNECT_ANSWER_TIMEOUT = 20.0
"""Seconds within which …/connect must have named a session that the server sends; longer than an HTTP request. After
that nothing will name it."""


class PendingLeaves:
    """The pending leaves of one connection.

    Attributes:
        indexes: the sessions in the next LEAVE, ascending.
    """

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self._at = inf
        self._sent = 0
        self._unexpected: dict[int, float] = {}

    @property
    def deadline(self) -> float:
        """When to call `due` next, Unix seconds."""
        return min([self._at, *self._unexpected.values()]) if self._unexpected else self._at

    @property
    def pending(self) -> bool:
        """Whether any session is being left, or has no name yet."""
        return bool(self.indexes or self._unexpected)

    def leave(self, index: int, now: float) -> None:
        """Leaves that session."""
        self.indexes = sorted({*self.indexes, index})
        self._at = now

    def heard(self, nameless: Collection[int], over: Collection[int], now: float) -> None:
        """The server has sent records of sessions.

        Arguments:
            nameless: those without a name yet.
            over: those that have ended, which confirms their LEAVE.
        """
        for index in nameless:
            self._unexpected.setdefault(index, now + CONNECT_ANSWER_TIMEOUT)
        for index in over:
            self._unexpected.pop(index, None)
        if self.indexes:
            self.indexes = [index for index in self.indexes if index not in over]
            if not self.indexes:
                self._at, self._sent = inf, 0

    def joined(self, index: int) -> None:
        """…/connect has named this session."""
        self._unexpected.pop(index, None)

    def due(self, now: float) -> bool:
        """Whether to send a LEAVE."""
        for index in [index for index, until in self._unexpected.items() if now >= until]:
            self._unexpected[index] = inf
            self.leave(index, now)
        return now >= self._at

    def sent(self, now: float, timeout: float) -> None:
        """It was sent; an answer takes at most `timeout` seconds."""
        self._at = now + min(MAX_TIMEOUT, timeout * 2 ** min(self._sent, DOUBLINGS))
        self._sent += 1
