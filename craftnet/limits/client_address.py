"""Where a client is: its address behind trusted proxies, and the URL by which it reaches this server. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from urllib.parse import urlsplit

from msgspec import Struct

from craftnet.errors import ConfigurationError

LOCAL = "unix"
"""The name of a peer on a UNIX socket."""

MAX_ADDRESS_LENGTH = 64
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
        self._known = lru_cache(maxsize=4096)(self._is_member)  # each request asks several times for its client's.

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
        return bool(self._networks or self._local) and self._known(address)

    def _is_member(self, address: str) -> bool:
        if address == LOCAL:
            return self._local
        parsed = parse_address(address)
        return parsed is not None and any(parsed in network for network in self._networks)

    def __str__(self) -> str:
        return ",".join([*map(str, self._networks), *([LOCAL] if self._local else [])])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Networks) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[frozenset[IPv4Network | IPv6Network], bool]:
        return frozenset(self._networks), self._local


NO_NETWORKS = Networks()
LOOPBACK = Networks([ip_network("127.0.0.0/8"), ip_network("::1/128")])


def host(address: object) -> str:
    """The IP address in a transport's `getPeer()`, or `LOCAL`."""
    return str(getattr(address, "host", LOCAL))


def resolve_client(peer: str, forwarded: str | None, proxies: Networks) -> tuple[str, int]:
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
        parsed = parse_address(_without_port(hop.strip()))
        if parsed is None:
            break
        address = str(parsed)
    return address, passed


@lru_cache(maxsize=4096)  # as `parse_address`.
def address_key(address: str) -> str:
    """What counts as one address: for IPv6 the network that contains it."""
    parsed = parse_address(address)
    if isinstance(parsed, IPv6Address):
        return str(ip_network((parsed, IPV6_PREFIX), strict=False))
    return address if parsed is None else str(parsed)


BLOCK_BITS = {4: 24, 6: 48}
"""Bits of an address that are shown to operators, by its version."""


def address_block(address: str) -> str:
    """The network of a client, as operators see it: /24 of IPv4, /48 of IPv6; anything else as it is.

    Arguments:
        address: an address, or what `address_key` returns.
    """
    parsed = parse_address(address.partition("/")[0])
    if parsed is None:
        return address
    return str(ip_network((parsed, BLOCK_BITS[parsed.version]), strict=False))


@lru_cache(maxsize=4096)  # each request asks several times for its client's address.
def parse_address(address: str) -> IPv4Address | IPv6Address | None:
    """Parses an address, ignoring its zone; None when it is invalid.

    Refuses texts longer than `MAX_ADDRESS_LENGTH`, so that the cache stays small whatever clients send.

    A dual-stack socket presents IPv4 addresses as IPv6 ones (RFC 4291 section 2.5.5.2): this returns them as IPv4.
    """
    if len(address) > MAX_ADDRESS_LENGTH:
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


_HOST = re.compile(r"(?P<name>[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{0,5}))?")
_SCHEMES = {"http": "http", "ws": "http", "https": "https", "wss": "https"}
_PATH = re.compile(r"(?:/[A-Za-z0-9._~-]+)*")

Field = Callable[[str], str | None]
"""A header field's value by its lower-case name, several joined with commas; None when there is none."""


class ServerUrl(Struct, frozen=True):
    """The URL by which a client reaches this server.

    Attributes:
        scheme: ``http`` or ``https``.
        host: a name or an address, without brackets.
        port: None for the scheme's default.
        path: the base path before every route; None: that of the request.
        stated: whether the operator or a trusted proxy states it; otherwise it comes from the client's Host.
    """

    scheme: str
    host: str
    port: int | None = None
    path: str | None = None
    stated: bool = False

    @property
    def authority(self) -> str:
        """The host, with the port unless it is the scheme's default (RFC 3986 section 3.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"

    def websocket(self, path: str, route: str) -> str:
        """The URL of a WebSocket route.

        Arguments:
            path: the path of the request.
            route: the route without a base path.
        """
        scheme = "wss" if self.scheme == "https" else "ws"
        return f"{scheme}://{self.authority}" + (path if self.path is None else self.path + route)


class Forwarding:
    """Interprets forwarded headers.

    Arguments:
        proxies: the peers whose X-Forwarded-For, -Proto and -Host are trusted.
        public: the URL by which every client reaches this server; None: as its request says.
    """

    def __init__(self, proxies: Networks = NO_NETWORKS, public: ServerUrl | None = None) -> None:
        self._proxies = proxies
        self._public = public

    def client(self, peer: str, field: Field) -> str:
        """The address of the client.

        Arguments:
            peer: the other end of the connection, as `craftnet.limits.client_address.host` returns it.
        """
        forwarded = field("x-forwarded-for")
        return peer if forwarded is None else resolve_client(peer, forwarded, self._proxies)[0]

    def server(self, peer: str, field: Field, *, secure: bool) -> ServerUrl:
        """The URL by which the client reaches this server.

        Arguments:
            peer: as for `client`.
            secure: whether the connection is TLS.
        """
        if self._public is not None:
            return self._public
        _, proxies = resolve_client(peer, field("x-forwarded-for"), self._proxies)
        proto = _SCHEMES.get(_vouched(field("x-forwarded-proto"), proxies).lower())
        scheme = proto or ("https" if secure else "http")
        return (
            _server_url(scheme, _vouched(field("x-forwarded-host"), proxies), stated=True)
            or _server_url(scheme, field("host") or "")
            or ServerUrl(scheme, "localhost")
        )


def public_url(text: str) -> ServerUrl:
    """Parses --public-url.

    Raises:
        ConfigurationError: it is not the URL of a server.
    """
    try:
        parts = urlsplit(text)
    except ValueError:
        parts = urlsplit("")
    path = parts.path.rstrip("/")
    url = _server_url(parts.scheme, parts.netloc, path or None, stated=True)
    if (
        parts.scheme not in ("http", "https")
        or parts.query
        or parts.fragment
        or not _PATH.fullmatch(path)
        or url is None
    ):
        raise ConfigurationError(
            f"--public-url {text}: it takes http or https, a host, and optionally a port and a path: "
            f"https://craft.example"
        )
    return url


def _vouched(value: str | None, proxies: int) -> str:
    """The value that the outermost trusted proxy wrote into a header field; empty when none did.

    Proxies replace the field or append to it. Values further left than the number of proxies come from the client.
    """
    if value is None or not proxies:
        return ""
    members = value.split(",")
    return members[-min(proxies, len(members))].strip()


def _server_url(scheme: str, authority: str, path: str | None = None, *, stated: bool = False) -> ServerUrl | None:
    """None when there is no host."""
    match = _HOST.fullmatch(authority)
    if match is None or (match["name"].startswith("[") and parse_address(match["name"].strip("[]")) is None):
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    return ServerUrl(scheme, match["name"].strip("[]").lower(), port, path, stated)
