"""Octets straight to the socket, or into the transport's buffer, but always in order."""

from __future__ import annotations

import socket
from collections.abc import Generator
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import TestCase

from craftnet.runtime.sockets import transmit
from craftnet.tests.support.live import in_thread

LARGE = bytes(range(256)) * 40_000
"""More than the socket's buffers take at once."""


class TransmitTests(TestCase):
    """Over a connection of this machine."""

    timeout = 30

    @inlineCallbacks
    def setUp(self) -> Generator[Deferred[Any], Any, None]:  # type: ignore[override]  # trial waits for a Deferred.
        """Connect."""
        accepted: Deferred[Server] = Deferred()

        class Accept(Protocol):
            def connectionMade(self) -> None:
                accepted.callback(cast(Server, self.transport))

        port: Any = reactor.listenTCP(0, cast(Any, Factory.forProtocol(Accept)), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.client = socket.create_connection(("127.0.0.1", port.getHost().port), timeout=10)
        self.addCleanup(self.client.close)
        self.transport: Server = yield accepted
        self.addCleanup(self.transport.abortConnection)

    def receive(self, size: int) -> bytes:
        """Exactly `size` octets."""
        received = b""
        while len(received) < size:
            received += self.client.recv(1 << 20)
        return received

    async def test_at_once(self) -> None:
        """Without the reactor: nothing else happens between the two lines."""
        transmit(self.transport, b"hello")
        self.assertEqual(self.client.recv(10), b"hello")

    async def test_after_what_waits(self) -> None:
        self.transport.write(b"first, ")
        transmit(self.transport, b"second")
        self.assertEqual(await in_thread(self.receive, 13), b"first, second")

    async def test_what_the_socket_does_not_take(self) -> None:
        """The rest follows, and later octets come after it."""
        transmit(self.transport, LARGE)
        transmit(self.transport, b"end")
        self.assertEqual(await in_thread(self.receive, len(LARGE) + 3), LARGE + b"end")

    async def test_lost(self) -> None:
        """A connection that is gone is found out by the reactor; nothing is raised."""
        self.client.close()
        for _ in range(3):
            transmit(self.transport, b"still there?")

    async def test_other_transports(self) -> None:
        transport = StringTransport()
        transmit(cast(ITransport, transport), b"hello")
        self.assertEqual(transport.value(), b"hello")
