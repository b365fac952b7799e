"""Tests for `craftnet.limits.client_address`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import ConfigurationError
from craftnet.limits.client_address import LOCAL, LOOPBACK, NO_NETWORKS, Networks, address_key, host, resolve_client

PROXIES = Networks.parse("10.0.0.0/8, fd00::/8, unix", "--trusted-proxy")


class NetworksTests(SynchronousTestCase):
    def test_members(self) -> None:
        for address in ("10.1.2.3", "fd00::1", "::ffff:10.0.0.1", LOCAL):
            self.assertIn(address, PROXIES)
        for address in ("11.1.2.3", "fe80::1%eth0", "", "proxy.example", "10.1.2"):
            self.assertNotIn(address, PROXIES)
        self.assertNotIn(LOCAL, LOOPBACK)
        self.assertNotIn("127.0.0.1", NO_NETWORKS)

    def test_loopback_is_what_its_text_says(self) -> None:
        self.assertEqual(Networks.parse("127.0.0.0/8,::1", "--unlimited-from"), LOOPBACK)
        self.assertEqual(Networks.parse("", "--unlimited-from"), NO_NETWORKS)

    def test_nonsense(self) -> None:
        for text in ("10.0.0.0/33", "proxy.example", "10.0.0.1;10.0.0.2"):
            self.assertRaisesRegex(ConfigurationError, "^--trusted-proxy: ", Networks.parse, text, "--trusted-proxy")

    def test_host(self) -> None:
        self.assertEqual(host(IPv4Address("TCP", "192.0.2.1", 1)), "192.0.2.1")
        self.assertEqual(host(UNIXAddress("/run/craftnet")), LOCAL)


def client_address(peer: str, forwarded: str | None, proxies: Networks) -> str:
    """The address of the client."""
    return resolve_client(peer, forwarded, proxies)[0]


class ClientAddressTests(SynchronousTestCase):
    def test_header_of_an_untrusted_peer_is_ignored(self) -> None:
        self.assertEqual(client_address("192.0.2.1", "203.0.113.9", NO_NETWORKS), "192.0.2.1")
        self.assertEqual(client_address("192.0.2.1", "203.0.113.9", PROXIES), "192.0.2.1")

    def test_what_a_proxy_wrote(self) -> None:
        for forwarded, client in (
            (None, "10.0.0.1"),
            ("", "10.0.0.1"),
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:4711", "203.0.113.9"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("203.0.113.9, 10.0.0.2", "203.0.113.9"),
            ("junk", "10.0.0.1"),
            ("203.0.113.9, junk", "10.0.0.1"),
            ("[2001:db8::1", "10.0.0.1"),
        ):
            self.assertEqual(client_address("10.0.0.1", forwarded, PROXIES), client, forwarded)

    def test_what_a_client_wrote_before_it(self) -> None:
        """The proxy appends whom it sees; what stands to the left of that may be made up."""
        self.assertEqual(client_address("10.0.0.1", "198.51.100.7, 203.0.113.9", PROXIES), "203.0.113.9")

    def test_how_many_proxies(self) -> None:
        for peer, forwarded, passed in (
            ("192.0.2.1", "10.0.0.2", 0),
            ("10.0.0.1", None, 1),
            ("10.0.0.1", "203.0.113.9", 1),
            ("10.0.0.1", "198.51.100.7, 10.0.0.2", 2),
            ("10.0.0.1", "10.0.0.3, junk, 10.0.0.2", 2),
        ):
            self.assertEqual(resolve_client(peer, forwarded, PROXIES)[1], passed, forwarded)

    def test_unix_socket(self) -> None:
        self.assertEqual(client_address(LOCAL, "203.0.113.9", PROXIES), "203.0.113.9")
        self.assertEqual(client_address(LOCAL, "203.0.113.9", NO_NETWORKS), LOCAL)

    @settings(deadline=None, derandomize=True)
    @given(st.text())
    def test_any_header(self, forwarded: str) -> None:
        self.assertIsInstance(client_address("10.0.0.1", forwarded, PROXIES), str)


class SourceTests(SynchronousTestCase):
    def test_an_ipv6_prefix_is_one_source(self) -> None:
        self.assertEqual(address_key("2001:db8::1"), address_key("2001:db8::ffff:1"))
        self.assertNotEqual(address_key("2001:db8::1"), address_key("2001:db8:0:1::1"))
        self.assertNotEqual(address_key("192.0.2.1"), address_key("192.0.2.2"))
        self.assertEqual(address_key("::ffff:192.0.2.1"), "192.0.2.1")
        self.assertEqual(address_key(LOCAL), LOCAL)
