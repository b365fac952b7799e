"""From the ``host:port`` that a server names to an address that datagrams can be sent to."""

from __future__ import annotations

import socket
from collections.abc import Callable

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


def routable(server: tuple[str, int]) -> bool:
    """Whether the system knows a way to this address. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(server)
    except OSError:
        return False
    return True


@implementer(IResolutionReceiver)
class _All:
    """Takes the addresses that a resolver finds."""

    def __init__(self, found: Deferred[list[tuple[str, int]]]) -> None:
        self._found = found
        self._addresses: list[tuple[str, int]] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to do."""

    def addressResolved(self, address: IAddress) -> None:
        """One was found."""
        assert isinstance(address, IPv4Address | IPv6Address)
        self._addresses.append((address.host, address.port))

    def resolutionComplete(self) -> None:
        """No more will be found."""
        self._found.callback(self._addresses)


async def resolve(
    resolver: IHostnameResolver, host: str, port: int, usable: Callable[[tuple[str, int]], bool] = routable
) -> tuple[str, int]:
    """The first address of a host that is usable: names often have an IPv6 address where the client's network has none.

    Returns:
        If none is, the first.

    Raises:
        DNSLookupError: it has none at all.
    """
    found = Deferred[list[tuple[str, int]]]()
    resolver.resolveHostName(_All(found), host, port)
    addresses = await found
    if not addresses:
        raise DNSLookupError(f"no address for {host}")
    return next(filter(usable, addresses), addresses[0])
