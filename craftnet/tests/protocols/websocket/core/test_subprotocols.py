"""Which WebSocket subprotocol a client gets."""

from __future__ import annotations

from itertools import product

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadRequest
from craftnet.protocols.websocket.core.subprotocols import JSON, SUPPORTED, choose


class SubprotocolTests(SynchronousTestCase):
    def test_nothing_offered(self) -> None:
        for page in (False, True):
            self.assertIsNone(choose([], token_offered=False, page=page))

    def test_each_supported(self) -> None:
        self.assertIn(JSON, SUPPORTED)
        for name in SUPPORTED:
            for token_offered, page in product((False, True), repeat=2):
                self.assertEqual(choose(["ws", name], token_offered=token_offered, page=page), name)

    def test_the_client_s_order_decides(self) -> None:
        chosen = choose(["craftnet.unheard-of.v9", *reversed(SUPPORTED)], token_offered=True, page=False)
        self.assertEqual(chosen, SUPPORTED[-1])

    def test_only_names_of_other_servers(self) -> None:
        """A program gets JSON text and no subprotocol; a page's browser would not take that for an answer."""
        offered = ["ws", "health-monitoring-v1", JSON.upper()]
        for token_offered in (False, True):
            self.assertIsNone(choose(offered, token_offered=token_offered, page=False))
            self.refused(offered, token_offered=token_offered, page=True)

    def test_only_a_token(self) -> None:
        for page in (False, True):
            self.refused([], token_offered=True, page=page)

    def refused(self, offered: list[str], *, token_offered: bool, page: bool) -> None:
        """The refusal says what to offer."""
        error = self.assertRaises(BadRequest, choose, offered, token_offered=token_offered, page=page)
        self.assertEqual(error.details, {"supported_protocols": list(SUPPORTED)})
        for name in SUPPORTED:
            self.assertIn(name, error.message)
