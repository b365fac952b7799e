"""Why a token is refused, in words: always in agreement with what decides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.auth_option import AuthSetup, access_from_option
from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.access.revocation.revocations import Revocation
from craftnet.access.route_rights import OPERATING, PUBLISHING, of_player, of_session, owned_by
from craftnet.errors import Refusal
from craftnet.operator.token_examination import Judgement, TokenExamination, examine, spoken
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, SESSION
from craftnet.tests.support.signing import claims, ec_key, ed_key, jwk, jwks, p384_key, rsa_key, sign

SECRET = b"0123456789abcdef0123456789abcdef"
UNKNOWN = "not known here"


def good(**others: Any) -> dict[str, Any]:
    return claims(**{"aud": "craftnet", "iss": "login", **others})


class ExaminationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        path = Path(self.mktemp())
        path.write_bytes(jwks(jwk(rsa_key(), "r"), jwk(ed_key(), "d"), jwk(ec_key(1), "e1"), jwk(ec_key(2), "e2")))
        self.access = access_from_option(f"jwt:jwks={path}:aud=craftnet:iss=login", {}, self.clock)

    def examined(
        self, token: str, *wanted: Any, access: AuthSetup | None = None, revoked: Any = UNKNOWN
    ) -> TokenExamination:
        """The examination, after checking that it agrees with the verifier and shows nothing of the token."""
        access = access or self.access
        examining = Deferred.fromCoroutine(examine(token, access, NOW, wanted, revoked))
        examination = self.successResultOf(examining)
        verifying = access.authority.authenticate(token)
        refused = any(
            each.judgement is Judgement.REFUSED and each.aspect not in ("right", "revocation")
            for each in examination.findings
        )
        try:
            self.successResultOf(verifying.addErrback(lambda failure: failure))
            principal = self.successResultOf(access.authority.authenticate(token))
        except self.failureException:
            refusal = self.failureResultOf(access.authority.authenticate(token)).value
            assert isinstance(refusal, Refusal)
            self.assertEqual((examination.status, examination.answer), (refusal.status, refusal.message))
            self.assertTrue(refused, examination)
        else:
            self.assertIsNotNone(principal)
            self.assertFalse(refused, examination)
        text = repr(examination)
        for part in token.split("."):
            self.assertFalse(len(part) > 8 and part in text, text)
        return examination

    def assert_refused(self, token: str, aspect: str, *words: str, access: AuthSetup | None = None) -> None:
        """For this aspect, in these words, and with something to do."""
        examination = self.examined(token, access=access)
        [found] = [each for each in examination.findings if each.judgement is Judgement.REFUSED]
        self.assertEqual(found.aspect, aspect)
        self.assertTrue(found.remedy)
        for word in words:
            self.assertIn(word, f"{found.text} {found.remedy}")

    def test_accepted(self) -> None:
        examination = self.examined(sign(rsa_key(), "RS256", "r", good()))
        self.assertEqual((examination.status, examination.answer), (200, ""))
        text = {each.aspect: each.text for each in examination.findings}
        self.assertIn("'r' (RS256)", text["key"])
        self.assertIn("in 1 min, at 2027-01-15T08:01:00.000Z", text["expiry"])
        self.assertEqual(text["player"], str(PLAYER))

    def test_times(self) -> None:
        def signed(**others: Any) -> str:
            return sign(rsa_key(), "RS256", "r", good(**others))

        self.assert_refused(signed(exp=NOW - 11_520), "expiry", "expired 3 h 12 min ago", "2027-01-15T08:00:00.000Z")
        self.assert_refused(signed(exp=NOW - 5), "expiry", "expired 5 s ago", "one of the clocks is wrong")
        self.assert_refused(signed(nbf=NOW + 40), "start", "valid in 40 s only", "(nbf)", "10 seconds are tolerated")
        self.assert_refused(signed(iat=NOW + 40), "start", "(iat)")
        self.assert_refused(signed(exp=None), "form", "missing required field `exp`", "exp is required")
        self.assertEqual(self.examined(signed(nbf=NOW + 9, exp=1e200)).status, 200)

    def test_parties(self) -> None:
        for others, aspect, words in (
            ({"aud": ["shop", "chat"]}, "audience", "the token's is 'shop', 'chat', and this server wants craftnet"),
            ({"aud": None}, "audience", "none (no aud)"),
            ({"iss": "staging"}, "issuer", "the token's is 'staging', and this server wants login"),
        ):
            self.assert_refused(sign(rsa_key(), "RS256", "r", good(**others)), aspect, words, f":{aspect[:3]}"[:3])

    def test_keys(self) -> None:
        payload = good()
        self.assert_refused(sign(rsa_key(), "RS256", "gone", payload), "key", "'r' (RS256), 'd' (EdDSA)", "withdrawn")
        self.assert_refused(sign(ec_key(1), "ES256", None, payload), "key", "which of the ES256 keys", "(kid)")
        self.assert_refused(sign(ed_key(), "EdDSA", "r", payload), "key", "the key of this name is for RS256")
        self.assert_refused(sign(ec_key(3), "ES256", "e1", payload), "signature", "another key signed the token")
        self.assert_refused(sign(SECRET, "HS256", None, payload), "key", "HS256 is for development tokens")
        self.assert_refused(sign(p384_key(), "ES384", None, payload), "form", "algorithm", "RS256, ES256, EdDSA")
        path = Path(self.mktemp())
        path.write_bytes(jwks(jwk(rsa_key())))
        unnamed = access_from_option(f"jwt:jwks={path}", {}, self.clock)
        self.assert_refused(sign(rsa_key(), "RS256", "r", payload), "key", ":kid=optional", access=unnamed)

    def test_development(self) -> None:
        access = access_from_option(None, {"CRAFTNET_JWT_SECRET": SECRET.decode()}, self.clock)
        self.assertEqual(self.examined(sign(SECRET, "HS256"), access=access).status, 200)
        self.assert_refused(sign(rsa_key(), "RS256"), "key", "development tokens only", "--auth", access=access)
        self.assert_refused(sign(SECRET[::-1], "HS256"), "signature", "CRAFTNET_JWT_SECRET", access=access)

    def test_no_jwt(self) -> None:
        whole = sign(rsa_key(), "RS256", "r", good())
        for token, words in (
            ("opaque-token-8Xw", "this text has 1"),
            (whole.rpartition(".")[0], "may be cut off"),
            (f"{whole}.x.y", "encrypted"),
            ("a" * 9000, "longer than 8192"),
            ("e30.e30.e30", "Accepted algorithms"),
        ):
            self.assert_refused(token, "form", words)
        self.assert_refused(whole[:-1] + ("A" if whole[-1] != "A" else "Q"), "signature")

    def test_rights(self) -> None:
        """A right that is missing is 403, with the server's own words."""
        player, publisher = (
            sign(rsa_key(), "RS256", "r", good(**each)) for each in ({}, {"scope": PUBLISH, "sub": "authority"})
        )
        for token, right, status, answer in (
            (player, PUBLISHING, 403, f"This request needs a token with the scope {PUBLISH}."),
            (publisher, PUBLISHING, 200, ""),
            (player, OPERATING, 403, "This request needs a token with the scope crafting:operate."),
            (player, of_player(PLAYER), 200, ""),
            (player, of_player(OTHER_PLAYER), 403, "The token is another player's."),
            (player, of_session(SESSION), 200, ""),
            (player, owned_by(of_session(SESSION), OTHER_PLAYER), 403, "The session is another player's."),
            (publisher, owned_by(of_session(SESSION, authority=True), PLAYER), 200, ""),
        ):
            examination = self.examined(token, right)
            self.assertEqual((examination.status, examination.answer), (status, answer))
        [found] = [each for each in self.examined(player, of_session(SESSION)).findings if each.aspect == "right"]
        self.assertEqual((found.judgement, "only the server knows" in found.text), (Judgement.NOTE, True))

    def test_revoked(self) -> None:
        token = sign(rsa_key(), "RS256", "r", good(jti="t-1", scope=f"{ADMIN} {PUBLISH}"))
        for revocation, status in (
            (Revocation("t-1", None, 0.0, NOW + 60), 401),
            (Revocation(None, PLAYER, NOW, NOW + 60), 401),
            (Revocation("t-2", OTHER_PLAYER, NOW, NOW + 60), 200),
            (Revocation(None, PLAYER, NOW - 61, NOW + 60), 200),
        ):
            self.assertEqual(self.examined(token, revoked=[revocation]).status, status, revocation)
        self.assertEqual(self.examined(token, revoked="not known now: Redis is unreachable.").status, 503)


class WordingTests(SynchronousTestCase):
    def test_durations(self) -> None:
        for seconds, words in (
            (0, "0 s"),
            (59.4, "59 s"),
            (3600, "1 h"),
            (86_400 * 2 + 7300, "2 d 2 h"),
            (1e200, "more"),
        ):
            self.assertTrue(spoken(seconds).startswith(words), spoken(seconds))
