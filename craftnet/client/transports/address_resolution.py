"""Resolves the ``host:port`` that a server names to addresses for datagrams."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import ip_address

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

MAX_ADDRESSES = 6
"""Addresses of a server that are tried; a name may have any number."""

Server = tuple[str, int] | tuple[str, int, int, int]
"""An address as sockets take it: host and port; for IPv6 also flow information and zone."""


def endpoint(text: str) -> tuple[str, int] | None:
    """Host and port of ``host:port`` or ``[IPv6]:port``; None when the text has another form."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) < 65536:
        return None
    return host, int(port)


def link_local(host: str, port: int) -> list[Server]:
    """A link-local IPv6 address in its zone; without a zone, or with one unknown here, in every zone of this system.

    Zones are local to a system, so a server names its address without one.

    Returns:
        An empty list for any other host.
    """
    address, _, zone = host.partition("%")
    try:
        parsed = ip_address(address)
    except ValueError:
        return []
    if parsed.version == 4 or not parsed.is_link_local:
        return []
    zones = {name: index for index, name in socket.if_nameindex()}
    return [(address, port, 0, index) for index in ([zones[zone]] if zone in zones else zones.values())]


def local_address(server: Server) -> str | None:
    """The local address from which the system would send; None when it has no route. Sends nothing."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(server)
            return str(probe.getsockname()[0])
    except OSError:
        return None


def routable(server: Server) -> bool:
    """Whether the system has a route to this address."""
    return local_address(server) is not None


def on_ipv6(server: Server) -> Server:
    """The same server as a dual-stack socket takes it (RFC 4291 section 2.5.5.2)."""
    return server if ":" in server[0] else (f"::ffff:{server[0]}", server[1])


def on_both_families() -> socket.socket:
    """A dual-stack UDP socket, whatever the system's default. Raises OSError when there is none."""
    made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(("::", 0))
    except OSError:
        made.close()
        raise
    return made


@implementer(IResolutionReceiver)
class _All:
    """Collects the addresses that a resolver finds."""

    def __init__(self, found: Deferred[list[Server]]) -> None:
        self._found = found
        self._addresses: list[Server] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Does nothing."""

    def addressResolved(self, address: IAddress) -> None:
        """Records an address."""
        assert isinstance(address, IPv4Address | IPv6Address)
        server = (address.host, address.port)
        if server not in self._addresses:
            self._addresses.append(server)

    def resolutionComplete(self) -> None:
        """Fires the Deferred with all addresses."""
        self._found.callback(self._addresses)


async def resolve(
    resolver: IHostnameResolver, host: str, port: int, usable: Callable[[Server], bool] = routable
) -> list[Server]:
    """The routable addresses of a host, at most `MAX_ADDRESSES`, in the system's order of preference.

    Names often have an IPv6 address where the client's network has no IPv6.

    Returns:
        The first address alone if none is routable.

    Raises:
        DNSLookupError: the host has no address.
    """
    addresses = link_local(host, port)
    if not addresses:
        found = Deferred[list[Server]]()
        resolver.resolveHostName(_All(found), host, port)
        addresses = await found
    if not addresses:
        raise DNSLookupError(f"no address for {host}")
    return list(filter(usable, addresses))[:MAX_ADDRESSES] or addresses[:1]
