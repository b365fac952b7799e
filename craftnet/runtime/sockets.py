"""The sockets of connections: their limit, writes without a buffer, bounds on what waits, and what the kernel measures.

`transmit` needs one system call, without the transport's buffer and another turn of the reactor. No other module uses
private parts of Twisted; `craftnet/tests/test_private_parts.py` fails when a version of Twisted does not have them.
"""

from __future__ import annotations

import fcntl
import resource
import socket
import struct
from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Server
from twisted.internet.unix import Client as UnixClient
from twisted.internet.unix import Server as UnixServer
from twisted.logger import ILogObserver, Logger

WRITE_BUFFER = 16_384
"""Octets that wait in the transport of a peer that does not read before its producer is paused."""

SOCKET_BUFFER = 65_536
"""Octets that wait in the kernel, which otherwise buffers megabytes for each peer that does not read."""

SPARE_FILES = 200
"""Files besides WebSockets: requests, the back end's connections, what the process itself reads."""

_TCP_INFO_SIZE = 144
_ROUND_TRIP, _RETRANSMITTED, _SENT = 68, 100, 136  # offsets of 32-bit numbers in tcp_info (linux/tcp.h).
_SIOCOUTQ = 0x5411
"""Asks for the octets that the other side has not acknowledged (linux/sockios.h)."""


class TcpInfo(Struct, frozen=True):
    """What the kernel has measured on a TCP connection (tcp_info, tcp(7)).

    Attributes:
        round_trip: smoothed, seconds.
        loss: share of retransmitted segments, 0 to 1.
        unsent: octets that the other side has not acknowledged.
    """

    round_trip: float
    loss: float
    unsent: int


def raise_open_files_limit(connections: int) -> int | None:
    """Raises the limit of open files, of which each connection is one, as far as the system permits.

    A shell's default is rarely enough.

    Arguments:
        connections: the number of WebSockets that are allowed; 0: as many as possible.

    Returns:
        The number that fits, where that is lower than `connections`; else None.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + SPARE_FILES if connections else hard
    unlimited = resource.RLIM_INFINITY
    if soft == unlimited or (wanted != unlimited and wanted <= soft):
        return None
    limit = wanted if hard == unlimited else hard if wanted == unlimited else min(wanted, hard)
    if limit != soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return None if not connections or limit >= wanted else max(0, limit - SPARE_FILES)


def bound_silence(transport: ITransport | None, seconds: float) -> None:
    """Bounds how long a peer's system may acknowledge nothing before the connection is lost (RFC 5482).

    Has an effect on TCP, and TLS over it, where the system supports the option.

    Arguments:
        seconds: the bound.
    """
    connection = _tcp_connection(transport)
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def bound_buffers(transport: ITransport | None) -> None:
    """Bounds the octets that wait for a peer that does not read. Has an effect on TCP, and TLS over it."""
    connection = _tcp_connection(transport)
    if connection is not None:
        connection.bufferSize = WRITE_BUFFER
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SOCKET_BUFFER)


def transmit(transport: ITransport | None, octets: bytes) -> None:
    """Sends `octets` at once if no earlier octets wait; those that the socket does not take wait in the transport.

    Writes directly to plain connections only: accepted TCP connections, and UNIX sockets. All other transports, above
    all TLS, buffer as usual.
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
            sent = 0  # the socket's buffer is full, or the connection is lost, which the reactor will notice.
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


def tcp_info(transport: Any) -> TcpInfo | None:
    """Asks the kernel about a connection, which costs nothing until it is asked; None without Linux or without TCP."""
    connection = _tcp_connection(transport)
    if connection is None or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        octets = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
        unsent = struct.unpack("i", fcntl.ioctl(connection.socket, _SIOCOUTQ, bytes(4)))[0]
    except OSError:
        return None  # a UNIX socket, or one that was just closed.
    if len(octets) < _TCP_INFO_SIZE:
        return None  # an older kernel.
    microseconds, again, sent = (struct.unpack_from("I", octets, at)[0] for at in (_ROUND_TRIP, _RETRANSMITTED, _SENT))
    return TcpInfo(microseconds / 1e6, min(1.0, again / sent) if sent else 0.0, unsent)


def _tcp_connection(transport: Any) -> Server | None:
    """The accepted TCP connection below a transport, which may be TLS; None for other kinds of connections."""
    connection = transport if type(transport) is Server else getattr(transport, "transport", None)
    return connection if type(connection) is Server else None
