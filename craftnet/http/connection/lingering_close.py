"""Ends a connection whose client may still be sending.

Closing a TCP connection while the client still sends makes the kernel reset it, and the client may never see the last
octets (RFC 9112 section 9.6). So only our half is closed, and what still arrives is discarded for a while.
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

from craftnet.http.connection.handover import hand_over

LINGER_TIMEOUT = 2.0
"""Seconds for the client to close."""


def linger(transport: Any, last: bytes, clock: IReactorTime, gone: Callable[[Failure], None] | None = None) -> None:
    """Takes a connection from its protocol, sends the last octets, and ends it within `LINGER_TIMEOUT`.

    Arguments:
        last: octets to send.
        gone: called when the connection is lost.
    """
    hand_over(transport, LingeringClose(last, clock, gone))


@implementer(IProtocol, IHalfCloseableProtocol)
class LingeringClose:
    """Sends the last octets of a connection and waits for the client to close. See `linger`."""

    __slots__ = ("_clock", "_deadline", "_gone", "_last", "_transport")

    def __init__(self, last: bytes, clock: IReactorTime, gone: Callable[[Failure], None] | None = None) -> None:
        self._last = last
        self._clock = clock
        self._gone = gone
        self._deadline: IDelayedCall | None = None
        self._transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Sends, and closes our half. (Any: abortConnection is in no interface that TLS transports share.)"""
        self._transport = transport
        if self._last:
            transport.write(self._last)
        self._deadline = self._clock.callLater(LINGER_TIMEOUT, transport.abortConnection)
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            transport.loseWriteConnection()
        else:  # TLS has no half-closed state; it waits for the client's close_notify by itself.
            transport.loseConnection()

    def connectionMade(self) -> None:
        """Does nothing."""

    def dataReceived(self, data: bytes) -> None:
        """Discards it."""

    def readConnectionLost(self) -> None:
        """The client closed its half, perhaps before the answer was sent: closes after that."""
        self._transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Our half is closed, as intended."""

    def connectionLost(self, reason: Failure) -> None:
        """The client closed the connection."""
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self._gone is not None:
            self._gone(reason)
