"""Ports of this machine for servers that need a port number in advance."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase


class ReservedPort:
    """A port of 127.0.0.1 that the kernel gives to no other program while this object is open.

    The socket behind it is bound and does not listen: connections are refused until a server listens there. Linux lets
    a server bind the same port, because both sockets set SO_REUSEADDR and the reserving one does not listen. A program
    that asks for any free port gets another one.

    Arguments:
        kind: SOCK_STREAM for TCP, SOCK_DGRAM for UDP; a UDP server must set SO_REUSEADDR itself.

    Attributes:
        number: the port.
    """

    def __init__(self, kind: socket.SocketKind = socket.SOCK_STREAM) -> None:
        self._socket = socket.socket(socket.AF_INET, kind)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        self.number: int = self._socket.getsockname()[1]
        if kind == socket.SOCK_DGRAM:
            # The kernel gives a connected socket only what its peer sends: the server gets all other datagrams.
            self._socket.connect(("127.0.0.1", 1))

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()


def reserved_port(test: SynchronousTestCase, kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """A port that is reserved until the end of `test`; `kind` as for `ReservedPort`."""
    port = ReservedPort(kind)
    test.addCleanup(port.close)
    return port.number
