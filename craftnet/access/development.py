"""Development tokens: signed with a shared secret (HS256) instead of the login service's key."""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping
from uuid import UUID, uuid4

import jwt

from craftnet.access.verification_keys import SingleKey, VerificationKey
from craftnet.errors import ConfigurationError

SECRET_VARIABLE = "CRAFTNET_JWT_SECRET"
"""The environment variable with the secret."""

MINIMUM_SECRET = 32
"""Octets: the length of the hash (RFC 7518 section 3.2)."""

ALGORITHM = "HS256"


def secret_from(environ: Mapping[str, str]) -> bytes | None:
    """The secret in the environment; None when there is none.

    Raises:
        ConfigurationError: it is unusable.
    """
    text = environ.get(SECRET_VARIABLE, "")
    if not text:
        return None
    secret = text.encode("utf-8", "surrogateescape")
    if len(secret) < MINIMUM_SECRET:
        raise ConfigurationError(f"{SECRET_VARIABLE} is too short: it needs at least {MINIMUM_SECRET} bytes")
    try:
        sign_token(secret, None, (), ttl=1.0, now=0.0)
    except jwt.InvalidKeyError:
        raise ConfigurationError(f"{SECRET_VARIABLE} contains a key file; it takes random text") from None
    return secret


def random_secret() -> bytes:
    """A secret for the lifetime of the process."""
    return secrets.token_bytes(MINIMUM_SECRET)


def key_source(secret: bytes) -> SingleKey:
    """The key source that verifies what `sign_token` signs with this secret."""
    return SingleKey(VerificationKey(ALGORITHM, secret))


def sign_token(secret: bytes, player_id: UUID | None, scopes: Iterable[str], ttl: float, now: float) -> str:
    """A development token.

    Arguments:
        player_id: the player; None for a service.
        scopes: see `craftnet.access.principal`.
        ttl: lifetime in seconds, rounded up.
        now: Unix seconds.
    """
    claims: dict[str, object] = {"iat": int(now), "exp": math.ceil(now + ttl), "jti": str(uuid4())}
    if player_id is not None:
        claims["sub"] = str(player_id)
    if scope := " ".join(scopes):
        claims["scope"] = scope
    return jwt.encode(claims, secret, ALGORITHM)
