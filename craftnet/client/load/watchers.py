"""What the watchers of both transports share: their interfaces, and sockets whose octets have arrival times."""

from __future__ import annotations

import socket
import struct
import sys
import time
from typing import Protocol


class Observer(Protocol):
    """Receives the events of watchers."""

    def connected(self, seconds: float) -> None:
        """A watcher has its first state, `seconds` after its first octet."""

    def refused(self, number: int, why: str) -> None:
        """Watcher `number` was refused."""

    def ended(self, number: int, why: str) -> None:
        """The connection of watcher `number` was lost."""

    def received(self, number: int, octets: int) -> None:
        """`octets` octets arrived for watcher `number`."""

    def arrived(self, number: int, quality: int, when: float) -> None:
        """A state with this quality reached watcher `number` at `when`, Unix seconds."""


class Watchers(Protocol):
    """One connection for each session.

    Attributes:
        opening: the number of connections being opened.
    """

    opening: int

    @property
    def deadline(self) -> float:
        """When to call `tick`, Unix seconds; infinite when nothing is due."""

    def open(self, number: int) -> None:
        """Starts connecting watcher `number`. Raises LoadFailed: the server is unreachable."""

    def tick(self, now: float) -> None:
        """Performs due actions, such as retransmissions."""

    def close(self) -> None:
        """Closes all connections."""


SIZE = 65_536
"""Octets that one call reads."""

_SO_TIMESTAMPNS = 35  # <asm-generic/socket.h>; missing in Python's socket module.
_TIMESPEC = struct.Struct("@ll")
_SPACE = socket.CMSG_SPACE(_TIMESPEC.size)


def stamp_arrivals(connection: socket.socket) -> None:
    """Makes the kernel record arrival times, so that a busy generator does not look like a slow server.

    Linux records them for UDP and TCP; on other systems, the time of reading counts.
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
