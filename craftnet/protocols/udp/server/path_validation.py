"""A client's address, and its moves: an address is used once the client has proved that it is there. Pure.

After RFC 9000 sections 8.2 and 9. A datagram proves nothing, since an attacker on the path may copy and resend it; only
an answer to a challenge that was sent to the new address does.
"""

from __future__ import annotations

import hmac
from math import inf

from msgspec import Struct

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.cookie import Address

CHALLENGE_INTERVAL = 1.0
"""Seconds between two challenges of one connection, and from one move to the next challenge."""

CHALLENGE_LIFETIME = 5.0
"""Seconds within which a challenge must be answered."""


class PathValidation(Struct, eq=False, gc=False):
    """The validation of the next address of one client.

    Attributes:
        candidate: the recent source of datagrams, while it differs from the client's address; else None.
        former: the address before the last move; None until the client moves. The recorder of moves resets it.
    """

    candidate: Address | None = None
    former: Address | None = None
    _credit: int = 0  # bytes received from the candidate and not yet matched by challenges.
    _challenge: bytes = b""
    _challenged: float = -inf

    def heard(self, address: Address, size: int) -> None:
        """The newest authentic datagram came from this other address, `size` bytes of it."""
        if address != self.candidate:
            self.candidate, self._credit, self._challenge = address, 0, b""
        self._credit += size

    def may_challenge(self, size: int, now: float) -> bool:
        """Whether to send a challenge of `size` bytes to the candidate: at most what it sent, and not too often."""
        return self.candidate is not None and self._credit >= size and now >= self._challenged + CHALLENGE_INTERVAL

    def challenge(self, data: bytes, size: int, now: float) -> Address:
        """Records a challenge of `size` bytes; returns its destination."""
        assert self.candidate is not None
        self._credit -= size
        self._challenge, self._challenged = data, now
        return self.candidate

    def answered(self, data: bytes, address: Address, now: float) -> float:
        """An answer came from `address`: the client is there, and has no other candidate.

        Returns:
            Seconds since the challenge was sent.

        Raises:
            BadDatagram: it answers no recent challenge to that address.
        """
        asked = bool(self._challenge) and address == self.candidate and now < self._challenged + CHALLENGE_LIFETIME
        if not asked or not hmac.compare_digest(data, self._challenge):
            raise BadDatagram("path_wrong", "an answer to no challenge of ours")
        delay = now - self._challenged
        self.candidate, self._challenge, self._challenged = None, b"", now
        return delay
