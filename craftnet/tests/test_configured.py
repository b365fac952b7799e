"""Tests for `craftnet.protocols.websocket.configured`."""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.websocket.configured import configured


class ConfiguredTests(SynchronousTestCase):
    def connected(self, factory: WebSocketServerFactory) -> Any:
        """A connection. (Any: Autobahn declares none of its options.)"""
        protocol = factory.buildProtocol(None)
        assert protocol is not None
        protocol.makeConnection(StringTransport())
        return protocol

    def test_options_are_those_of_the_factory(self) -> None:
        """All that Autobahn would have copied, functions included; and none of them on the connection."""
        factory = WebSocketServerFactory()
        factory.setProtocolOptions(maxMessagePayloadSize=7, echoCloseCodeReason=True, openHandshakeTimeout=0)
        factory.protocol = WebSocketServerProtocol
        copied = self.connected(factory)
        factory.protocol = configured(WebSocketServerProtocol, factory)
        lean = self.connected(factory)
        self.assertEqual(lean.maxMessagePayloadSize, 7)
        for name in WebSocketServerProtocol.CONFIG_ATTRS:
            self.assertEqual(getattr(lean, name), getattr(copied, name))
            self.assertIn(name, vars(copied))
            self.assertNotIn(name, set(vars(lean)) - {"trackTimings"})  # which Autobahn sets once more.
