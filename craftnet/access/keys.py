"""The keys that tokens are verified with: how they are read, and which one fits a token.

A key has one algorithm and is never used with another: what a token claims in its header only selects among keys, so a
public key can't be passed off as an HMAC secret (RFC 8725 section 2.1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import jwt
import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from twisted.internet.defer import Deferred, succeed
from zope.interface import Interface, implementer

from craftnet.errors import ConfigurationError
from craftnet.messages import MALFORMED

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MINIMUM_RSA_BITS = 2048
"""RFC 7518 section 3.3."""

ACCEPTED = f"RSA of {MINIMUM_RSA_BITS} bits or more, EC P-256 and Ed25519"
"""What a public key may be, for people."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm it is for.

    Attributes:
        algorithm: a JWS `alg`: RS256, ES256, EdDSA; HS256 for a development secret.
        material: a public key; octets when, and only when, the algorithm is HS256.
        key_id: the `kid` it is published under.
    """

    algorithm: str
    material: PublicKey | bytes = field(repr=False)
    key_id: str | None = None


class IKeySource(Interface):
    """Where verification keys come from."""

    def find(
        key_id: str | None,  # noqa: N805 - the methods of a zope interface have no self.
        algorithm: str,
    ) -> Deferred[VerificationKey | None]:
        """Look for the key of a token.

        Arguments:
            key_id: the token's `kid`, if it has one.
            algorithm: the token's `alg`.

        Returns:
            A Deferred of a `VerificationKey` of just this algorithm, or of None when there is none.

        Fails:
            `craftnet.errors.Unavailable`: the keys cannot be had right now.
        """


@implementer(IKeySource)
class OneKey:
    """A single key. It has no name, so what a token calls it does not matter."""

    def __init__(self, key: VerificationKey) -> None:
        self._key = key

    def find(self, key_id: str | None, algorithm: str) -> Deferred[VerificationKey | None]:
        """The key, if it is for this algorithm."""
        return succeed(self._key if self._key.algorithm == algorithm else None)


def select(
    keys: Iterable[VerificationKey], key_id: str | None, algorithm: str, *, unnamed: bool = False
) -> VerificationKey | None:
    """The key of a set that a token means. A token that names none means one only if no other has its algorithm.

    Arguments:
        unnamed: whether a token that names a key may mean the only one of its algorithm if that has no name.
    """
    fitting = [key for key in keys if key.algorithm == algorithm]
    only = fitting[0] if len(fitting) == 1 else None
    if key_id is None or (unnamed and only is not None and only.key_id is None):
        return only
    return next((key for key in fitting if key.key_id == key_id), None)


def from_pem(pem: bytes) -> VerificationKey:
    """The key in a PEM file's content (SubjectPublicKeyInfo, or PKCS #1 for RSA).

    Raises:
        ConfigurationError: it is no public key, or of a kind that is not accepted.
    """
    if b"PRIVATE KEY" in pem:
        raise ConfigurationError("it holds a private key; give this service the public one only")
    try:
        material = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError("it is not a public key in PEM form") from None
    key = _verification_key(material, None)
    if key is None:
        raise ConfigurationError(f"a key of this kind is not accepted; these are: {ACCEPTED}")
    return key


def from_jwks(document: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a JSON Web Key Set (RFC 7517 section 5); those of other kinds and uses are left out.

    Raises:
        ConfigurationError: it is no such set, or no key of it is usable.
    """
    try:
        entries = msgspec.json.decode(document, type=_JsonWebKeySet).keys
    except MALFORMED:
        raise ConfigurationError("it is not a JSON Web Key Set") from None
    keys = tuple(key for key in map(_from_jwk, entries) if key is not None)
    if not keys:
        raise ConfigurationError(f"it holds no usable signature key; these are accepted: {ACCEPTED}")
    return keys


class _JsonWebKeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


def _from_jwk(entry: dict[str, Any]) -> VerificationKey | None:
    if entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, TypeError, ValueError, NotImplementedError):  # the last three: members that make no sense.
        return None
    usable = _verification_key(key.key, key.key_id if isinstance(key.key_id, str) else None)
    # A key may be published for an algorithm that its kind allows but we don't, such as PS256.
    return usable if usable is not None and usable.algorithm == key.algorithm_name else None


def _verification_key(material: object, key_id: str | None) -> VerificationKey | None:
    """Accepts public keys only: a secret, or a private key that somebody published, is none."""
    match material:
        case RSAPublicKey() if material.key_size >= MINIMUM_RSA_BITS:
            return VerificationKey("RS256", material, key_id)
        case EllipticCurvePublicKey() if isinstance(material.curve, SECP256R1):
            return VerificationKey("ES256", material, key_id)
        case Ed25519PublicKey():
            return VerificationKey("EdDSA", material, key_id)
        case _:
            return None
