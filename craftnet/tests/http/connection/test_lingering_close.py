from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.http.connection.lingering_close import LINGER_TIMEOUT, LingeringClose
from craftnet.tests.support.fakes import SteppedClock


@implementer(ITCPTransport)
class TcpTransport(StringTransport):
    """One that can be half closed."""

    half_closed = False

    def loseWriteConnection(self) -> None:
        """Remember it."""
        self.half_closed = True

    def getTcpKeepAlive(self) -> bool:
        """As in `ITCPTransport`."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """As in `ITCPTransport`."""

    def getTcpNoDelay(self) -> bool:
        """As in `ITCPTransport`."""
        return False

    def setTcpNoDelay(self, enabled: bool) -> None:
        """As in `ITCPTransport`."""


class LingeringTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.lingering = LingeringClose(b"answer", self.clock)

    def test_only_our_half_is_closed(self) -> None:
        transport = TcpTransport()
        self.lingering.makeConnection(transport)
        self.assertEqual(transport.value(), b"answer")
        self.assertTrue(transport.half_closed)
        self.assertFalse(transport.disconnecting)
        self.lingering.dataReceived(b"more")
        self.lingering.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_client_that_stays(self) -> None:
        transport = TcpTransport()
        self.lingering.makeConnection(transport)
        self.clock.advance(LINGER_TIMEOUT - 0.1)
        self.assertFalse(transport.disconnected)
        self.clock.advance(0.2)
        self.assertTrue(transport.disconnected)

    def test_without_halves(self) -> None:
        transport = StringTransport()
        self.lingering.makeConnection(transport)
        self.assertEqual(transport.value(), b"answer")
        self.assertTrue(transport.disconnecting)
        self.clock.advance(LINGER_TIMEOUT)
        self.assertTrue(transport.disconnected)
