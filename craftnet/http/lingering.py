"""The end of a connection that the server ends before the client has stopped sending.

Closing a TCP connection while the client still sends makes the kernel reset it, and the client may never see what the
server said last (RFC 9112 section 9.6). So only our half is closed, and what still comes is thrown away for a while.
"""

from __future__ import annotations

from collections.abc import Callable
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

from craftnet.http.handover import hand_over

PATIENCE = 2.0
"""Seconds for the client to hang up."""


def linger(transport: Any, last: bytes, clock: IReactorTime, gone: Callable[[Failure], None] | None = None) -> None:
    """Take a connection from its protocol, send the last of it, and end it within `PATIENCE`.

    Arguments:
        last: octets to be sent.
        gone: called when the connection is lost.
    """
    hand_over(transport, Lingering(last, clock, gone))


@implementer(IProtocol, IHalfCloseableProtocol)
class Lingering:
    """Sends the last octets of a connection, and waits for the client to hang up. See `linger`."""

    __slots__ = ("_clock", "_deadline", "_gone", "_last", "_transport")

    def __init__(self, last: bytes, clock: IReactorTime, gone: Callable[[Failure], None] | None = None) -> None:
        self._last = last
        self._clock = clock
        self._gone = gone
        self._deadline: IDelayedCall | None = None
        self._transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Send, and close our half. (Any: abortConnection is in no interface that TLS transports share.)"""
        self._transport = transport
        if self._last:
            transport.write(self._last)
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
        if self._gone is not None:
            self._gone(reason)
