"""What the tests of tokens share: keys, unsigned tokens, and an authority that checks tokens."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.access.jwt import JwtVerifier
from craftnet.access.principal import Principal
from craftnet.access.verification_keys import (
    IKeySource,
    VerificationKey,
    key_from_pem,
    keys_from_jwks,
    select_key,
)
from craftnet.errors import Unauthorized, Unavailable
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW
from craftnet.tests.support.signing import claims, ec_key, ed_key, jwk, jwks, public_pem, rsa_key, sign

SECRET = b"0123456789abcdef0123456789abcdef"
KEYS = jwks(jwk(rsa_key(), "r"), jwk(ec_key(), "e"), jwk(ed_key(), "d"))


class _ConstantKeys:
    """The common part of the key sources below."""

    def known(self) -> Sequence[VerificationKey]:
        return ()

    def problem(self) -> str:
        return ""

    def reload(self) -> bool:
        return False


@implementer(IKeySource)
class SetOfKeys(_ConstantKeys):
    """Constant keys. Records the lookups."""

    def __init__(self, document: bytes) -> None:
        self.keys = keys_from_jwks(document)
        self.asked: list[tuple[str | None, str]] = []

    def find(self, key_id: str | None, algorithm: str) -> Deferred[VerificationKey | None]:
        self.asked.append((key_id, algorithm))
        return succeed(select_key(self.keys, key_id, algorithm))


@implementer(IKeySource)
class NoKeys(_ConstantKeys):
    """Cannot have its keys right now."""

    def find(self, key_id: str | None, algorithm: str) -> Deferred[VerificationKey | None]:
        return fail(Unavailable("The keys cannot be had."))


@implementer(IKeySource)
class CarelessKeys(_ConstantKeys):
    """Has one key for everything, against its interface."""

    def find(self, key_id: str | None, algorithm: str) -> Deferred[VerificationKey | None]:
        return succeed(key_from_pem(public_pem(rsa_key())))


def unsigned(header: object, payload: object, signature: bytes = b"") -> str:
    """A token of these parts, whatever they are."""
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    return ".".join(urlsafe_b64encode(part).rstrip(b"=").decode() for part in (*parts, signature))


class AuthorityTestCase(SynchronousTestCase):
    """Has an authority with one key of each kind, at `NOW`."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.keys = SetOfKeys(KEYS)
        self.authority = JwtVerifier(self.keys, self.clock)

    def accepted(self, token: str) -> Principal:
        principal: Principal = self.successResultOf(self.authority.authenticate(token))
        return principal

    def refused(self, token: Any, reason: str) -> None:
        """It is refused for `reason`, without being repeated."""
        error = self.failureResultOf(self.authority.authenticate(token), Unauthorized).value
        self.assertIn(reason, error.message)
        self.assertEqual(error.headers["WWW-Authenticate"], 'Bearer realm="craftnet", error="invalid_token"')
        # Texts that always appear may happen to contain a short one.
        if isinstance(token, str) and len(token) > 8 and token not in error.headers["WWW-Authenticate"]:
            self.assertNotIn(token, f"{error!r} {error.message} {error.details} {error.headers}")

    def say(self, **others: Any) -> str:
        """A token whose signature holds."""
        return sign(ec_key(), "ES256", "e", claims(**others))
