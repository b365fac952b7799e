"""Client addresses: networks, the client behind proxies, and what counts as one address. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import urlsplit

from craftnet.errors import ConfigurationError

LOCAL = "unix"
"""The name of a peer on a UNIX socket."""

LONGEST = 64
"""Characters of an address: 45, and the name of a zone."""

IPV6_PREFIX = 64
"""Bits of an IPv6 address that identify a household or a machine (RFC 6177)."""


class Networks:
    """A set of addresses.

    Arguments:
        networks: its members.
        local: whether peers on UNIX sockets are members.
    """

    def __init__(self, networks: Sequence[IPv4Network | IPv6Network] = (), *, local: bool = False) -> None:
        self._networks = tuple(networks)
        self._local = local

    @classmethod
    def parse(cls, text: str, option: str) -> Networks:
        """Parses networks and addresses, separated by commas; `unix` means peers on UNIX sockets.

        Raises:
            ConfigurationError: one of them is invalid; `option` is the option to name.
        """
        words = [word.strip() for word in text.split(",") if word.strip()]
        try:
            networks = [ip_network(word, strict=False) for word in words if word != LOCAL]
        except ValueError as error:
            raise ConfigurationError(f"{option}: {error}") from None
        return cls(networks, local=LOCAL in words)

    def __contains__(self, address: str) -> bool:
        if address == LOCAL:
            return self._local
        if not self._networks:  # the usual case: the option was not given.
            return False
        parsed = parse(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[frozenset[IPv4Network | IPv6Network], bool]:
        return frozenset(self._networks), self._local


NOWHERE = Networks()
LOOPBACK = Networks([ip_network("127.0.0.0/8"), ip_network("::1/128")])


def host(address: object) -> str:
    """The IP address in a transport's `getPeer()`, or `LOCAL`."""
    return str(getattr(address, "host", LOCAL))


def trace(peer: str, forwarded: str | None, proxies: Networks) -> tuple[str, int]:
    """The address of the client, and the number of trusted proxies on the way.

    Arguments:
        peer: the address from which the connection comes, or `LOCAL`.
        forwarded: the X-Forwarded-For header, several joined by commas; trusted only as far as proxies wrote it.
        proxies: the trusted proxies.
    """
    address, passed = peer, 0
    for hop in reversed((forwarded or "").split(",")):
        if address not in proxies:
            break
        passed += 1
        parsed = parse(_without_port(hop.strip()))
        if parsed is None:
            break
        address = str(parsed)
    return address, passed


@lru_cache(maxsize=4096)  # as `parse`.
def source(address: str) -> str:
    """What counts as one address: for IPv6 the network that contains it."""
    parsed = parse(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_PREFIX), strict=False))
    return address if parsed is None else str(parsed)


@lru_cache(maxsize=4096)  # each request asks several times for its client's address.
def parse(address: str) -> IPv4Address | IPv6Address | None:
    """Parses an address, ignoring its zone; None when it is invalid.

    Refuses texts longer than `LONGEST`, so that the cache stays small whatever clients send.

    A dual-stack socket presents IPv4 addresses as IPv6 ones (RFC 4291 section 2.5.5.2): this returns them as IPv4.
    """
    if len(address) > LONGEST:
        return None
    try:
        parsed = (IPv6Address if ":" in address else IPv4Address)(address.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return mapped or parsed


def _without_port(hop: str) -> str:
    """The address without a port, which some proxies add: `192.0.2.1:4711`, `[2001:db8::1]:4711`."""
    if hop.startswith("[") or hop.count(":") == 1:
        try:
            return urlsplit(f"//{hop}").hostname or ""
        except ValueError:
            return ""
    return hop
