"""The keys that verify tokens: how they are read, and which one fits a token.

A key has one algorithm and is never used with another. A token's header only selects among keys, so a public key cannot
be passed off as an HMAC secret (RFC 8725 section 2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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

from craftnet.contract.messages import MALFORMED
from craftnet.errors import ConfigurationError

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey

MINIMUM_RSA_BITS = 2048
"""Bits (RFC 7518 section 3.3)."""

ACCEPTED_KEYS = f"RSA of {MINIMUM_RSA_BITS} bits or more, EC P-256 and Ed25519"
"""The accepted public keys, for people."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and its one algorithm.

    Attributes:
        algorithm: a JWS `alg`: RS256, ES256, EdDSA; HS256 for a development secret.
        material: a public key; octets if and only if the algorithm is HS256.
        key_id: the `kid` under which it is published.
    """

    algorithm: str
    material: PublicKey | bytes = field(repr=False)
    key_id: str | None = None


class IKeySource(Interface):
    """A source of verification keys."""

    def find(
        key_id: str | None,  # noqa: N805 - the methods of a zope interface have no self.
        algorithm: str,
    ) -> Deferred[VerificationKey | None]:
        """Finds the key of a token.

        Arguments:
            key_id: the token's `kid`, if it has one.
            algorithm: the token's `alg`.

        Returns:
            A Deferred of a `VerificationKey` of exactly this algorithm, or of None when there is none.

        Fails:
            `craftnet.errors.Unavailable`: the keys are unavailable now.
        """

    def known() -> Sequence[VerificationKey]:  # as above.
        """The keys that are known now, for people; a source of a URL knows none before the first fetch."""

    def problem() -> str:  # as above.
        """Why the keys cannot be read now, for people; empty while nothing is wrong."""

    def reload() -> bool:  # as above.
        """Reads the keys again; returns whether there are others now.

        A source of a URL only starts to fetch them. Those of before stay in use until there are others.

        Raises:
            `craftnet.errors.ConfigurationError`: they cannot be read.
        """


@implementer(IKeySource)
class SingleKey:
    """A single key. It has no name, so any `kid` matches.

    Arguments:
        read: reads it again; None: it never changes. Raises ConfigurationError.
    """

    def __init__(self, key: VerificationKey, read: Callable[[], VerificationKey] | None = None) -> None:
        self._key = key
        self._read = read

    def reload(self) -> bool:
        """See `IKeySource`."""
        before, self._key = self._key, self._key if self._read is None else self._read()
        return self._key != before

    def known(self) -> Sequence[VerificationKey]:
        """See `IKeySource`."""
        return (self._key,)

    def problem(self) -> str:
        """Nothing can be wrong: the key was read when this was made."""
        return ""

    def find(self, key_id: str | None, algorithm: str) -> Deferred[VerificationKey | None]:
        """The key, if it is for this algorithm."""
        return succeed(self._key if self._key.algorithm == algorithm else None)


def select_key(
    keys: Iterable[VerificationKey], key_id: str | None, algorithm: str, *, unnamed: bool = False
) -> VerificationKey | None:
    """The key of a set that a token refers to. A token without a `kid` needs a set with one key of its algorithm.

    Arguments:
        unnamed: whether a token with a `kid` may use the only key of its algorithm if that key has no name.
    """
    fitting = [key for key in keys if key.algorithm == algorithm]
    only = fitting[0] if len(fitting) == 1 else None
    if key_id is None or (unnamed and only is not None and only.key_id is None):
        return only
    return next((key for key in fitting if key.key_id == key_id), None)


def key_from_pem(pem: bytes) -> VerificationKey:
    """The key in the content of a PEM file (SubjectPublicKeyInfo, or PKCS #1 for RSA).

    Raises:
        ConfigurationError: it is no public key, or of an unsupported kind.
    """
    if b"PRIVATE KEY" in pem:
        raise ConfigurationError("it contains a private key; give this service only the public one")
    try:
        material = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigurationError("it is not a public key in PEM form") from None
    key = _verification_key(material, None)
    if key is None:
        raise ConfigurationError(f"a key of this kind is not accepted; accepted are: {ACCEPTED_KEYS}")
    return key


def keys_from_jwks(document: bytes) -> tuple[VerificationKey, ...]:
    """The usable keys of a JSON Web Key Set (RFC 7517 section 5); those of other kinds and uses are left out.

    Raises:
        ConfigurationError: it is no such set, or none of its keys is usable.
    """
    try:
        entries = msgspec.json.decode(document, type=_JsonWebKeySet).keys
    except MALFORMED:
        raise ConfigurationError("it is not a JSON Web Key Set") from None
    keys = tuple(key for key in map(_from_jwk, entries) if key is not None)
    if not keys:
        raise ConfigurationError(f"it contains no usable signature key; accepted are: {ACCEPTED_KEYS}")
    return keys


class _JsonWebKeySet(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


def _from_jwk(entry: dict[str, Any]) -> VerificationKey | None:
    if entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry)
    except (jwt.PyJWTError, TypeError, ValueError, NotImplementedError):  # the last three: invalid members.
        return None
    usable = _verification_key(key.key, key.key_id if isinstance(key.key_id, str) else None)
    # A key may be published for an algorithm of its kind that we do not accept, such as PS256.
    return usable if usable is not None and usable.algorithm == key.algorithm_name else None


def _verification_key(material: object, key_id: str | None) -> VerificationKey | None:
    """Accepts public keys only, and refuses secrets and published private keys."""
    match material:
        case RSAPublicKey() if material.key_size >= MINIMUM_RSA_BITS:
            return VerificationKey("RS256", material, key_id)
        case EllipticCurvePublicKey() if isinstance(material.curve, SECP256R1):
            return VerificationKey("ES256", material, key_id)
        case Ed25519PublicKey():
            return VerificationKey("EdDSA", material, key_id)
        case _:
            return None
