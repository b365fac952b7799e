"""What is derived from a session_token: its parts, the keys, the protection of datagrams.

HKDF-SHA256 (RFC 5869) for keys, HMAC-SHA256 cut to 16 bytes for the handshake, AES-128-GCM (NIST SP 800-38D) for the
rest, with the nonce of RFC 8446 section 5.3: the IV xor the 64-bit sequence. Objects that hold secrets hide them.
"""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.protocols.wire.layouts import MAC_SIZE

SECRET_SIZE = 32
"""Bytes of the secret in a session_token."""

NONCE_SIZE = 16
"""Bytes of the nonces in the handshake."""

OFTEN = 4
"""Datagrams between two heartbeats that make a direction a busy one; one at rest has at most three."""

_KEY_SIZE = 16
_IV_SIZE = 12
_ID_SIZE = 4


class SessionToken(Struct, eq=False, gc=False):
    """The token from POST …/connect: a connection id, which is in every datagram, and a secret, which is in none."""

    connection_id: int
    secret: bytes

    __repr__ = object.__repr__

    @property
    def text(self) -> str:
        """The token as clients receive it: base64url (RFC 4648 section 5) without padding."""
        raw = self.connection_id.to_bytes(_ID_SIZE, "big") + self.secret
        return urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")

    @classmethod
    def parse(cls, text: str) -> SessionToken:
        """The token in a `text`.

        Raises:
            ValueError: it contains none. The message does not repeat the text.
        """
        try:
            raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        except (Base64Error, ValueError):
            raise ValueError("not a session_token") from None
        if len(raw) != _ID_SIZE + SECRET_SIZE:
            raise ValueError("not a session_token")
        return cls(int.from_bytes(raw[:_ID_SIZE], "big"), raw[_ID_SIZE:])


def handshake_material(secret: bytes) -> bytes:
    """The key of the handshake's MACs."""
    return _expand(secret, b"", b"craftnet udp 1 handshake", 32)


class HandshakeKey(Struct, eq=False, gc=False):
    """Authenticates HELLO, CHALLENGE and RESPONSE, so that only a holder of the token can start a handshake."""

    _key: bytes

    __repr__ = object.__repr__

    @classmethod
    def of(cls, secret: bytes) -> HandshakeKey:
        """The key from a session_token's secret."""
        return cls(handshake_material(secret))

    def sign(self, content: bytes) -> bytes:
        """The content with its MAC appended."""
        return content + self._mac(content)

    def verify(self, signed: bytes) -> bytes:
        """The content without its MAC.

        Raises:
            BadDatagram: the MAC is wrong.
        """
        if not self.holds(signed):
            raise BadDatagram("forged", "the MAC is wrong")
        return signed[:-MAC_SIZE]

    def holds(self, signed: bytes) -> bool:
        """Whether the MAC is right."""
        return hmac.compare_digest(signed[-MAC_SIZE:], self._mac(signed[:-MAC_SIZE]))

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, "sha256")[:MAC_SIZE]


def traffic_material(secret: bytes, salt: bytes, label: bytes) -> tuple[bytes, bytes, bytes]:
    """The key, the IV, and the next generation's secret, for one direction and generation."""
    material = _expand(secret, salt, b"craftnet udp 1 " + label, _KEY_SIZE + _IV_SIZE + SECRET_SIZE)
    return material[:_KEY_SIZE], material[_KEY_SIZE : _KEY_SIZE + _IV_SIZE], material[_KEY_SIZE + _IV_SIZE :]


class TrafficKey(Struct, eq=False, gc=False):
    """Seals and opens the datagrams of one direction, for one generation of keys.

    Creating the AEAD object takes 0.7 µs, and keeping it takes 2.5 KB, for each of the two directions of every session.
    So it is kept, together with the IV as a number, only where it is used often: from the `OFTEN`th use on, until
    `rest`.

    Attributes:
        kept: the AEAD object, while it is kept.
        iv_number: the IV as a number, while the AEAD object is kept.
    """

    _secrets: bytes  # the key, the IV, then the secret of the next generation.
    _label: bytes
    kept: AESGCM | None = None
    iv_number: int = 0
    _uses: int = 0  # not counted any more once the object is kept.

    __repr__ = object.__repr__

    @classmethod
    def of(cls, secret: bytes, salt: bytes, label: bytes) -> Self:
        """As in `traffic_material`."""
        return cls(b"".join(traffic_material(secret, salt, label)), label)

    @classmethod
    def starting(cls, key: TrafficKey) -> Self:
        """The same key, in an object that also has what a subclass adds."""
        return cls(key._secrets, key._label)

    @property
    def key(self) -> bytes:
        """The key itself: for a key log."""
        return self._secrets[:_KEY_SIZE]

    @property
    def iv(self) -> bytes:
        """The IV: for a key log."""
        return self._secrets[_KEY_SIZE : _KEY_SIZE + _IV_SIZE]

    def successor(self) -> TrafficKey:
        """The key of the next generation, from which this one cannot be derived."""
        return TrafficKey.of(self._secrets[_KEY_SIZE + _IV_SIZE :], b"", self._label)

    def replace(self, successor: TrafficKey) -> None:
        """Becomes the key of the next generation."""
        self._secrets, self.kept, self._uses = successor._secrets, successor.kept, successor._uses
        self.iv_number = successor.iv_number

    def rest(self) -> None:
        """Some time has passed: drops the AEAD object until it is used often again."""
        self.kept, self.iv_number, self._uses = None, 0, 0

    def seal(self, sequence: int, header: bytes, content: bytes) -> bytes:
        """The encrypted content with its tag. No sequence is ever used twice with one key."""
        cipher, iv = (self.kept, self.iv_number) if self.kept else self.made()
        return cipher.encrypt((iv ^ sequence).to_bytes(_IV_SIZE), content, header)

    def open(self, sequence: int, header: bytes, sealed: bytes) -> bytes:
        """The decrypted content.

        Raises:
            BadDatagram: header or content are not what was sealed under this sequence.
        """
        cipher, iv = (self.kept, self.iv_number) if self.kept else self.made()
        try:
            return cipher.decrypt((iv ^ sequence).to_bytes(_IV_SIZE), sealed, header)
        except InvalidTag:
            raise BadDatagram("forged", "the tag is wrong") from None

    def made(self) -> tuple[AESGCM, int]:
        """The AEAD object and the IV for one use; kept once there were enough."""
        cipher, iv = AESGCM(self.key), int.from_bytes(self.iv)
        self._uses += 1
        if self._uses >= OFTEN:
            self.kept, self.iv_number = cipher, iv
        return cipher, iv


def client_key(secret: bytes, client_nonce: bytes, server_nonce: bytes) -> TrafficKey:
    """The key of the client's datagrams."""
    return TrafficKey.of(secret, client_nonce + server_nonce, b"client")


def server_key(secret: bytes, client_nonce: bytes, server_nonce: bytes) -> TrafficKey:
    """The key of the server's datagrams."""
    return TrafficKey.of(secret, client_nonce + server_nonce, b"server")


def _expand(secret: bytes, salt: bytes, info: bytes, size: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=size, salt=salt, info=info).derive(secret)
