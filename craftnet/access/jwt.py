"""Verifies bearer tokens that are signed JWTs (RFC 7519)."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Any, NamedTuple
from uuid import UUID

import jwt
import msgspec
from msgspec import UNSET, Struct, UnsetType
from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from craftnet.access.principal import ADMIN, OPERATE, PUBLISH, Principal
from craftnet.access.verification_keys import IKeySource, VerificationKey
from craftnet.clocks import IClock, moment
from craftnet.contract.identifiers import uuid_or_none
from craftnet.contract.messages import MALFORMED
from craftnet.errors import Unauthorized
from craftnet.interfaces import ITokenVerifier

ALGORITHMS = ("RS256", "ES256", "EdDSA", "HS256")
"""Every `alg` that any key may have. The keys decide which one a token may use: see
`craftnet.access.verification_keys`.
"""

MAX_TOKEN_LENGTH = 8192
"""Characters. Longer tokens are not decoded."""

CLOCK_LEEWAY = 10.0
"""Seconds by which the issuer's clock may be ahead of ours."""

KEPT_TOKENS = 64
"""Verified tokens of authorities that are kept."""

_VERIFIERS = {name: jwt.get_algorithm_by_name(name) for name in ALGORITHMS}


class JwtClaims(Struct, frozen=True):
    """The claims that count (RFC 7519 section 4.1, RFC 8693 section 4.2); others are ignored."""

    exp: float
    nbf: float | None = None
    iat: float | None = None
    sub: str | None = None
    scope: str | list[str] = ""
    jti: str | None = None
    aud: str | list[str] | None = None
    iss: str | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes: the words of a text (RFC 8693 section 4.2), or an array, as some issuers write it."""
        scope = self.scope
        return frozenset(scope.split() if isinstance(scope, str) else scope) or _NO_SCOPES

    @property
    def audiences(self) -> list[str]:
        """The services that the token is for."""
        return [self.aud] if isinstance(self.aud, str) else self.aud or []

    @property
    def starts(self) -> float:
        """The later one of `nbf` and `iat`, Unix seconds; 0 without both."""
        return max(self.nbf or 0.0, self.iat or 0.0)


class _Header(Struct, frozen=True):
    alg: Any = None
    kid: str | UnsetType = UNSET
    crit: Any = UNSET
    b64: Any = UNSET


_TO_STANDARD = bytes.maketrans(b"-_+/", b"+/  ")
"""From the alphabet of base64url to that of base64, whose own characters become invalid ones."""

_OPERATORS = frozenset({ADMIN, OPERATE})
_NO_SCOPES = frozenset[str]()  # shared by most tokens.

_header_decoder = msgspec.json.Decoder(_Header)
_claims_decoder = msgspec.json.Decoder(JwtClaims)


class _VerifiedToken(NamedTuple):
    """A token whose signature is valid under `key`."""

    parts: TokenParts
    key: VerificationKey
    claims: JwtClaims
    scopes: frozenset[str]
    player_id: UUID | None


@implementer(ITokenVerifier)
class JwtVerifier:
    """Accepts a token that is signed with one of its keys, has not expired, and is meant for this service.

    A crafting authority sends the same token with every request, and its signature costs more than the rest of the
    check. So the parts and claims of such tokens are kept; key, times, audience and issuer are checked each time.

    Arguments:
        keys: an `IKeySource`.
        clock: its wall clock decides about the token's times.
        audience: must be among the token's `aud`; None: not checked.
        issuer: must be the token's `iss`; None: not checked.

    Attributes:
        keys, audience, issuer: as given.
    """

    def __init__(
        self, keys: IKeySource, clock: IClock, *, audience: str | None = None, issuer: str | None = None
    ) -> None:
        self.keys = keys
        self._clock = clock
        self.audience = audience
        self.issuer = issuer
        self._kept: dict[str, _VerifiedToken] = {}

    def authenticate(self, token: str) -> Deferred[Principal]:
        """See `ITokenVerifier`."""
        kept = self._kept.get(token) if isinstance(token, str) else None
        try:
            parts = take_apart(token) if kept is None else kept.parts
        except Unauthorized:
            return fail()
        return self.keys.find(parts.key_id, parts.algorithm).addCallback(self._verify, token, parts, kept)

    def _verify(
        self, key: VerificationKey | None, token: str, parts: TokenParts, kept: _VerifiedToken | None
    ) -> Principal:
        if key is None:
            raise _invalid("The token is not signed with a known key.")
        if kept is None or kept.key is not key:
            kept = _verified(parts, key)
            if PUBLISH in kept.scopes:
                self._keep(token, kept)
        claims, scopes, now = kept.claims, kept.scopes, moment(self._clock)
        _check_times(claims, now.wall)
        self._check_parties(claims)
        subject = None if scopes.isdisjoint(_OPERATORS) else claims.sub  # only the audit log needs it.
        return Principal(kept.player_id, scopes, now.deadline(claims.exp), claims.jti, claims.iat, subject)

    def _keep(self, token: str, verified: _VerifiedToken) -> None:
        if len(self._kept) >= KEPT_TOKENS:
            self._kept.clear()
        self._kept[token] = verified

    def _check_parties(self, claims: JwtClaims) -> None:
        if self.audience is not None and self.audience not in claims.audiences:
            raise _invalid("The token is for another audience.")
        if self.issuer is not None and self.issuer != claims.iss:
            raise _invalid("The token is from another issuer.")


def _check_times(claims: JwtClaims, now: float) -> None:
    if claims.exp <= now:
        raise _invalid("The token has expired.")
    if claims.starts > now + CLOCK_LEEWAY:
        raise _invalid("The token is not valid yet.")


def _malformed() -> Unauthorized:
    return _invalid("The token is not a JWT.")


def _invalid(message: str) -> Unauthorized:
    return Unauthorized(message, problem="invalid_token")


class TokenParts(NamedTuple):
    """The parts of a compact JWS (RFC 7515 section 7.1), untrusted until its signature is verified.

    Attributes:
        key_id, algorithm: the `kid` and `alg` of its header, which select a key.
        signed: the signed octets.
    """

    key_id: str | None
    algorithm: str
    signed: bytes
    payload: bytes
    signature: bytes


def take_apart(token: str) -> TokenParts:
    """The parts of a token.

    Raises:
        Unauthorized: it is no JWT, or its algorithm is none of `ALGORITHMS`.
    """
    if not isinstance(token, str) or not token.isascii():
        raise _malformed()
    if len(token) > MAX_TOKEN_LENGTH:
        raise _invalid(f"The token is longer than {MAX_TOKEN_LENGTH} characters.")
    signed, _, signature = token.encode("ascii").rpartition(b".")
    try:
        header, payload = signed.split(b".")
        found = _header_decoder.decode(_decoded(header))
        parts = TokenParts(
            None if found.kid is UNSET else found.kid, found.alg, signed, _decoded(payload), _decoded(signature)
        )
    except (*MALFORMED, ValueError):
        raise _malformed() from None
    if found.crit is not UNSET or found.b64 is False:  # extensions (RFC 7515 section 4.1.11, RFC 7797): none is known.
        raise _malformed()
    if found.alg not in ALGORITHMS:
        raise _invalid("The token's algorithm is not accepted.")
    return parts


def _decoded(segment: bytes) -> bytes:
    """Decodes base64url in its canonical form (RFC 7515 section 2), or padded, as some issuers write it.

    Raises:
        ValueError: it is neither.
    """
    standard = segment.translate(_TO_STANDARD)
    octets = a2b_base64(standard + b"=" * (-len(segment) % 4))
    canonical = b2a_base64(octets, newline=False)
    if standard not in (canonical, canonical.rstrip(b"=")):  # the decoder ignores characters outside the alphabet.
        raise ValueError("not base64url")
    return octets


def is_signed_with(token: TokenParts, key: VerificationKey) -> bool:
    """Whether the signature is valid. The algorithm is the key's, whatever the token says."""
    return token.algorithm == key.algorithm and bool(
        _VERIFIERS[key.algorithm].verify(token.signed, key.material, token.signature)
    )


def claims_of(token: TokenParts) -> JwtClaims:
    """The claims, as trustworthy as the signature.

    Raises:
        Unauthorized: they are malformed.
    """
    try:
        return _claims_decoder.decode(token.payload)
    except MALFORMED as error:
        raise _invalid(f"The token's claims are invalid: {error}.") from None


def _verified(token: TokenParts, key: VerificationKey) -> _VerifiedToken:
    """The token, after verifying the signature."""
    if not is_signed_with(token, key):
        raise _invalid("The token's signature is invalid.")
    claims = claims_of(token)
    player_id = None if claims.sub is None else uuid_or_none(claims.sub)
    return _VerifiedToken(token, key, claims, claims.scopes, player_id)
