"""Gives a connected transport to another protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.protocols.policies import ProtocolWrapper

from craftnet.http.request_head import Head


class IHandshakeProtocol(IProtocol):
    """A protocol that receives the parsed head of the first request, and then the following octets."""

    def handshake(head: Head) -> None:  # noqa: N805 - the methods of a zope interface have no self.
        """Answers a handshake; called once, after `makeConnection`."""


class IAdmittingProtocol(IProtocol):
    """A protocol that gives its connection away as soon as it has the head of the first request."""

    def admit(head: Head, rest: bytes) -> None:  # noqa: N805 - as above.
        """Gives the connection, and the octets `rest` received after the head, to the protocol that `head` needs."""


def hand_over(transport: Any, protocol: IProtocol) -> None:
    """Gives the connection to `protocol`; the previous protocol receives nothing more.

    Arguments:
        transport: an `ITransport`. (Twisted has no interface for its protocol, hence Any.)
    """
    if isinstance(transport, ProtocolWrapper):  # TLS from the first octet: the wrapper is the transport.
        transport.wrappedProtocol = protocol
    elif isinstance(transport.protocol, ProtocolWrapper):  # TLS by startTLS: the wrapper sits in between.
        transport.protocol.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
