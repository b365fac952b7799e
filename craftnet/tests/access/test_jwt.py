"""Which tokens are valid, and what they contain."""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from zope.interface.verify import verifyObject

from craftnet.access.jwt import CLOCK_LEEWAY, JwtVerifier
from craftnet.access.principal import ADMIN, OPERATE, PUBLISH, Principal
from craftnet.access.verification_keys import (
    SingleKey,
    VerificationKey,
    key_from_pem,
)
from craftnet.errors import Unavailable
from craftnet.interfaces import ITokenVerifier
from craftnet.tests.support.jwt_case import SECRET, AuthorityTestCase, CarelessKeys, NoKeys, unsigned
from craftnet.tests.support.samples import NOW, PLAYER
from craftnet.tests.support.signing import claims, ec_key, ed_key, public_pem, rsa_key, sign


class SignatureTests(AuthorityTestCase):
    """Keys and algorithms."""

    def test_interface(self) -> None:
        verifyObject(ITokenVerifier, self.authority)

    def test_each_kind(self) -> None:
        for token in (sign(rsa_key(), "RS256", "r"), sign(ec_key(), "ES256", "e"), sign(ed_key(), "EdDSA", "d")):
            self.assertEqual(self.accepted(token).player_id, PLAYER)

    def test_without_key_id(self) -> None:
        self.assertEqual(self.accepted(sign(ec_key(), "ES256")).player_id, PLAYER)

    def test_forged(self) -> None:
        self.refused(sign(ec_key(1), "ES256", "e"), "signature")

    def test_changed(self) -> None:
        """Another payload under the same signature, a cut one, one of another kind."""
        header, payload, signature = sign(ec_key(), "ES256", "e").split(".")
        _, other, _ = sign(ec_key(), "ES256", "e", claims(scope=ADMIN)).split(".")
        self.refused(f"{header}.{other}.{signature}", "signature")
        self.refused(f"{header}.{payload}.", "signature")
        self.refused(f"{header}.{payload}.{signature[:40]}", "signature")

    def test_unknown_key_id(self) -> None:
        self.refused(sign(ec_key(), "ES256", "unknown"), "a known key")
        self.assertEqual(self.keys.asked, [("unknown", "ES256")])

    def test_key_of_another_kind(self) -> None:
        """The key it names exists, but is not for its algorithm."""
        self.refused(sign(ec_key(), "ES256", "r"), "a known key")

    def test_none(self) -> None:
        for name in ("none", "None", "NONE", "nOnE", ""):
            self.refused(unsigned({"alg": name, "kid": "e"}, claims()), "algorithm")
        self.assertEqual(self.keys.asked, [])

    def test_other_algorithms(self) -> None:
        """Even where the key would do."""
        for name in ("RS512", "PS256"):
            self.refused(sign(rsa_key(), name, "r"), "algorithm")

    def test_algorithm_of_another_type(self) -> None:
        for value in (None, 1, ["ES256"], {"ES256": 1}):
            self.refused(unsigned({"alg": value, "kid": "e"}, claims()), "algorithm")
        self.refused(unsigned({"kid": "e"}, claims()), "algorithm")

    def test_public_key_as_secret(self) -> None:
        """HS256 with public data of an RSA key."""
        for authority in (self.authority, JwtVerifier(SingleKey(key_from_pem(public_pem(rsa_key()))), self.clock)):
            self.authority = authority
            for secret in (public_pem(rsa_key()), public_pem(rsa_key()).strip()):
                for header in ({"alg": "HS256", "kid": "r"}, {"alg": "HS256"}):
                    token = unsigned(header, claims())
                    begun = token.rstrip(".")
                    mac = hmac.digest(secret, begun.encode(), hashlib.sha256)
                    self.refused(unsigned(header, claims(), mac), "a known key")

    def test_secret(self) -> None:
        """HS256 holds where, and only where, there is a secret."""
        self.refused(sign(SECRET, "HS256"), "a known key")
        self.authority = JwtVerifier(SingleKey(VerificationKey("HS256", SECRET)), self.clock)
        self.assertEqual(self.accepted(sign(SECRET, "HS256")).player_id, PLAYER)
        self.refused(sign(SECRET[::-1], "HS256"), "signature")
        self.refused(sign(ec_key(), "ES256", "e"), "a known key")

    def test_critical_extension(self) -> None:
        """RFC 7515 section 4.1.11: one that is not understood is a reason to refuse."""
        self.refused(unsigned({"alg": "ES256", "kid": "e", "crit": ["x"], "x": 1}, claims()), "not a JWT")

    def test_algorithm_is_the_keys(self) -> None:
        """A source that gives a key of another algorithm does not make it usable with that."""
        self.authority = JwtVerifier(CarelessKeys(), self.clock)
        for token in (sign(ec_key(), "ES256"), sign(SECRET, "HS256")):
            self.refused(token, "signature")

    def test_no_keys(self) -> None:
        self.authority = JwtVerifier(NoKeys(), self.clock)
        self.failureResultOf(self.authority.authenticate(sign(ec_key(), "ES256", "e")), Unavailable)


class ClaimTests(AuthorityTestCase):
    """The claims of a token with a valid signature."""

    def test_principal(self) -> None:
        token = self.say(scope=f"{PUBLISH} {ADMIN}", jti="t-1", aud="another")
        scopes = frozenset({PUBLISH, ADMIN})
        self.assertEqual(self.accepted(token), Principal(PLAYER, scopes, NOW + 60, "t-1", NOW - 60, str(PLAYER)))
        self.assertEqual(self.accepted(token).actor, str(PLAYER))

    def test_operator(self) -> None:
        """An administrator's `sub` may be any text; the audit names it, or else the token's `jti`."""
        self.assertEqual(self.accepted(self.say(sub="ops@game.example", scope=ADMIN)).actor, "ops@game.example")
        self.assertEqual(self.accepted(self.say(sub="ops", scope=OPERATE)).actor, "ops")
        self.assertEqual(self.accepted(self.say(sub=None, scope=ADMIN, jti="t-1")).actor, "t-1")
        self.assertIsNone(self.accepted(self.say()).subject)

    def test_bare(self) -> None:
        self.assertEqual(self.accepted(self.say(sub=None, iat=None)), Principal(None, frozenset(), NOW + 60, None))

    def test_expiry(self) -> None:
        """By the clock it was given, to the moment."""
        token = self.say()
        self.clock.advance(59)
        self.accepted(token)
        self.clock.advance(1)
        self.refused(token, "expired")

    def test_a_token_is_checked_by_the_clock_as_it_is_set(self) -> None:
        """Which was an hour fast when the process started, or an hour slow, and was set right."""
        for step in (-3600.0, 3600.0):
            self.clock.step(step)
            now = self.clock.wall()
            self.refused(self.say(iat=now, exp=now), "expired")
            self.refused(self.say(iat=now + CLOCK_LEEWAY + 1, exp=now + 60), "not valid yet")
            self.assertEqual(self.accepted(self.say(iat=now, exp=now + 60)).expires, self.clock.seconds() + 60)

    def test_how_long_a_token_holds_is_settled_when_it_is_checked(self) -> None:
        """The clock is set later: a token that was accepted for a minute lasts a minute."""
        accepted = self.accepted(self.say())
        for step in (-3600.0, 7200.0):
            self.clock.step(step)
            self.assertEqual(accepted.expires - self.clock.seconds(), 60)

    def test_missing_expiry(self) -> None:
        self.refused(self.say(exp=None), "exp")

    def test_senseless_expiry(self) -> None:
        for value in ("9999999999", True, [1], float("inf"), float("nan"), 10**400):
            self.refused(self.say(exp=value), "claims")
        self.refused(self.say(exp=-1), "expired")

    def test_not_yet(self) -> None:
        """A little ahead is the issuer's clock, more is not."""
        for name in ("nbf", "iat"):
            self.accepted(self.say(**{name: NOW + CLOCK_LEEWAY}))
            self.refused(self.say(**{name: NOW + CLOCK_LEEWAY + 1}), "not valid yet")
            self.refused(self.say(**{name: "soon"}), "claims")

    def test_subject_that_is_no_player(self) -> None:
        for subject in ("crafting-service", "", PLAYER.hex, f"{{{PLAYER}}}", f"urn:uuid:{PLAYER}"):
            self.assertIsNone(self.accepted(self.say(sub=subject)).player_id)
        self.assertEqual(self.accepted(self.say(sub=str(PLAYER).upper())).player_id, UUID(str(PLAYER)))

    def test_wrong_types(self) -> None:
        for name, value in (
            ("sub", 7),
            ("scope", 1),
            ("scope", [1]),
            ("jti", 1),
            ("aud", 1),
            ("aud", [1]),
            ("iss", []),
        ):
            self.refused(self.say(**{name: value}), "claims")

    def test_scopes_are_whole_words(self) -> None:
        principal = self.accepted(self.say(scope=f"x{ADMIN} {PUBLISH}x  a"))
        self.assertEqual(principal.scopes, {f"x{ADMIN}", f"{PUBLISH}x", "a"})
        self.assertFalse(principal.may_administer or principal.may_publish)

    def test_scopes_as_an_array(self) -> None:
        """… as some issuers write them."""
        self.assertEqual(self.accepted(self.say(scope=[PUBLISH, ADMIN])).scopes, {PUBLISH, ADMIN})
        self.assertEqual(self.accepted(self.say(scope=[])).scopes, frozenset())

    def test_audience(self) -> None:
        self.authority = JwtVerifier(self.keys, self.clock, audience="craftnet")
        for right in ("craftnet", ["shop", "craftnet"]):
            self.accepted(self.say(aud=right))
        for wrong in (None, "shop", "craftnet2", [], ["shop"]):
            self.refused(self.say(aud=wrong), "audience")

    def test_issuer(self) -> None:
        self.authority = JwtVerifier(self.keys, self.clock, issuer="https://login.example")
        self.accepted(self.say(iss="https://login.example"))
        for wrong in (None, "https://login.example/", "elsewhere"):
            self.refused(self.say(iss=wrong), "issuer")
