"""The end of a connection whose request is refused before it was read to its end.

Closing a TCP connection while the client still sends makes the kernel reset it, and the client may never see the
answer (RFC 9112 section 9.6). So only our half is closed, and what still comes is thrown away for a while.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IReactorTime,
    ISSLTransport,
    ITCPTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

PATIENCE = 2.0
"""Seconds for the client to hang up."""


@implementer(IProtocol, IHalfCloseableProtocol)
class Lingering:
    """Sends an answer, and waits for the client to hang up.

    Arguments:
        answer: a whole HTTP response.
    """

    __slots__ = ("_answer", "_clock", "_deadline", "_transport")

    def __init__(self, answer: bytes, clock: IReactorTime) -> None:
        self._answer = answer
        self._clock = clock
        self._deadline: IDelayedCall | None = None
        self._transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Answer, and close our half. (Any: abortConnection is in no interface that TLS transports share.)"""
        self._transport = transport
        transport.write(self._answer)
        self._deadline = self._clock.callLater(PATIENCE, transport.abortConnection)
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            transport.loseWriteConnection()
        else:  # TLS has no half-closed state; it waits for the client's close_notify by itself.
            transport.loseConnection()

    def connectionMade(self) -> None:
        """Nothing is left to do."""

    def dataReceived(self, data: bytes) -> None:
        """Throw it away."""

    def readConnectionLost(self) -> None:
        """The client has closed its half, perhaps before the answer went out: hang up after that."""
        self._transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our half is closed, as it was meant to be."""

    def connectionLost(self, reason: Failure) -> None:
        """The client has hung up."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
