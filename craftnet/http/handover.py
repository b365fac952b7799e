"""Giving a connected transport to another protocol."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IProtocol
from twisted.protocols.policies import ProtocolWrapper

from craftnet.http.heads import Head


class IHandshakeProtocol(IProtocol):
    """A protocol that is given the first request's head as a value, and then what followed it as octets."""

    def handshake(head: Head) -> None:  # noqa: N805 - the methods of a zope interface have no self.
        """Answer a handshake; called once, after `makeConnection`."""


class IAdmittingProtocol(IProtocol):
    """A protocol that gives its connection away as soon as it knows the head of the first request."""

    def admit(head: Head, rest: bytes) -> None:  # noqa: N805 - as above.
        """Give the connection to the protocol that `head` asks for, and `rest`, which was received after it."""


def hand_over(transport: Any, protocol: IProtocol) -> None:
    """From now on `protocol` has the connection; whoever had it hears of it no more.

    Arguments:
        transport: an `ITransport`. (Which protocol it serves is in no interface of Twisted's, hence Any.)
    """
    if isinstance(transport, ProtocolWrapper):  # TLS from the first octet: the wrapper is the transport.
        transport.wrappedProtocol = protocol
    elif isinstance(transport.protocol, ProtocolWrapper):  # TLS by startTLS: the wrapper sits in between.
        transport.protocol.wrappedProtocol = protocol
    else:
        transport.protocol = protocol
    protocol.makeConnection(transport)
