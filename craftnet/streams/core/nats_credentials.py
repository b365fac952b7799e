"""The credentials of a NATS client, and what it sends of them. Pure.

A client names a user and a password, or a token, or it signs the server's nonce with a user's key (NKey, Ed25519),
alone or with a JWT of the account. Sources: nats-io/nkeys for the text form of keys; the NATS client protocol
("CONNECT") for the fields.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from msgspec import Struct

from craftnet.errors import ConfigurationError

_SEED = 18 << 3
_USER = 20 << 3
_BLOCK = re.compile(r"-{3,}BEGIN (NATS USER JWT|USER NKEY SEED)-{3,}\s+(\S+)\s+-{3,}END")
_LONE_SEED = re.compile(r"\s*(S[A-Z2-7]{57})\s*")


class NatsCredentials(Struct, frozen=True):
    """What a client shows; empty fields are not sent.

    Attributes:
        seed: a user's seed, 32 bytes; without a JWT, the server knows the public key.
    """

    user: str = ""
    password: str = ""
    token: str = ""
    jwt: str = ""
    seed: bytes = b""

    def __repr__(self) -> str:
        return f"NatsCredentials(user={self.user!r}, …)"

    def answer(self, nonce: str) -> Mapping[str, str]:
        """The fields of `CONNECT`.

        Arguments:
            nonce: what the server wants signed.
        """
        if self.user:
            return {"user": self.user, "pass": self.password}
        if self.token:
            return {"auth_token": self.token}
        if not self.seed:
            return {}
        key = Ed25519PrivateKey.from_private_bytes(self.seed)
        signature = base64.urlsafe_b64encode(key.sign(nonce.encode())).rstrip(b"=").decode()
        who = {"jwt": self.jwt} if self.jwt else {"nkey": _encoded(bytes([_USER]), key.public_key().public_bytes_raw())}
        return {**who, "sig": signature}


def parse_credentials(text: str) -> NatsCredentials:
    """The credentials in the text of a `.creds` file, or in a text that is a user's seed only.

    Raises:
        ConfigurationError: it is neither. The message contains nothing of the text.
    """
    blocks = dict(_BLOCK.findall(text))
    lone = _LONE_SEED.fullmatch(text)
    seed = lone[1] if lone else blocks.get("USER NKEY SEED", "")
    jwt = blocks.get("NATS USER JWT", "")
    if not seed or not (lone or jwt):
        raise ConfigurationError("expected the blocks NATS USER JWT and USER NKEY SEED, or a user's seed (SU…) alone")
    return NatsCredentials(jwt=jwt, seed=_seed(seed))


def _seed(text: str) -> bytes:
    """The 32 bytes of a user's seed: two bytes of kinds, the seed, and a CRC-16 of both, in base 32."""
    try:
        octets = base64.b32decode(text + "=" * (-len(text) % 8))
    except binascii.Error:
        octets = b""
    if len(octets) != 36 or _checksum(octets[:-2]) != octets[-2:]:
        raise ConfigurationError("the seed is incomplete or mistyped")
    kind = (octets[0] & 7) << 5 | octets[1] >> 3
    if octets[0] & 0xF8 != _SEED or kind != _USER:
        raise ConfigurationError("the seed is that of an account or an operator, not of a user (SU…)")
    return octets[2:34]


def _encoded(kind: bytes, key: bytes) -> str:
    octets = kind + key
    return base64.b32encode(octets + _checksum(octets)).rstrip(b"=").decode()


def _checksum(octets: bytes) -> bytes:
    """CRC-16/XMODEM, the lower byte first."""
    return binascii.crc_hqx(octets, 0).to_bytes(2, "little")
