"""Which web sites' pages may connect (RFC 6455 section 10.2, RFC 6454). Pure.

A browser names the site of the page in the Origin header, which the page cannot change. Other programs send none, and
are let through: the token is what keeps them out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit

import idna

from craftnet.errors import ConfigurationError, Forbidden

ANY = "*"
"""Stands for every site."""

NULL = "null"
"""What browsers send for a page without a site: a sandboxed frame, a data: URL, a local file."""

_WILDCARD = "*."
"""What begins a host that stands for every host below the rest of it."""

_PORTS = {"http": 80, "https": 443}
_FORM = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.\-]*)://"
    r"(?P<host>\[[0-9a-f:.]+\]|(?:\*\.)?[^\x00-\x20\x7f*:/?#@\[\]\\%]{1,253})?"
    r"(?::(?P<port>[0-9]{1,5}))?"
)


class _Site(NamedTuple):
    """An origin's parts; the port is None where the scheme has none, the host empty where it has none (``file://``)."""

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port in (None, _PORTS.get(self.scheme)) else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    def covers(self, site: _Site) -> bool:
        """Whether `site` is below this one, whose host begins with a wildcard."""
        return (
            self.scheme == site.scheme
            and self.port == site.port
            and site.host.endswith(self.host.removeprefix(_WILDCARD[0]))
        )


class Origins:
    """The sites that may connect besides the one that the client takes this server for.

    Arguments:
        allowed: sites such as ``https://game.example``, ``https://*.game.example`` for every host below that one,
            ``capacitor://localhost`` or ``file://`` for the pages of applications, `NULL`, or `ANY`.

    Raises:
        ConfigurationError: one of them can match no Origin that a browser sends.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        texts = {text.strip().lower() for text in allowed}
        sites = {_configured(text) for text in texts - {ANY, NULL}}
        self._any = ANY in texts
        self._null = NULL in texts
        self._wildcards = tuple(site for site in sites if site.host.startswith(_WILDCARD))
        self._exact = frozenset(sites.difference(self._wildcards))

    def check(self, origin: str | None, host: str | None) -> None:
        """Decide about a handshake.

        Arguments:
            origin, host: those header fields.

        Raises:
            Forbidden: a page of that site may not connect.
        """
        if origin is None or self._any:
            return
        text = origin.strip().lower()
        if text == NULL:
            if not self._null:
                raise Forbidden("Pages without a site may not connect here.", details={"origin": NULL})
            return
        site = _parsed(text)
        if site is None or site.host.startswith(_WILDCARD):
            raise Forbidden("The Origin header names no site.")
        if not (site in self._exact or any(each.covers(site) for each in self._wildcards) or _same(site, host)):
            raise Forbidden("Pages of this site may not connect here.", details={"origin": str(site)})


def _parsed(text: str) -> _Site | None:
    """The parts of an origin in lower case; None for what is none, and for a host that is only written like one."""
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
    """A site as the option names it: a slash may follow it, and its host may be written in any script."""
    site = _parsed(text.removesuffix("/") if text.count("/") == 3 else text)
    if site is None:
        raise ConfigurationError(
            f"--origin {text}: expected a scheme, a host and perhaps a port, such as https://game.example,"
            " https://*.game.example or http://localhost:3000; or null, file:// or *"
        )
    if site.scheme in ("ws", "wss"):
        raise ConfigurationError(
            f"--origin {text}: a page's site is http or https, whatever its WebSockets are: write http{text[2:]}"
        )
    wildcard = _WILDCARD if site.host.startswith(_WILDCARD) else ""
    host = site.host.removeprefix(wildcard)
    if not host.isascii():
        try:
            host = idna.encode(host, uts46=True).decode()
        except idna.IDNAError as error:
            raise ConfigurationError(f"--origin {text}: {host} is no host name: {error}") from None
    if wildcard and "." not in host and host != "localhost":
        raise ConfigurationError(
            f"--origin {text}: this stands for everybody's sites; name one, https://*.game.example"
        )
    return site._replace(host=wildcard + host)


def _same(site: _Site, host: str | None) -> bool:
    """Whether the page came from this server. Not by scheme: a proxy may have ended TLS."""
    try:
        here = urlsplit(f"//{(host or '').lower()}")
        default = _PORTS.get(site.scheme)
        return here.hostname is not None and (site.host.strip("[]"), site.port) == (here.hostname, here.port or default)
    except ValueError:
        return False
