"""Builds the verification of tokens from `--auth`.

    jwt:jwks=FILE-or-URL          the login service's key set, reloaded when it changes
    jwt:key=FILE                  one public key, PEM
    …:aud=AUDIENCE:iss=ISSUER     the required audience and issuer
    jwt:jwks=…:kid=optional       a token that names a key may use the set's only key if that has no name

The syntax is that of `craftnet.runtime.component_spec`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from treq.client import HTTPClient
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import Agent

from craftnet.access.development import SECRET_VARIABLE, key_source, random_secret, secret_from
from craftnet.access.jwks import FETCH_TIMEOUT, JwksFile, JwksUrl, without_query
from craftnet.access.jwt import JwtVerifier
from craftnet.access.verification_keys import IKeySource, SingleKey, VerificationKey, key_from_pem
from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.runtime.component_spec import parse_component_spec

USAGE = "jwt:jwks=FILE-or-URL or jwt:key=FILE, optionally followed by :aud=AUDIENCE, :iss=ISSUER or :kid=optional"
"""The syntax of `--auth`, for people."""

_SCHEME = "jwt"
_NAMES = ("jwks", "key", "aud", "iss", "kid")
_URL = re.compile(r"[a-z][a-z0-9+.\-]*://", re.IGNORECASE)

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class AuthSetup:
    """How callers authenticate.

    Attributes:
        authority: verifies their tokens.
        description: one line about it for the operator, without secrets.
        secret: signs development tokens; None unless they are in use.
        keys: the keys that --auth names, to be read again; None for development tokens.
        loopback_only: whether this may be served on loopback addresses only; `reason` says why.
    """

    authority: JwtVerifier
    description: str
    secret: bytes | None = field(default=None, repr=False)
    loopback_only: bool = False
    reason: str = ""
    keys: IKeySource | None = None


def access_from_option(text: str | None, environ: Mapping[str, str], reactor: IClock) -> AuthSetup:
    """The access that the option, or its absence, configures.

    Arguments:
        text: the value of `--auth`; None when it is not given. With it, a secret in the environment is ignored.
        environ: the environment; see `craftnet.access.development.SECRET_VARIABLE`.
        reactor: the clock and, for a URL, the connector.

    Raises:
        ConfigurationError: the option, the secret or a named file is invalid.
    """
    if text is None:
        return _development(environ, reactor)
    arguments = _parse(text)
    keys, described = _keys(arguments, reactor)
    audience, issuer = arguments.get("aud"), arguments.get("iss")
    if audience is not None:
        described += f", for the audience {audience}"
    if issuer is not None:
        described += f", from the issuer {issuer}"
    return AuthSetup(JwtVerifier(keys, reactor, audience=audience, issuer=issuer), described, keys=keys)


def _development(environ: Mapping[str, str], reactor: IClock) -> AuthSetup:
    secret = secret_from(environ)
    if secret is not None:
        authority = JwtVerifier(key_source(secret), reactor)
        return AuthSetup(authority, f"development tokens, signed with the secret in {SECRET_VARIABLE}", secret)
    secret = random_secret()
    return AuthSetup(
        JwtVerifier(key_source(secret), reactor),
        "development tokens, signed with a secret generated for this run",
        secret,
        loopback_only=True,
        reason=f"without --auth or {SECRET_VARIABLE}, anyone who sees the start-up text can act as any player",
    )


def _parse(text: str) -> Mapping[str, str]:
    """The arguments after the scheme."""
    try:
        spec = parse_component_spec(text)
    except ConfigurationError as error:
        raise ConfigurationError(f"--auth: {error}. It takes {USAGE}") from None
    if spec.name != _SCHEME:
        raise ConfigurationError(f"--auth does not start with {_SCHEME}:. It takes {USAGE}")
    for name, value in spec.arguments.items():
        if not value:
            raise ConfigurationError(f"--auth has an empty {name}=")
        if name not in _NAMES:
            raise ConfigurationError(
                f"--auth has no argument {name!r}. It takes {USAGE}. Write a colon before name= within a value as '\\:'"
            )
    if spec.arguments.get("kid", "optional") != "optional":
        raise ConfigurationError("--auth takes kid=optional, or no kid= at all")
    return spec.arguments


def _keys(arguments: Mapping[str, str], reactor: IReactorTime) -> tuple[IKeySource, str]:
    unnamed = "kid" in arguments
    match arguments.get("jwks"), arguments.get("key"):
        case None, None:
            raise ConfigurationError(f"--auth names no key. It takes {USAGE}")
        case None, str(path):

            def read() -> VerificationKey:
                return _from_file(path, lambda: key_from_pem(Path(path).read_bytes()))

            key = read()
            return SingleKey(key, read), f"{key.algorithm} tokens, verified with the key {path}"
        case str(place), None if _URL.match(place):
            client = HTTPClient(Agent(reactor, connectTimeout=FETCH_TIMEOUT))
            return JwksUrl(_url(place), client, reactor, unnamed=unnamed), (
                f"tokens verified with the key set at {without_query(place)}"
            )
        case str(path), None:
            keys = _from_file(path, lambda: JwksFile(Path(path), reactor, unnamed=unnamed))
            return keys, f"tokens verified with the key set {path}"
        case _:
            raise ConfigurationError("--auth names both jwks= and key=; choose one")


def _from_file(path: str, read: Callable[[], _T]) -> _T:
    try:
        return read()
    except OSError as error:
        raise ConfigurationError(f"--auth names {path}, but it cannot be read: {error.strerror}") from None
    except (ConfigurationError, ValueError) as error:  # ValueError: a path with a NUL.
        raise ConfigurationError(f"--auth names {path}, but {error}") from None


def _url(text: str) -> str:
    """The URL, if it can be fetched.

    Raises:
        ConfigurationError: it cannot, or it contains a password, which would end up in logs.
    """
    try:
        parts = urlsplit(text)
        fine = parts.hostname is not None and parts.port != 0
    except ValueError:
        fine = False
    if not fine or not text.isascii() or not text.isprintable() or " " in text:
        raise ConfigurationError("--auth has a malformed jwks= URL")
    if parts.scheme not in ("http", "https"):
        raise ConfigurationError(f"--auth has a jwks= URL with the scheme {parts.scheme}; use http or https, or a file")
    if parts.username is not None or parts.fragment:
        raise ConfigurationError("--auth has a jwks= URL with a user name or a fragment, which is not allowed")
    return text
