"""Development tokens."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import (
    MINIMUM_SECRET,
    SECRET_VARIABLE,
    key_source,
    random_secret,
    secret_from,
    sign_token,
)
from craftnet.access.jwt import JwtVerifier
from craftnet.access.principal import ADMIN, PUBLISH, Principal
from craftnet.errors import ConfigurationError, Unauthorized
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER
from craftnet.tests.support.signing import public_pem, rsa_key


class SecretTests(SynchronousTestCase):
    """Where the secret comes from."""

    def test_environment(self) -> None:
        self.assertEqual(secret_from({SECRET_VARIABLE: "ä" * 16}), ("ä" * 16).encode())

    def test_none(self) -> None:
        self.assertIsNone(secret_from({}))
        self.assertIsNone(secret_from({SECRET_VARIABLE: ""}))

    def test_not_usable(self) -> None:
        """Too short, or a public key by mistake; the text does not repeat it."""
        for text, reason in (("hush" * 7, "too short"), (public_pem(rsa_key()).decode(), "key file")):
            error = self.assertRaises(ConfigurationError, secret_from, {SECRET_VARIABLE: text})
            self.assertIn(reason, str(error))
            self.assertNotIn(text[:20], str(error))

    def test_random(self) -> None:
        self.assertEqual(len(random_secret()), MINIMUM_SECRET)
        self.assertNotEqual(random_secret(), random_secret())


class MintTests(SynchronousTestCase):
    """A minted token is valid, for its lifetime."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.secret = random_secret()
        self.authority = JwtVerifier(key_source(self.secret), self.clock)

    def principal(self, token: str) -> Principal:
        found: Principal = self.successResultOf(self.authority.authenticate(token))
        return found

    def test_player(self) -> None:
        principal = self.principal(sign_token(self.secret, PLAYER, (), 60, NOW))
        self.assertEqual((principal.player_id, principal.scopes, principal.expires), (PLAYER, frozenset(), NOW + 60))

    def test_service(self) -> None:
        principal = self.principal(sign_token(self.secret, None, [PUBLISH, ADMIN], 0.5, NOW + 0.25))
        self.assertEqual(
            (principal.player_id, principal.scopes, principal.expires), (None, frozenset({PUBLISH, ADMIN}), NOW + 1)
        )

    def test_ids_differ(self) -> None:
        first, second = (self.principal(sign_token(self.secret, PLAYER, (), 60, NOW)).token_id for _ in range(2))
        self.assertIsNotNone(first)
        self.assertNotEqual(first, second)

    def test_expiry(self) -> None:
        token = sign_token(self.secret, PLAYER, (), 60, NOW)
        self.clock.advance(60)
        self.failureResultOf(self.authority.authenticate(token), Unauthorized)

    def test_another_secret(self) -> None:
        token = sign_token(random_secret(), PLAYER, (), 60, NOW)
        self.failureResultOf(self.authority.authenticate(token), Unauthorized)
