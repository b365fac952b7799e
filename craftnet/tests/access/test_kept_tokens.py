"""Tokens of crafting authorities: their signatures are verified once, everything else each time."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.jwt import KEPT_TOKENS, JwtVerifier
from craftnet.access.principal import PUBLISH, Principal
from craftnet.access.verification_keys import SingleKey, key_from_pem
from craftnet.errors import Unauthorized
from craftnet.tests.support.call_counts import counted
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW
from craftnet.tests.support.signing import claims, ec_key, public_pem, sign


def token_of(number: int = 0, **others: object) -> str:
    """A token signed with one of several keys."""
    return sign(ec_key(number), "ES256", payload=claims(**others))


class KeptTokenTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.authority = JwtVerifier(SingleKey(key_from_pem(public_pem(ec_key(0)))), self.clock)
        self.token = token_of(scope=PUBLISH)
        self.first = self.accepted(self.token)

    def accepted(self, token: str) -> Principal:
        principal: Principal = self.successResultOf(self.authority.authenticate(token))
        return principal

    def refused(self, token: str, reason: str) -> None:
        error = self.failureResultOf(self.authority.authenticate(token), Unauthorized).value
        self.assertIn(reason, error.message)

    def verifications(self, token: str) -> int:
        """How often the signature is verified while the token is checked."""
        with counted() as calls:
            self.accepted(token)
        return calls["craftnet.access.jwt.is_signed_with"]

    def test_signature_is_verified_once(self) -> None:
        self.assertEqual(self.verifications(self.token), 0)
        self.assertEqual(self.accepted(self.token), self.first)

    def test_players_tokens_are_not_kept(self) -> None:
        token = token_of()
        self.assertEqual([self.verifications(token) for _ in range(2)], [1, 1])

    def test_expiry(self) -> None:
        self.clock.advance(60.0)
        self.refused(self.token, "expired")

    def test_audience_and_issuer(self) -> None:
        self.authority.audience = "another"
        self.refused(self.token, "another audience")
        self.authority.audience, self.authority.issuer = None, "another"
        self.refused(self.token, "another issuer")

    def test_replaced_key(self) -> None:
        self.authority.keys = SingleKey(key_from_pem(public_pem(ec_key(1))))
        self.refused(self.token, "signature")

    def test_changed_signature(self) -> None:
        signed, _, _ = self.token.rpartition(".")
        self.refused(f"{signed}.{token_of(1, scope=PUBLISH).rpartition('.')[2]}", "signature")

    def test_number_is_bounded(self) -> None:
        for number in range(KEPT_TOKENS):
            self.accepted(token_of(scope=PUBLISH, jti=str(number)))
        self.assertEqual(self.verifications(self.token), 1)
