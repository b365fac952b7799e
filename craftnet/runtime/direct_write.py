"""Writes octets directly to the socket: one system call, without a buffer, the reactor and another of its turns.

Also bounds what waits on the way when the socket does not take it. No other module uses private parts of Twisted;
`craftnet/tests/test_private_parts.py` fails when a version of Twisted does not have them.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Server
from twisted.internet.unix import Client as UnixClient
from twisted.internet.unix import Server as UnixServer
from twisted.logger import ILogObserver, Logger

WRITE_BUFFER = 16_384
"""Octets that wait in the transport of a peer that does not read before its producer is paused."""

SOCKET_BUFFER = 65_536
"""Octets that wait in the kernel, which otherwise buffers megabytes for each peer that does not read."""


def bound_silence(transport: ITransport | None, seconds: float) -> None:
    """Bounds the time for which a peer's system may acknowledge nothing of what was sent (RFC 5482); then the
    connection is lost. For TCP, and TLS over it, on systems that know it.
    """
    connection = transport if type(transport) is Server else getattr(transport, "transport", None)
    if type(connection) is Server and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def bound_buffers(transport: ITransport | None) -> None:
    """Bounds what waits for a peer that does not read. For TCP, and TLS over it."""
    connection = transport if type(transport) is Server else getattr(transport, "transport", None)
    if type(connection) is Server:
        connection.bufferSize = WRITE_BUFFER
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)


def transmit(transport: ITransport | None, octets: bytes) -> None:
    """Sends `octets` now if nothing waits before them; what the socket does not take waits in the transport.

    Only plain connections are written to directly: accepted TCP connections, and UNIX sockets. Everything else, TLS
    above all, is buffered as usual.
    """
    if (
        (type(transport) is Server or type(transport) is UnixServer or type(transport) is UnixClient)
        and not transport.dataBuffer
        and not transport._tempDataBuffer
        and not transport.TLS
        and transport.connected
        and not transport.disconnecting
    ):
        try:
            sent = transport.socket.send(octets)
        except OSError:
            sent = 0  # the socket's buffer is full, or the connection is lost, as the reactor will notice.
        if sent == len(octets):
            return
        octets = octets[sent:]
    if transport is not None:
        transport.write(octets)


def observe_accepting(port: Any, observer: ILogObserver) -> None:
    """Redirects to `observer` what Twisted logs when `port` cannot accept a connection.

    Twisted logs three lines for each connection that finds no file descriptor left.
    """
    port._logger = Logger("twisted.internet.tcp", observer=observer)
