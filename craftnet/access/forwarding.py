"""Determines a request's client and the URL by which it reaches this server, as trusted proxies report them. Pure.

A proxy that ends TLS or rewrites Host reports the original values in X-Forwarded-Proto and X-Forwarded-Host.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec import Struct

from craftnet.access.networks import NOWHERE, Networks, parse, trace
from craftnet.errors import ConfigurationError

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

    def __init__(self, proxies: Networks = NOWHERE, public: ServerUrl | None = None) -> None:
        self._proxies = proxies
        self._public = public

    def client(self, peer: str, field: Field) -> str:
        """The address of the client.

        Arguments:
            peer: the other end of the connection, as `craftnet.access.networks.host` returns it.
        """
        return trace(peer, field("x-forwarded-for"), self._proxies)[0]

    def server(self, peer: str, field: Field, *, secure: bool) -> ServerUrl:
        """The URL by which the client reaches this server.

        Arguments:
            peer: as for `client`.
            secure: whether the connection is TLS.
        """
        if self._public is not None:
            return self._public
        _, proxies = trace(peer, field("x-forwarded-for"), self._proxies)
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
            f"--public-url {text}: it takes http or https, a host, and optionally a port and a path: https://craft.example"
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
    if match is None or (match["name"].startswith("[") and parse(match["name"].strip("[]")) is None):
        return None
    port = int(match["port"]) if match["port"] else None
    if port is not None and not 0 < port < 65536:
        return None
    return ServerUrl(scheme, match["name"].strip("[]").lower(), port, path, stated)
