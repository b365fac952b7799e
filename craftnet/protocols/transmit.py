"""Octets straight to the socket: one system call, without a buffer, the reactor and another of its turns."""

from __future__ import annotations

from twisted.internet.interfaces import ITransport
from twisted.internet.tcp import Server


def transmit(transport: ITransport | None, octets: bytes) -> None:
    """Send `octets` now if nothing waits before them; what the socket does not take waits in the transport.

    Only a plain TCP connection that was accepted here is written to directly. Everything else, TLS above all, buffers
    as it always does.
    """
    if (
        type(transport) is Server
        and not transport.dataBuffer
        and not transport._tempDataBuffer
        and not transport.TLS
        and transport.connected
        and not transport.disconnecting
    ):
        try:
            sent = transport.socket.send(octets)
        except OSError:
            sent = 0  # the socket's buffer is full, or the connection lost, as the reactor is about to find out.
        if sent == len(octets):
            return
        octets = octets[sent:]
    if transport is not None:
        transport.write(octets)
