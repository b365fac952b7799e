"""The end of a connection that the server wants to be known: CLOSE, again and again, until it has arrived. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import inf

from craftnet.protocols.records import CloseReason

ATTEMPTS = 4
"""How often CLOSE is sent when it is not acknowledged."""


class Farewell:
    """Of one connection.

    Attributes:
        reason: why it ends.
        deadline: when CLOSE is to be sent again, or given up, Unix seconds; infinite before it was sent.
    """

    __slots__ = ("_sequences", "deadline", "reason")

    def __init__(self, reason: CloseReason) -> None:
        self.reason = reason
        self.deadline = inf
        self._sequences: tuple[int, ...] = ()

    def due(self, now: float) -> bool:
        """Whether to send CLOSE, or to give up."""
        return not self._sequences or now >= self.deadline

    @property
    def exhausted(self) -> bool:
        """Whether it was sent often enough."""
        return len(self._sequences) == ATTEMPTS

    def sent(self, sequence: int, again: float) -> None:
        """CLOSE went out as that datagram; without an answer, it is due again at `again`."""
        self._sequences = (*self._sequences, sequence)
        self.deadline = again

    def landed(self, arrived: Callable[[int], bool]) -> bool:
        """Whether the client has it; `arrived` says so of a sequence."""
        return any(map(arrived, self._sequences))
