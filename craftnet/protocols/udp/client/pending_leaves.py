"""The sessions that a client wants to hear no more of; the server is told so until it has said yes. Pure."""

from __future__ import annotations

from collections.abc import Collection
from math import inf

from craftnet.protocols.udp.core.heartbeat import DOUBLINGS, MAX_TIMEOUT

CONNECT_ANSWER_TIMEOUT = 20.0
"""Seconds within which …/connect must have answered what a session is that the server tells of; longer than a request
over HTTP takes. After that nobody is going to claim it."""


class PendingLeaves:
    """Of one connection.

    Attributes:
        indexes: what LEAVE names, ascending.
    """

    def __init__(self) -> None:
        self.indexes: list[int] = []
        self._at = inf
        self._sent = 0
        self._unexpected: dict[int, float] = {}

    @property
    def deadline(self) -> float:
        """When to ask `due` next, Unix seconds."""
        return min([self._at, *self._unexpected.values()]) if self._unexpected else self._at

    @property
    def pending(self) -> bool:
        """Whether any session is left, or waits to be claimed."""
        return bool(self.indexes or self._unexpected)

    def leave(self, index: int, now: float) -> None:
        """Hear no more of that session."""
        self.indexes = sorted({*self.indexes, index})
        self._at = now

    def heard(self, nameless: Collection[int], over: Collection[int], now: float) -> None:
        """The server has told of sessions.

        Arguments:
            nameless: those that nobody knows yet.
            over: those that are over: of them it has said yes.
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
        """…/connect has answered which session this is."""
        self._unexpected.pop(index, None)

    def due(self, now: float) -> bool:
        """Whether a LEAVE is to be sent."""
        for index in [index for index, until in self._unexpected.items() if now >= until]:
            self._unexpected[index] = inf
            self.leave(index, now)
        return now >= self._at

    def sent(self, now: float, timeout: float) -> None:
        """It was; an answer takes `timeout` seconds at most."""
        self._at = now + min(MAX_TIMEOUT, timeout * 2 ** min(self._sent, DOUBLINGS))
        self._sent += 1
