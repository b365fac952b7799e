"""Tests for `craftnet.client.transports.address_resolution`."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from craftnet.client.transports.address_resolution import (
    MAX_ADDRESSES,
    Server,
    endpoint,
    on_both_families,
    on_ipv6,
    resolve,
    routable,
)
from craftnet.tests.support.fakes import TableResolver


class EndpointTests(SynchronousTestCase):
    """`endpoint`"""

    def test_host_and_port(self) -> None:
        self.assertEqual(endpoint("game.example:8082"), ("game.example", 8082))
        self.assertEqual(endpoint("[2001:db8::1]:8082"), ("2001:db8::1", 8082))

    def test_anything_else(self) -> None:
        for text in ("", ":", "host", "host:", ":8082", "host:0", "host:65536", "host:-1", "host:٣"):
            self.assertIsNone(endpoint(text), text)


class ResolveTests(SynchronousTestCase):
    """`resolve`"""

    def resolved(self, *hosts: str, usable: Sequence[str]) -> Deferred[list[Server]]:
        """The usable ones of these addresses."""
        found = resolve(TableResolver(*hosts), "h", 8082, lambda server: server[0] in usable)
        return Deferred.fromCoroutine(found)

    def test_the_addresses_to_which_there_is_a_way(self) -> None:
        hosts = ("2001:db8::1", "192.0.2.1", "192.0.2.2")
        for usable, taken in ((hosts, hosts), (hosts[1:], hosts[1:]), ((), hosts[:1])):
            found = self.successResultOf(self.resolved(*hosts, usable=usable))
            self.assertEqual(found, [(host, 8082) for host in taken])

    def test_no_more_than_can_be_tried(self) -> None:
        hosts = [f"192.0.2.{number}" for number in range(20)]
        self.assertEqual(len(self.successResultOf(self.resolved(*hosts, *hosts, usable=hosts))), MAX_ADDRESSES)

    def test_zones(self) -> None:
        """A link-local address is tried in its zone; without one that we know, in all of them."""
        self.patch(socket, "if_nameindex", lambda: [(1, "lo"), (4, "eth0")])
        for host, zones in (("fe80::1%eth0", [4]), ("fe80::1", [1, 4]), ("fe80::1%en7", [1, 4])):
            found = resolve(TableResolver(), host, 8082, lambda server: True)
            servers = self.successResultOf(Deferred.fromCoroutine(found))
            self.assertEqual(servers, [("fe80::1", 8082, 0, zone) for zone in zones])

    def test_one_socket_for_both_families(self) -> None:
        try:
            made = on_both_families()
        except OSError as error:
            raise SkipTest(f"no IPv6 on this machine: {error}") from None
        with made:
            self.assertEqual(made.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY), 0)
            self.assertFalse(made.getblocking())
        self.assertEqual(on_ipv6(("192.0.2.1", 1)), ("::ffff:192.0.2.1", 1))
        self.assertEqual(on_ipv6(("fe80::1", 1, 0, 3)), ("fe80::1", 1, 0, 3))

    def test_no_address(self) -> None:
        self.failureResultOf(self.resolved(usable=()), DNSLookupError)

    def test_ways(self) -> None:
        """There is a loopback route, and a route to everything only where the system has one."""
        self.assertTrue(routable(("127.0.0.1", 8082)))
        self.assertFalse(routable(("255.255.255.255", 8082)))
