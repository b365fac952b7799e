"""The token that a client shows, how long it holds, and where a fresh one comes from."""

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

from craftnet.client.endings import Ending, Kind
from craftnet.errors import ConfigurationError
from craftnet.messages import MALFORMED

MARGIN = 30.0
"""Seconds before its end that a token is renewed; a quarter of its life if that is less."""

RETRY = 5.0
"""Seconds after which a fresh token is asked for again, when none was to be had."""

Renew = Callable[[], "str | Deferred[str]"]
"""Answers a fresh token. May be called at any time; may raise, or answer the old one while there is no other."""

# RFC 6750 section 2.1.
_BEARER = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


class _Claims(Struct):
    exp: float | None = None


def expiry(token: str) -> float | None:
    """When a JWT ends, Unix seconds; None when it does not say so, or is none. Nothing else of it is looked at."""
    try:
        payload = urlsafe_b64decode(token.split(".")[1] + "==")
        return msgspec.json.decode(payload, type=_Claims).exp
    except (*MALFORMED, IndexError, ValueError, binascii.Error):
        return None


def checked(text: str) -> str:
    """The token in a text, which may have space around it.

    Raises:
        ConfigurationError: it cannot be one.
    """
    token = text.strip()
    if not token:
        raise ConfigurationError("it is empty")
    if _BEARER.fullmatch(token) is None:
        raise ConfigurationError("a token has only letters, digits and ._~+/- in it; give the token alone")
    return token


def from_file(path: str) -> Credentials:
    """The token in a file, which is read again when a fresh one is needed.

    Raises:
        ConfigurationError: it cannot be read, or holds no token.
    """

    def read() -> str:
        try:
            content = Path(path).read_bytes()
            if content.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                encoding = "UTF-8" if content.startswith(codecs.BOM_UTF8) else "UTF-16"
                raise ConfigurationError(f"it is {encoding} with a byte order mark; save it as plain ASCII text")
            if b"\0" in content:
                raise ConfigurationError("it holds null characters, as UTF-16 does; save it as plain ASCII text")
            return checked(content.decode("ascii"))
        except UnicodeDecodeError:
            raise ConfigurationError(f"no token in {path}: it is not ASCII text, as a token is") from None
        except (OSError, ConfigurationError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise ConfigurationError(f"no token in {path}: {reason}") from None

    return Credentials(read(), read)


class Credentials:
    """A token, and the way to the next one.

    Arguments:
        token: a bearer token.
        renew: answers a fresh one; None when there is no way.
    """

    def __init__(self, token: str, renew: Renew | None = None) -> None:
        self._token = token
        self._renew = renew
        self._refused = False
        self._due: float | None = None
        self._looked_at = ""

    def due(self, now: float) -> float | None:
        """When it should be renewed, Unix seconds as `now`; None if never, or if there is no way."""
        if self._renew is None:
            return None
        if self._looked_at != self._token:
            expires = expiry(self._token)
            self._due = None if expires is None else expires - max(0.0, min(MARGIN, (expires - now) / 4))
            self._looked_at = self._token
        return self._due

    async def current(self, now: float) -> str:
        """A token to show: a fresh one if the one at hand is at its end, or was refused.

        Raises:
            Exception: what `renew` fails with.
        """
        due = self.due(now)
        if self._renew is not None and (self._refused or (due is not None and due <= now)):
            await self.renewed()
        return self._token

    async def renewed(self) -> str:
        """Ask for a fresh token; answers it, or the old one when there is none yet.

        Raises:
            Exception: what `renew` fails with.
        """
        if self._renew is not None:
            answer = self._renew()
            token = await answer if isinstance(answer, Deferred) else answer
            self._refused = self._refused and token == self._token
            self._token = token
        return self._token

    def after(self, ending: Ending) -> Ending:
        """What an ending means when a fresh token can be had: if the token was to blame, try again with another."""
        if not ending.stale or self._renew is None:
            return ending
        self._refused = True
        return replace(ending, kind=Kind.LOST, elsewhere=False)


def credentials(token: str | Credentials) -> Credentials:
    """Those of somebody who may have nothing but a token."""
    return token if isinstance(token, Credentials) else Credentials(token)
