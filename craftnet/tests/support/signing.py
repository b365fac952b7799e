"""Keys of a pretended login service, and tokens signed with them. Keys are made once for the whole run."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    SECP384R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from craftnet.tests.support.samples import NOW, PLAYER

PrivateKey = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey | Ed448PrivateKey


@cache
def rsa_key(bits: int = 2048) -> RSAPrivateKey:
    """An RSA key."""
    return generate_rsa_key(65537, bits)


@cache
def ec_key(number: int = 0) -> EllipticCurvePrivateKey:
    """One of several keys on P-256."""
    return generate_private_key(SECP256R1())


@cache
def p384_key() -> EllipticCurvePrivateKey:
    """A key on a curve that is not accepted."""
    return generate_private_key(SECP384R1())


@cache
def ed_key() -> Ed25519PrivateKey:
    """An Ed25519 key."""
    return Ed25519PrivateKey.generate()


@cache
def ed448_key() -> Ed448PrivateKey:
    """An EdDSA key of the other curve."""
    return Ed448PrivateKey.generate()


def public_pem(key: PrivateKey) -> bytes:
    """The public half, as a login service hands it out."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: PrivateKey) -> bytes:
    """The private half."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def jwk(key: PrivateKey, key_id: str | None = None, **members: Any) -> dict[str, Any]:
    """The public half as a JSON Web Key, with more members or other ones."""
    name = (
        "RS256" if isinstance(key, RSAPrivateKey) else "ES256" if isinstance(key, EllipticCurvePrivateKey) else "EdDSA"
    )
    entry: dict[str, Any] = dict(jwt.get_algorithm_by_name(name).to_jwk(key.public_key(), as_dict=True))
    entry.pop("key_ops", None)
    return entry | ({} if key_id is None else {"kid": key_id}) | members


def jwks(*entries: dict[str, Any]) -> bytes:
    """A JSON Web Key Set."""
    return json.dumps({"keys": entries}).encode()


def claims(**others: Any) -> dict[str, Any]:
    """The claims of a good token at `NOW`; a claim given as None is left out."""
    good = {"sub": str(PLAYER), "iat": NOW - 60, "exp": NOW + 60}
    return {name: value for name, value in (good | others).items() if value is not None}


def sign(
    key: PrivateKey | bytes, algorithm: str, key_id: str | None = None, payload: dict[str, Any] | None = None
) -> str:
    """A token."""
    headers = None if key_id is None else {"kid": key_id}
    # Below jwt.encode, which does not sign claims of the wrong types.
    return jwt.PyJWS().encode(json.dumps(payload or claims()).encode(), key, algorithm, headers)
