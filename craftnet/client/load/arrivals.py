"""Reads sockets together with the time at which the octets arrived at the kernel."""

from __future__ import annotations

import socket
import struct
import sys
import time

SIZE = 65_536
"""Octets that one call reads."""

_SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; missing in Python's socket module.
_TIMESPEC = struct.Struct("@ll")
_SPACE = socket.CMSG_SPACE(_TIMESPEC.size)


def stamp_arrivals(connection: socket.socket) -> None:
    """Makes the kernel record arrival times, so that a busy generator does not look like a slow server.

    Linux records them for UDP and TCP; elsewhere, the time of reading counts.
    """
    if sys.platform == "linux":
        connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)


def receive(connection: socket.socket) -> tuple[bytes, float]:
    """The octets that arrived and their arrival time, Unix seconds.

    Raises:
        OSError: as `socket.recv`; BlockingIOError when nothing arrived.
    """
    octets, notes, _, _ = connection.recvmsg(SIZE, _SPACE)
    for level, kind, content in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(content)
            return octets, seconds + nanoseconds * 1e-9
    return octets, time.time()
