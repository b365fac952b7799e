"""A path between a client and the service, over real sockets, that loses what a test wants."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from twisted.internet import reactor
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorUDP
from twisted.internet.protocol import DatagramProtocol

from craftnet.tests.support.live import LiveTestCase


class Relay(DatagramProtocol):
    """A line between one client and the server.

    Attributes:
        loses: of each direction, every so manieth datagram, the first among them; 1: all; 0: none.
        lost: how many were.
    """

    def __init__(self, loses: int) -> None:
        self.server = ("", 0)
        self.loses = loses
        self.lost = 0
        self._client = ("", 0)
        self._passed = {True: 0, False: 0}

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Pass it on, or do not."""
        outward = addr == self.server
        if not outward:
            self._client = addr
        passed, self._passed[outward] = self._passed[outward], self._passed[outward] + 1
        if self.loses and passed % self.loses == 0:
            self.lost += 1
        else:
            assert self.transport is not None
            self.transport.write(datagram, self._client if outward else self.server)


class RelayedTestCase(LiveTestCase):
    """A service that announces `relay` to its clients."""

    loses = 0

    def setUp(self) -> None:
        """Start."""
        self.relay = Relay(self.loses)
        port = cast(IReactorUDP, reactor).listenUDP(0, self.relay, "127.0.0.1", 8192)
        self.addCleanup(port.stopListening)
        listening = cast(IPv4Address, port.getHost()).port
        self.settings = replace(self.settings, public_udp=f"127.0.0.1:{listening}")
        super().setUp()
        assert self.service.udp_service is not None
        host, _, number = self.service.udp_service.address.rpartition(":")
        self.relay.server = (host, int(number))
