"""What the kernel measures of a TCP connection (tcp_info, tcp(7)): read on demand, so that it costs nothing else."""

from __future__ import annotations

import fcntl
import socket
import struct
from typing import Any

from msgspec import Struct
from twisted.internet.tcp import Server

_SIZE = 144
_ROUND_TRIP, _RETRANSMITTED, _SENT = 68, 100, 136  # offsets of 32-bit numbers in linux/tcp.h.
_SIOCOUTQ = 0x5411
"""Bytes that the other side has not acknowledged (linux/sockios.h)."""


class TcpInfo(Struct, frozen=True):
    """The measurements at one moment.

    Attributes:
        round_trip: smoothed, seconds.
        loss: the share of segments that were sent again, 0 to 1.
        unsent: bytes that the other side has not acknowledged.
    """

    round_trip: float
    loss: float
    unsent: int


def tcp_info(transport: Any) -> TcpInfo | None:
    """What the kernel knows of a connection; None on other systems than Linux, and for other sockets than TCP's."""
    connection = transport if type(transport) is Server else getattr(transport, "transport", None)
    if type(connection) is not Server or not hasattr(socket, "TCP_INFO"):
        return None
    try:
        octets = connection.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
        unsent = struct.unpack("i", fcntl.ioctl(connection.socket, _SIOCOUTQ, bytes(4)))[0]
    except OSError:
        return None  # a UNIX socket, or one that was just closed.
    if len(octets) < _SIZE:
        return None  # an older kernel.
    microseconds, again, sent = (struct.unpack_from("I", octets, at)[0] for at in (_ROUND_TRIP, _RETRANSMITTED, _SENT))
    return TcpInfo(microseconds / 1e6, min(1.0, again / sent) if sent else 0.0, unsent)
