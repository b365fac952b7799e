"""Texts that are not tokens, and tokens that were changed."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from typing import Any

import jwt
from hypothesis import given, settings
from hypothesis import strategies as st

from craftnet.access.jwt import MAX_TOKEN_LENGTH, JwtVerifier
from craftnet.access.verification_keys import (
    SingleKey,
    VerificationKey,
)
from craftnet.errors import Unauthorized
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.jwt_case import KEYS, SECRET, AuthorityTestCase, SetOfKeys, unsigned
from craftnet.tests.support.samples import NOW
from craftnet.tests.support.signing import claims, ed_key, sign


class InvalidTokenTests(AuthorityTestCase):
    """Each is refused, and its reason does not repeat the token."""

    def test_not_a_string(self) -> None:
        for value in (None, 1, b"a.b.c", ["a"]):
            self.refused(value, "not a JWT")

    def test_oversized(self) -> None:
        fitting = self.say(jti="j" * (MAX_TOKEN_LENGTH // 2))
        self.assertLess(len(fitting), MAX_TOKEN_LENGTH)
        self.accepted(fitting)
        self.refused(self.say(jti="j" * MAX_TOKEN_LENGTH), "longer")
        self.assertEqual(len(self.keys.asked), 1)

    def test_malformed(self) -> None:
        good = self.say()
        for text in (
            "",
            ".",
            "..",
            "a.b",
            "a.b.c",
            "\ud800",
            "täken",
            good + "é",
            good.replace(".", "", 1),
            f"{good}.x",
        ):
            self.refused(text, "")

    def test_nested(self) -> None:
        """Deeply, where a decoder recurses."""
        self.refused(unsigned(b"[" * 3000, claims()), "not a JWT")
        key = SingleKey(VerificationKey("HS256", SECRET))
        self.authority = JwtVerifier(key, self.clock)
        payload = b'{"exp":9999999999,"x":' + b"[" * 3000 + b"]" * 1000
        begun = unsigned({"alg": "HS256"}, payload).rstrip(".")
        self.refused(unsigned({"alg": "HS256"}, payload, hmac.digest(SECRET, begun.encode(), hashlib.sha256)), "claims")

    @settings(deadline=None, derandomize=True, max_examples=150)
    @given(
        st.text(max_size=80)
        | st.lists(st.text("abcXYZ019-_=. ", max_size=20), max_size=5).map(".".join)
        | st.builds(
            unsigned,
            st.dictionaries(
                st.sampled_from(["alg", "kid", "typ", "crit", "b64"]),
                st.sampled_from(["ES256", "RS256", "EdDSA", "e", "r", "d", False, None, ["b64"], 1]),
            ),
            st.dictionaries(st.sampled_from(["exp", "sub", "scope"]), st.integers() | st.text(max_size=5)),
            st.binary(max_size=80),
        )
    )
    def test_any_text(self, text: str) -> None:
        """Nothing but Unauthorized comes of it."""
        self.clock = SteppedClock()
        self.authority = JwtVerifier(SetOfKeys(KEYS), self.clock)
        self.refused(text, "")

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(st.data())
    def test_any_change(self, data: st.DataObject) -> None:
        """A valid token with one changed character is invalid."""
        good = sign(ed_key(), "EdDSA", "d")
        at = data.draw(st.integers(0, len(good) - 1))
        other = data.draw(st.characters(max_codepoint=0x17F).filter(lambda character: character != good[at]))
        self.authority = JwtVerifier(SetOfKeys(KEYS), self.clock)
        self.refused(good[:at] + other + good[at + 1 :], "")

    @settings(deadline=None, derandomize=True, max_examples=200)
    @given(
        header=st.fixed_dictionaries(
            {},
            optional={
                "alg": st.sampled_from(["HS256", "RS256", "none", None, 1, ["HS256"]]) | st.just("HS256"),
                "kid": st.sampled_from(["", "k", None, 1]),
                "crit": st.sampled_from([[], ["b64"], ["x"], None]),
                "b64": st.sampled_from([True, False, None, 0]),
                "typ": st.just("JWT"),
            },
        ),
        change=st.sampled_from(["", "padded", "=", ".", "+", "\n", " "]),
        at=st.integers(0, 200),
    )
    def test_as_pyjwt_takes_tokens_apart(self, header: dict[str, Any], change: str, at: int) -> None:
        """A token holds when, and only when, PyJWT says so; only extensions are never believed."""
        begun = unsigned(header, claims()).rstrip(".")
        if change == "padded":
            begun = ".".join(part + "=" * (-len(part) % 4) for part in begun.split("."))
        token = (
            f"{begun}.{urlsafe_b64encode(hmac.digest(SECRET, begun.encode(), hashlib.sha256)).rstrip(b'=').decode()}"
        )
        if change != "padded":
            token = token[:at] + change + token[at:]
        try:
            jwt.PyJWS(algorithms=["HS256"]).decode(token, SECRET, ["HS256"])
            expected = "crit" not in header
        except jwt.PyJWTError:
            expected = False
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.authority = JwtVerifier(SingleKey(VerificationKey("HS256", SECRET)), self.clock)
        held: list[Any] = []
        self.authority.authenticate(token).addCallbacks(held.append, lambda failure: failure.trap(Unauthorized))
        self.assertEqual(bool(held), expected, token)
