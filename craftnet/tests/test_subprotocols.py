"""Which WebSocket subprotocol a client gets."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest
from craftnet.protocols.websocket.subprotocols import JSON, SUPPORTED, choose


class SubprotocolTests(SynchronousTestCase):
    def test_nothing_offered(self) -> None:
        self.assertIsNone(choose([]))

    def test_each_supported(self) -> None:
        self.assertIn(JSON, SUPPORTED)
        for name in SUPPORTED:
            self.assertEqual(choose([name]), name)

    def test_the_client_s_order_decides(self) -> None:
        self.assertEqual(choose(["craftnet.unheard-of.v9", *reversed(SUPPORTED)]), SUPPORTED[-1])

    def test_nothing_supported(self) -> None:
        error = self.assertRaises(BadRequest, choose, ["graphql-ws", JSON.upper()])
        self.assertEqual(error.details, {"supported_protocols": list(SUPPORTED)})
