"""Reading sockets with the time at which the octets arrived, as the kernel saw it."""

from __future__ import annotations

import socket
import struct
import sys
import time

SIZE = 65_536
"""Octets that are read at once."""

_SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; Python's socket module does not have it.
_TIMESPEC = struct.Struct("@ll")
_SPACE = socket.CMSG_SPACE(_TIMESPEC.size)


def stamp_arrivals(connection: socket.socket) -> None:
    """Have the kernel note when octets arrive, so that a busy generator does not count as a slow server.

    Linux notes it for UDP and TCP; elsewhere, the time of reading counts.
    """
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def receive(connection: socket.socket) -> tuple[bytes, float]:
    """What has arrived, and when, Unix seconds.

    Raises:
        OSError: as `socket.recv`; BlockingIOError where there is nothing.
    """
    octets, notes, _, _ = connection.recvmsg(SIZE, _SPACE)
    for level, kind, content in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(content)
            return octets, seconds + nanoseconds * 1e-9
    return octets, time.time()
