"""One TCP port for several processes: the kernel distributes new connections among the listeners (SO_REUSEPORT)."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IOpenSSLContextFactory
from twisted.internet.protocol import ServerFactory
from twisted.internet.tcp import Port
from twisted.protocols.tls import TLSMemoryBIOFactory


class SharedPort(Port):
    """A port on which other processes of the same user may listen as well."""

    def createInternetSocket(self) -> socket.socket:
        """A socket with that option."""
        created: socket.socket = super().createInternetSocket()
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return created


class SharingReactor:
    """A reactor for endpoints on which every port is a `SharedPort`.

    Arguments:
        reactor: does everything else.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: ServerFactory[Any] | TLSMemoryBIOFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """As in `IReactorTCP`."""
        listening = SharedPort(port, factory, backlog, interface, self._reactor)
        listening.startListening()
        return listening

    def listenSSL(
        self,
        port: int,
        factory: ServerFactory,
        contextFactory: IOpenSSLContextFactory,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """As in `IReactorSSL`."""
        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface)


class TryingReactor(SharingReactor):
    """A reactor for endpoints that listens on nothing, but checks that no other process listens.

    Processes that share a port would not notice: the kernel lets two groups of processes share it as well.
    """

    def listenTCP(
        self, port: int, factory: ServerFactory[Any] | TLSMemoryBIOFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """A port that was not started.

        Raises:
            CannotListenError: it could not be opened.
        """
        trying = Port(port, factory, backlog, interface, self._reactor)
        family, kind = trying.addressFamily, trying.socketType
        try:
            with trying.createInternetSocket() as attempt:
                attempt.bind(socket.getaddrinfo(interface or None, port, family, kind, flags=socket.AI_PASSIVE)[0][4])
        except OSError as error:
            raise CannotListenError(interface, port, error) from None
        return trying
