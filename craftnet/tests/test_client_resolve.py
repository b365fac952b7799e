"""Tests for `craftnet.client.resolve`."""

from __future__ import annotations

from twisted.internet.address import IPv4Address
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IHostnameResolver, IHostResolution, IResolutionReceiver
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.client.resolve import endpoint, resolve


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
            resolutionReceiver.addressResolved(IPv4Address("TCP", host, portNumber))
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

    def test_the_first_address(self) -> None:
        found = resolve(TableResolver("192.0.2.1", "192.0.2.2"), "h", 8082)
        self.assertEqual(self.successResultOf(found), ("192.0.2.1", 8082))

    def test_no_address(self) -> None:
        self.failureResultOf(resolve(TableResolver(), "h", 8082), DNSLookupError)
