"""Which web sites' pages may connect (RFC 6455 section 10.2, RFC 6454). Pure.

A browser names the site of the page in the Origin header, which the page cannot change. Other programs send none, and
are let through: the token is what keeps them out.
"""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from craftnet.errors import ConfigurationError, Forbidden

ANY = "*"
"""Stands for every site."""

_PORTS = {"http": 80, "https": 443}


class Origins:
    """The sites that may connect besides the one that the client takes this server for.

    Arguments:
        allowed: such as ``https://game.example``; `ANY` for all, ``null`` for pages without a site.

    Raises:
        ConfigurationError: one of them is none.
    """

    def __init__(self, allowed: Iterable[str] = ()) -> None:
        self._allowed = frozenset(_normal(origin) for origin in allowed)

    def check(self, origin: str | None, host: str | None) -> None:
        """Decide about a handshake.

        Arguments:
            origin, host: those header fields.

        Raises:
            Forbidden: a page of that site may not connect.
        """
        if origin is None or ANY in self._allowed:
            return
        try:
            normal = _normal(origin)
        except ConfigurationError:
            raise Forbidden("The Origin header names no site.") from None
        if normal not in self._allowed and not _same(origin, host):
            raise Forbidden("Pages of this site may not connect here.", details={"origin": normal})


def _normal(origin: str) -> str:
    """The origin as browsers write it: lower case, without the port that goes without saying, without a path."""
    text = origin.strip().lower()
    if text in (ANY, "null"):
        return text
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.scheme or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise ConfigurationError(
            f"--origin {origin}: it takes a scheme, a host and perhaps a port, https://game.example"
        )
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}" + ("" if port in (None, _PORTS.get(parts.scheme)) else f":{port}")


def _same(origin: str, host: str | None) -> bool:
    """Whether the page came from this server. Not by scheme: a proxy may have ended TLS."""
    page = urlsplit(origin.strip().lower())
    default = _PORTS.get(page.scheme)
    try:
        here = urlsplit(f"//{(host or '').lower()}")
        return here.hostname is not None and (page.hostname, page.port or default) == (
            here.hostname,
            here.port or default,
        )
    except ValueError:
        return False
