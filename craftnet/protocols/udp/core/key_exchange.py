"""ML-KEM-768 (FIPS 203) inside …/connect: a UDP secret that does not follow from what travels over HTTP. Pure.

The client sends an encapsulation key, the server answers with a ciphertext, and both derive the secret with HKDF-SHA256
(RFC 5869) from the secret in the session_token and from the shared secret of ML-KEM. The transcript is part of the
derivation, so that neither message can be replaced by another one with the same shared secret.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from hashlib import sha256

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from craftnet.protocols.udp.core.keys import SECRET_SIZE, SessionToken

MLKEM768 = "mlkem768"
"""The name of the exchange in options."""

ENCAPSULATION_KEY_SIZE = 1184
"""Bytes of the client's key."""

CIPHERTEXT_SIZE = 1088
"""Bytes of the server's answer."""

_SECRET_LABEL = b"craftnet udp 1 mlkem768"
_NAME_LABEL = b"craftnet udp 1 name"


def is_supported() -> bool:
    """Whether the installed cryptography package has ML-KEM-768."""
    try:
        MLKEM768PrivateKey.generate()
    except UnsupportedAlgorithm:
        return False
    return True


def combined_secret(token: SessionToken, shared: bytes, encapsulation_key: bytes, ciphertext: bytes) -> bytes:
    """The secret of the connection.

    Arguments:
        token: the session_token of the answer.
        shared: the shared secret of ML-KEM, 32 bytes.
    """
    transcript = sha256(token.connection_id.to_bytes(4, "big") + encapsulation_key + ciphertext).digest()
    return _derived(token.secret + shared, _SECRET_LABEL + transcript)


def naming(token: SessionToken) -> SessionToken:
    """The token by which a client names the connection in later requests.

    The secret of the connection does not follow from it, so that these requests do not reveal over HTTP what the
    exchange protects.
    """
    return SessionToken(token.connection_id, _derived(token.secret, _NAME_LABEL))


class Encapsulation(Struct, frozen=True, eq=False):
    """The server's part, for one request.

    Attributes:
        ciphertext: for the answer, base64url without padding.
    """

    ciphertext: str
    _shared: bytes
    _transcript: tuple[bytes, bytes]

    __repr__ = object.__repr__

    @classmethod
    def to(cls, key: str) -> Encapsulation:
        """A new shared secret, for the holder of an encapsulation key.

        Arguments:
            key: of the request, base64url without padding.

        Raises:
            ValueError: the key is none; the message says why.
        """
        octets = _decoded(key)
        if octets is None or len(octets) != ENCAPSULATION_KEY_SIZE:
            found = "other text" if octets is None else f"{len(octets)} bytes"
            raise ValueError(
                f"encapsulation_key must be {ENCAPSULATION_KEY_SIZE} bytes, an ML-KEM-768 encapsulation key, in "
                f"base64url without padding, got {found}"
            )
        try:
            shared, ciphertext = MLKEM768PublicKey.from_public_bytes(octets).encapsulate()
        except ValueError:  # the library refuses coefficients that are not reduced (FIPS 203, section 7.2).
            raise ValueError("encapsulation_key is not a valid ML-KEM-768 encapsulation key") from None
        return cls(_encoded(ciphertext), shared, (octets, ciphertext))

    def secret(self, token: SessionToken) -> bytes:
        """The secret of the connection for which the answer has this session_token."""
        return combined_secret(token, self._shared, *self._transcript)


class KeyExchange:
    """The client's part, for one request.

    Arguments:
        private: the decapsulation key; None: a new one.

    Attributes:
        encapsulation_key: for the request, base64url without padding.
    """

    def __init__(self, private: MLKEM768PrivateKey | None = None) -> None:
        self._private = private or MLKEM768PrivateKey.generate()
        self._public = self._private.public_key().public_bytes_raw()
        self.encapsulation_key = _encoded(self._public)

    __repr__ = object.__repr__

    def finish(self, token: SessionToken, ciphertext: str) -> SessionToken:
        """The token that opens the connection.

        A ciphertext that was made for another key, or was changed, gives another secret (FIPS 203, section 6.3): the
        handshake then finds no answer.

        Arguments:
            token, ciphertext: of the server's answer.

        Raises:
            ValueError: the ciphertext does not have the length of one.
        """
        octets = _decoded(ciphertext)
        if octets is None or len(octets) != CIPHERTEXT_SIZE:
            raise ValueError(f"the server's ciphertext is not {CIPHERTEXT_SIZE} bytes in base64url")
        secret = combined_secret(token, self._private.decapsulate(octets), self._public, octets)
        return SessionToken(token.connection_id, secret)


def _derived(secret: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=SECRET_SIZE, salt=b"", info=info).derive(secret)


def _encoded(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def _decoded(text: str) -> bytes | None:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        return None
