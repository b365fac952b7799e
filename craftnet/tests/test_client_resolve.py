"""Tests for `craftnet.client.resolve`."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.client.resolve import endpoint, resolve, routable


@implementer(IHostnameResolver, IHostResolution)
class TableResolver:
    """Knows these addresses of any host."""

    name = "any"

    def __init__(self, *hosts: str) -> None:
        self.hosts = hosts

    def cancel(self) -> None:
        """Too late."""

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: object = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """Tell them."""
        resolutionReceiver.resolutionBegan(self)
        for host in self.hosts:
            kind = IPv6Address if ":" in host else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", host, portNumber))
        resolutionReceiver.resolutionComplete()
        return self


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

    def resolved(self, *hosts: str, usable: Sequence[str]) -> Deferred[tuple[str, int]]:
        """What is taken of these addresses."""
        found = resolve(TableResolver(*hosts), "h", 8082, lambda server: server[0] in usable)
        return Deferred.fromCoroutine(found)

    def test_the_first_address_to_which_there_is_a_way(self) -> None:
        hosts = ("2001:db8::1", "192.0.2.1", "192.0.2.2")
        for usable, taken in ((hosts, hosts[0]), (hosts[1:], hosts[1]), ((), hosts[0])):
            self.assertEqual(self.successResultOf(self.resolved(*hosts, usable=usable)), (taken, 8082))

    def test_no_address(self) -> None:
        self.failureResultOf(self.resolved(usable=()), DNSLookupError)

    def test_ways(self) -> None:
        """There is one to ourselves; none to everybody, unless one asks for it."""
        self.assertTrue(routable(("127.0.0.1", 8082)))
        self.assertFalse(routable(("255.255.255.255", 8082)))
