"""From the ``host:port`` that a server names to an address that datagrams can be sent to."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer


def endpoint(text: str) -> tuple[str, int] | None:
    """Host and port of ``host:port`` or ``[IPv6]:port``; None when it is not written like that."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        return None
    return host, int(port)


@implementer(IResolutionReceiver)
class _First:
    """Takes the first address that a resolver finds."""

    def __init__(self, host: str, found: Deferred[tuple[str, int]]) -> None:
        self._host = host
        self._found: Deferred[tuple[str, int]] | None = found

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to do."""

    def addressResolved(self, address: IAddress) -> None:
        """One was found."""
        found, self._found = self._found, None
        if found is not None:
            assert isinstance(address, IPv4Address | IPv6Address)
            found.callback((address.host, address.port))

    def resolutionComplete(self) -> None:
        """No more will be found."""
        if self._found is not None:
            self._found.errback(DNSLookupError(f"no address for {self._host}"))


def resolve(resolver: IHostnameResolver, host: str, port: int) -> Deferred[tuple[str, int]]:
    """The first address of a host.

    Fails:
        DNSLookupError: it has none.
    """
    found = Deferred[tuple[str, int]]()
    resolver.resolveHostName(_First(host, found), host, port)
    return found
