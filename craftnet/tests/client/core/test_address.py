"""Tests for `craftnet.client.core.address`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.address import Address
from craftnet.errors import ConfigurationError
from craftnet.tests.support.samples import PLAYER, SESSION


class AddressTests(SynchronousTestCase):
    """`Address`"""

    def test_routes_at_the_root(self) -> None:
        for text in ("http://game.example:8080", "ws://game.example:8080/", "HTTP://game.example:8080"):
            address = Address(text)
            self.assertEqual(
                (address.feed(SESSION, PLAYER), address.connect(SESSION)),
                (
                    f"ws://game.example:8080/ws/crafting/{SESSION}?player_id={PLAYER}",
                    f"http://game.example:8080/udp/sessions/{SESSION}/connect",
                ),
            )

    def test_routes_under_a_prefix(self) -> None:
        for slash in ("", "/"):
            address = Address(f"http://h:8080/api/v1/crafting-network{slash}")
            self.assertEqual(
                address.connect(SESSION), f"http://h:8080/api/v1/crafting-network/udp/sessions/{SESSION}/connect"
            )

    def test_security_and_ports(self) -> None:
        for text, secure, port in (("http://h", False, 80), ("wss://h", True, 443), ("https://h:8443", True, 8443)):
            address = Address(text)
            self.assertEqual((address.secure, address.port), (secure, port))
        self.assertEqual(Address("wss://h/api/").events(), "https://h/api/events")
        self.assertTrue(Address("https://h").feed(SESSION, PLAYER).startswith("wss://h/ws/"))

    def test_ipv6(self) -> None:
        address = Address("http://[::1]:8080")
        self.assertEqual(address.host, "::1")
        self.assertTrue(address.connect(SESSION).startswith("http://[::1]:8080/"))

    def test_refuses_what_is_no_address(self) -> None:
        for text in (
            "",
            "127.0.0.1:8080",
            "http://",
            "ftp://h",
            "http://u:p@h",
            "http://h?token=x",
            "http://h#x",
            "http://h:x",
            "http://h:0",
            "http://h:65536",
        ):
            self.assertRaises(ConfigurationError, Address, text)
