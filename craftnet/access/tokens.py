"""Bearer tokens that are signed JWTs (RFC 7519): whether one holds, and for whom."""

from __future__ import annotations

from collections.abc import Generator

import jwt
import msgspec
from msgspec import Struct
from twisted.internet.defer import Deferred, inlineCallbacks
from zope.interface import implementer

from craftnet.access.keys import IKeySource, VerificationKey
from craftnet.access.principal import Principal
from craftnet.clocks import IClock, moment
from craftnet.errors import Unauthorized
from craftnet.identifiers import uuid_or_none
from craftnet.interfaces import IAuthority
from craftnet.messages import MALFORMED

ALGORITHMS = ("RS256", "ES256", "EdDSA", "HS256")
"""Every `alg` that any key may have. Which of them a token may have is up to the keys: see `craftnet.access.keys`."""

MAX_TOKEN = 8192
"""Characters. Nothing longer is decoded."""

LEEWAY = 10.0
"""Seconds by which the issuer's clock may be ahead of ours."""

_signatures = jwt.PyJWS(algorithms=ALGORITHMS)


class _Claims(Struct, frozen=True):
    exp: float
    nbf: float | None = None
    iat: float | None = None
    sub: str | None = None
    scope: str | list[str] = ""
    jti: str | None = None
    aud: str | list[str] | None = None
    iss: str | None = None


_NO_SCOPES = frozenset[str]()  # of most tokens: they share it.

_claims_decoder = msgspec.json.Decoder(_Claims)


@implementer(IAuthority)
class JwtAuthority:
    """Believes a token that is signed with one of its keys, has not expired, and is meant for this service.

    Arguments:
        keys: an `IKeySource`.
        clock: the token's times are compared with its wall clock.
        audience: what must be among the token's `aud`; None: not checked.
        issuer: what the token's `iss` must be; None: not checked.
    """

    def __init__(
        self, keys: IKeySource, clock: IClock, *, audience: str | None = None, issuer: str | None = None
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._audience = audience
        self._issuer = issuer

    @inlineCallbacks
    def authenticate(
        self, token: str
    ) -> Generator[Deferred[VerificationKey | None], VerificationKey | None, Principal]:
        """See `IAuthority`."""
        key_id, algorithm = _header(token)
        key = yield self._keys.find(key_id, algorithm)
        if key is None:
            raise _invalid("The token is not signed with a key that is known.")
        claims = _verified(token, key)
        now = moment(self._clock)
        _check_times(claims, now.wall)
        self._check_parties(claims)
        player_id = None if claims.sub is None else uuid_or_none(claims.sub)
        return Principal(player_id, _scopes(claims.scope), now.deadline(claims.exp), claims.jti, claims.iat)

    def _check_parties(self, claims: _Claims) -> None:
        audiences = [claims.aud] if isinstance(claims.aud, str) else claims.aud or []
        if self._audience is not None and self._audience not in audiences:
            raise _invalid("The token is for another audience.")
        if self._issuer is not None and self._issuer != claims.iss:
            raise _invalid("The token is from another issuer.")


def _scopes(scope: str | list[str]) -> frozenset[str]:
    """The scopes of a claim: words of a text (RFC 8693 section 4.2), or the array that some issuers make of them."""
    return frozenset(scope.split() if isinstance(scope, str) else scope) or _NO_SCOPES


def _check_times(claims: _Claims, now: float) -> None:
    if claims.exp <= now:
        raise _invalid("The token has expired.")
    if max(claims.nbf or 0.0, claims.iat or 0.0) > now + LEEWAY:
        raise _invalid("The token is not valid yet.")


def _invalid(message: str) -> Unauthorized:
    return Unauthorized(message, problem="invalid_token")


def _header(token: str) -> tuple[str | None, str]:
    """The token's `kid` and `alg`. Nothing of it is believed yet: it selects a key."""
    if not isinstance(token, str) or not token.isascii():
        raise _invalid("The token is not a JWT.")
    if len(token) > MAX_TOKEN:
        raise _invalid(f"The token is longer than {MAX_TOKEN} characters.")
    try:
        header = _signatures.get_unverified_header(token)
    except jwt.PyJWTError:
        raise _invalid("The token is not a JWT.") from None
    algorithm = header.get("alg")
    if algorithm not in ALGORITHMS:
        raise _invalid("The token's algorithm is not accepted.")
    return header.get("kid"), algorithm


def _verified(token: str, key: VerificationKey) -> _Claims:
    """The claims, once the signature holds. The algorithm is the key's, whatever the token says."""
    try:
        payload = _signatures.decode(token, key.material, algorithms=[key.algorithm])
    except jwt.PyJWTError:
        raise _invalid("The token's signature does not hold.") from None
    try:
        return _claims_decoder.decode(payload)
    except MALFORMED as error:
        raise _invalid(f"The token's claims are wrong: {error}.") from None
