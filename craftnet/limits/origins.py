"""Decides which web sites' pages may connect (RFC 6455 section 10.2, RFC 6454). Pure.

A browser names the page's origin in the Origin header, which the page cannot change. Other programs send none and pass:
for them the token decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit

import idna

from craftnet.errors import ConfigurationError, Forbidden

ANY_ORIGIN = "*"
"""Matches every site."""

NULL_ORIGIN = "null"
"""The origin of a page without a site: a sandboxed frame, a data: URL, a local file."""

_WILDCARD = "*."
"""The prefix of a host that matches every host below the rest of it."""

_PORTS = {"http": 80, "https": 443}
_FORM = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.\-]*)://"
    r"(?P<host>\[[0-9a-f:.]+\]|(?:\*\.)?[^\x00-\x20\x7f*:/?#@\[\]\\%]{1,253})?"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


class _Site(NamedTuple):
    """The parts of an origin: port None for a scheme without ports, host empty where there is none (``file://``)."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port in (None, _PORTS.get(self.scheme)) else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    def covers(self, site: _Site) -> bool:
        """Whether `site` is below this one, whose host starts with a wildcard."""
        return (
            self.scheme == site.scheme
            and self.port == site.port
            and site.host.endswith(self.host.removeprefix(_WILDCARD[0]))
        )


class Origins:
    """The sites that may connect besides the one that the client takes this server for.

    Arguments:
        allowed: sites such as ``https://game.example``, ``https://*.game.example`` for every host below it,
            ``capacitor://localhost`` or ``file://`` for the pages of applications, `NULL_ORIGIN`, or `ANY_ORIGIN`.

    Raises:
        ConfigurationError: one of them can match no Origin that a browser sends.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        texts = {text.strip().lower() for text in allowed}
        sites = {_configured(text) for text in texts - {ANY_ORIGIN, NULL_ORIGIN}}
        self._any = ANY_ORIGIN in texts
        self._null = NULL_ORIGIN in texts
        self._wildcards = tuple(site for site in sites if site.host.startswith(_WILDCARD))
        self._exact = frozenset(sites.difference(self._wildcards))

    def check(self, origin: str | None, host: str | None) -> None:
        """Checks a handshake.

        Arguments:
            origin, host: these header fields.

        Raises:
            Forbidden: a page of that site may not connect.
        """
        if origin is None or self._any:
            return
        text = origin.strip().lower()
        if text == NULL_ORIGIN:
            if not self._null:
                raise Forbidden("Pages without a site may not connect here.", details={"origin": NULL_ORIGIN})
            return
        site = _parsed(text)
        if site is None or site.host.startswith(_WILDCARD):
            raise Forbidden("The Origin header does not name a site.")
        if not (site in self._exact or any(each.covers(site) for each in self._wildcards) or _same(site, host)):
            raise Forbidden("Pages of this site may not connect here.", details={"origin": str(site)})


def _parsed(text: str) -> _Site | None:
    """The parts of an origin in lower case; None when it is invalid, or its host is not a canonical host name."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    scheme, host, port = match["scheme"], match["host"] or "", match["port"]
    if (not host and (port or scheme in _PORTS)) or (port and int(port) > 65535):
        return None
    if host.startswith("["):
        try:
            host = f"[{IPv6Address(host[1:-1]).compressed}]"
        except ValueError:
            return None
    return _Site(scheme, host, int(port) if port else _PORTS.get(scheme))


def _configured(text: str) -> _Site:
    """A site from the option: a slash may follow it, and its host may be in any script."""
    site = _parsed(text.removesuffix("/") if text.count("/") == 3 else text)
    if site is None:
        raise ConfigurationError(
            f"--origin {text}: expected a scheme, a host and optionally a port, such as https://game.example,"
            " https://*.game.example or http://localhost:3000; or null, file:// or *"
        )
    if site.scheme in ("ws", "wss"):
        raise ConfigurationError(
            f"--origin {text}: a page's site is http or https, whatever its WebSockets use: write http{text[2:]}"
        )
    wildcard = _WILDCARD if site.host.startswith(_WILDCARD) else ""
    host = site.host.removeprefix(wildcard)
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError as error:
            raise ConfigurationError(f"--origin {text}: {host} is not a host name: {error}") from None
    if wildcard and "." not in host and host != "localhost":
        raise ConfigurationError(f"--origin {text}: this matches sites of any owner; name one, https://*.game.example")
    return site._replace(host=wildcard + host)


def _same(site: _Site, host: str | None) -> bool:
    """Whether the page came from this server, by any scheme: a proxy may have ended TLS."""
    try:
        here = urlsplit(f"//{(host or '').lower()}")
        default = _PORTS.get(site.scheme)
        return here.hostname is not None and (site.host.strip("[]"), site.port) == (here.hostname, here.port or default)
    except ValueError:
        return False
