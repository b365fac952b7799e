"""Which keys are accepted, and which one fits a token."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.access.verification_keys import (
    IKeySource,
    SingleKey,
    VerificationKey,
    key_from_pem,
    keys_from_jwks,
    select_key,
)
from craftnet.errors import ConfigurationError
from craftnet.tests.support.signing import (
    ec_key,
    ed448_key,
    ed_key,
    jwk,
    jwks,
    p384_key,
    private_pem,
    public_pem,
    rsa_key,
)

OCT = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "s"}


class PemTests(SynchronousTestCase):
    """One public key."""

    def test_algorithm(self) -> None:
        for key, algorithm in ((rsa_key(), "RS256"), (ec_key(), "ES256"), (ed_key(), "EdDSA")):
            self.assertEqual(key_from_pem(public_pem(key)), VerificationKey(algorithm, key.public_key()))

    def test_not_accepted(self) -> None:
        for key in (rsa_key(1024), p384_key(), ed448_key()):
            self.assertIn("not accepted", str(self.assertRaises(ConfigurationError, key_from_pem, public_pem(key))))

    def test_private(self) -> None:
        error = self.assertRaises(ConfigurationError, key_from_pem, private_pem(ec_key()))
        self.assertIn("private key", str(error))

    def test_garbage(self) -> None:
        for content in (b"", b"\xff\x00", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"):
            self.assertIn("PEM", str(self.assertRaises(ConfigurationError, key_from_pem, content)))


class JwksTests(SynchronousTestCase):
    """Key sets."""

    def algorithms(self, *entries: dict[str, Any]) -> dict[str | None, str]:
        """The rest of a set with one good key."""
        keys = keys_from_jwks(jwks(*entries, jwk(ec_key(), "good")))
        found = {key.key_id: key.algorithm for key in keys}
        self.assertEqual(found.pop("good"), "ES256")
        return found

    def test_kinds(self) -> None:
        self.assertEqual(
            self.algorithms(jwk(rsa_key(), "r", use="sig", alg="RS256"), jwk(ec_key(1), "e"), jwk(ed_key())),
            {"r": "RS256", "e": "ES256", None: "EdDSA"},
        )

    def test_left_out(self) -> None:
        """Symmetric keys, other uses, other algorithms, weak keys, broken ones."""
        for entry in (
            OCT,
            OCT | {"alg": "HS256"},
            jwk(rsa_key(), "r", use="enc"),
            jwk(rsa_key(), "r", alg="PS256"),
            jwk(rsa_key(), "r", alg="HS256"),
            jwk(rsa_key(), "r", alg="none"),
            jwk(rsa_key(), "r", alg=["RS256"]),
            jwk(rsa_key(1024), "r"),
            jwk(rsa_key(), "r", n=5),
            jwk(p384_key(), "e"),
            jwk(ed448_key(), "x"),
            {"kty": "??"},
            {},
        ):
            self.assertEqual(self.algorithms(entry), {}, entry)

    def test_published_private_key(self) -> None:
        """A key whose private half is published proves nothing."""
        half = urlsafe_b64encode(ed_key().private_bytes_raw()).rstrip(b"=").decode()
        private = jwk(ed_key(), "p", d=half)
        self.assertEqual(self.algorithms(private), {})

    def test_unusable(self) -> None:
        for document in (b"", b"\xff", b"[]", b"{}", b'{"keys":{}}', b'{"keys":[1]}', b"[" * 100_000):
            self.assertIn("Key Set", str(self.assertRaises(ConfigurationError, keys_from_jwks, document)))
        for document in (b'{"keys":[]}', jwks(OCT)):
            self.assertIn("no usable", str(self.assertRaises(ConfigurationError, keys_from_jwks, document)))

    @settings(deadline=None, derandomize=True, max_examples=100)
    @given(
        st.dictionaries(
            st.sampled_from(["kty", "kid", "use", "alg", "crv", "n", "e", "x", "y", "d", "k"]),
            st.sampled_from(["RSA", "EC", "OKP", "oct", "sig", "P-256", "Ed25519", "RS256", "HS256", "AQAB"])
            | st.none()
            | st.integers()
            | st.lists(st.text(max_size=3), max_size=2),
        )
    )
    def test_any_entry(self, entry: dict[str, Any]) -> None:
        """Whatever an entry is, it does not keep the others from being read."""
        self.assertIn(
            "good",
            [key.key_id for key in keys_from_jwks(json.dumps({"keys": [entry, jwk(ec_key(), "good")]}).encode())],
        )


class SelectTests(SynchronousTestCase):
    """A token means one key."""

    keys = keys_from_jwks(jwks(jwk(ec_key(), "a"), jwk(ec_key(1), "b"), jwk(ed_key(), "a")))

    def test_by_id_and_algorithm(self) -> None:
        self.assertEqual(select_key(self.keys, "b", "ES256"), self.keys[1])
        self.assertEqual(select_key(self.keys, "a", "EdDSA"), self.keys[2])

    def test_wrong(self) -> None:
        for key_id, algorithm in (("c", "ES256"), ("b", "EdDSA"), ("a", "HS256"), ("a", "none")):
            self.assertIsNone(select_key(self.keys, key_id, algorithm))

    def test_without_id(self) -> None:
        """Good enough if there is no choice."""
        self.assertEqual(select_key(self.keys, None, "EdDSA"), self.keys[2])
        self.assertIsNone(select_key(self.keys, None, "ES256"))


class OneKeyTests(SynchronousTestCase):
    """A key without a name."""

    def test_find(self) -> None:
        key = key_from_pem(public_pem(ec_key()))
        source = SingleKey(key)
        verifyObject(IKeySource, source)
        self.assertEqual(self.successResultOf(source.find("any", "ES256")), key)
        self.assertIsNone(self.successResultOf(source.find(None, "HS256")))

    def test_repr(self) -> None:
        self.assertNotIn("hush", repr(VerificationKey("HS256", b"hush")))
