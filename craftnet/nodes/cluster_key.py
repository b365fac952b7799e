"""The key shared by the nodes of a cluster, which protects secrets sent through their common store. Pure.

AES-256-GCM (NIST SP 800-38D) under a separate key for each message, derived with HKDF-SHA256 (RFC 5869) from the shared
key and a random salt. A message's context is authenticated with it, so that it is invalid in any other context.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from craftnet.errors import ConfigurationError

CLUSTER_KEY_VARIABLE = "CRAFTNET_CLUSTER_KEY"
"""The environment variable that contains the key."""

MINIMUM_KEY = 32
"""Minimum length of the key in bytes."""

_SALT_SIZE = 32
_NONCE = bytes(12)  # each message has a key of its own.
_LABEL = b"craftnet cluster 1"


class ForeignMessage(Exception):
    """A message was not sealed with this key for this context."""


class ClusterKey:
    """Seals and opens messages.

    Arguments:
        secret: at least `MINIMUM_KEY` random bytes, the same on every node.
        random: returns the requested number of random bytes.
    """

    def __init__(self, secret: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        self._secret = secret
        self._random = random

    __repr__ = object.__repr__

    def seal(self, content: bytes, *context: str | int | bytes) -> bytes:
        """The content, encrypted and authenticated together with its context."""
        salt = self._random(_SALT_SIZE)
        return salt + self._cipher(salt).encrypt(_NONCE, content, msgspec.msgpack.encode(context))

    def open(self, sealed: bytes, *context: str | int | bytes) -> bytes:
        """The content of a message that was sealed with this context.

        Raises:
            ForeignMessage: it was sealed with another key or context, or was changed.
        """
        salt, ciphertext = sealed[:_SALT_SIZE], sealed[_SALT_SIZE:]
        try:
            return self._cipher(salt).decrypt(_NONCE, ciphertext, msgspec.msgpack.encode(context))
        except (InvalidTag, ValueError):  # a ValueError: it is shorter than a tag.
            raise ForeignMessage from None

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(algorithm=SHA256(), length=32, salt=salt, info=_LABEL).derive(self._secret))


def cluster_key(environ: Mapping[str, str]) -> ClusterKey:
    """The key in the environment.

    Raises:
        ConfigurationError: there is none, or it is too short.
    """
    secret = environ.get(CLUSTER_KEY_VARIABLE, "").encode("utf-8", "surrogateescape")
    if len(secret) < MINIMUM_KEY:
        problem = f"has {len(secret)} bytes" if secret else "is not set"
        raise ConfigurationError(
            f"--region with a back end that nodes share needs at least {MINIMUM_KEY} bytes in {CLUSTER_KEY_VARIABLE}, "
            f"the same at every node, which protect what nodes send each other; it {problem}. Make one with: "
            "openssl rand -hex 32"
        )
    return ClusterKey(secret)
