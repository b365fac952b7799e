"""The client's token: its expiry and its renewal."""

from __future__ import annotations

import binascii
import codecs
import re
from base64 import urlsafe_b64decode
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from twisted.internet.defer import Deferred

from craftnet.client.core.endings import Ending, EndingKind
from craftnet.contract.messages import MALFORMED
from craftnet.errors import ConfigurationError

RENEWAL_MARGIN = 30.0
"""Seconds before expiry at which a token is renewed; a quarter of its lifetime if that is less."""

RENEWAL_RETRY = 5.0
"""Seconds before asking again for a fresh token after a failure."""

Renew = Callable[[], "str | Deferred[str]"]
"""Returns a fresh token. May be called at any time; may raise, or return the old token while there is no newer one."""

# RFC 6750 section 2.1.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


class _ExpiryClaims(Struct):
    exp: float | None = None


def expiry(token: str) -> float | None:
    """The `exp` of a JWT, Unix seconds; None when it is missing or the token is no JWT. Reads nothing else of it."""
    try:
        payload = urlsafe_b64decode(token.split(".")[1] + "==")
        return msgspec.json.decode(payload, type=_ExpiryClaims).exp
    except (*MALFORMED, IndexError, ValueError, binascii.Error):
        return None


def checked(text: str) -> str:
    """The token in a text, without surrounding whitespace.

    Raises:
        ConfigurationError: the text cannot be a token.
    """
    token = text.strip()
    if not token:
        raise ConfigurationError("it is empty")
    if _BEARER.fullmatch(token) is None:
        raise ConfigurationError("a token consists of letters, digits and ._~+/- only; give the token alone")
    return token


def from_file(path: str) -> Credentials:
    """Credentials from a file, which is read again whenever a fresh token is needed.

    Raises:
        ConfigurationError: the file cannot be read or holds no token.
    """

    def read() -> str:
        try:
            content = Path(path).read_bytes()
            if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                encoding = "UTF-8" if content.startswith(codecs.BOM_UTF8) else "UTF-16"
                raise ConfigurationError(f"it is {encoding} with a byte order mark; save it as plain ASCII text")
            if b"\0" in content:
                raise ConfigurationError("it contains null characters, as UTF-16 does; save it as plain ASCII text")
            return checked(content.decode("ascii"))
        except UnicodeDecodeError:
            raise ConfigurationError(f"no token in {path}: it is not ASCII text, as a token is") from None
        except (OSError, ConfigurationError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(f"no token in {path}: {reason}") from None

    return Credentials(read(), read)


class Credentials:
    """A token and the source of the next one.

    Arguments:
        token: a bearer token.
        renew: returns a fresh one; None when there is no source.
    """

    def __init__(self, token: str, renew: Renew | None = None) -> None:
        self._token = token
        self._renew = renew
        self._refused = False
        self._due: float | None = None
        self._looked_at = ""

    def due(self, now: float) -> float | None:
        """When to renew the token, Unix seconds as `now`; None when never, or when there is no source."""
        if self._renew is None:
            return None
        if self._looked_at != self._token:
            expires = expiry(self._token)
            self._due = None if expires is None else expires - max(0.0, min(RENEWAL_MARGIN, (expires - now) / 4))
            self._looked_at = self._token
        return self._due

    async def current(self, now: float) -> str:
        """The token to use: a fresh one when the present one is about to expire or was refused.

        Raises:
            Exception: as raised by `renew`.
        """
        due = self.due(now)
        if self._renew is not None and (self._refused or (due is not None and due <= now)):
            await self.renewed()
        return self._token

    async def renewed(self) -> str:
        """Asks for a fresh token; returns it, or the old one when there is none yet.

        Raises:
            Exception: as raised by `renew`.
        """
        if self._renew is not None:
            answer = self._renew()
            token = await answer if isinstance(answer, Deferred) else answer
            self._refused = self._refused and token == self._token
            self._token = token
        return self._token

    def after(self, ending: Ending) -> Ending:
        """The meaning of an ending when a fresh token is available: a stale token becomes a reason to retry."""
        if not ending.stale or self._renew is None:
            return ending
        self._refused = True
        return replace(ending, kind=EndingKind.LOST, try_another_transport=False)


def credentials(token: str | Credentials) -> Credentials:
    """Credentials from a token alone, or unchanged."""
    return token if isinstance(token, Credentials) else Credentials(token)
