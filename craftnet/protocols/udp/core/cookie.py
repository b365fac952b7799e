"""Cookies over address, nonces and time, with which the client keeps the server's state (RFC 9000 section 8.1.4)."""

from __future__ import annotations

import hmac

from craftnet.errors import BadDatagram
from craftnet.protocols.wire.records import Cookie

Address = tuple[str, int, *tuple[object, ...]]
"""The source of a datagram: an IP address and a port, and whatever else its socket needs to answer there, such as the
local address to which it was sent. Addresses that differ in any of it are different."""

COOKIE_LIFETIME = 10.0
"""Seconds within which a cookie must be returned."""

COOKIE_CLOCK_SKEW = 1.0
"""Seconds by which a cookie may be from the future: our own clock may have been set back."""

_SEAL_SIZE = 16


class CookieFactory:
    """Makes cookies and verifies its own.

    Arguments:
        secret: 32 random bytes; cookies of another secret are invalid.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(
        self, address: Address, connection_id: int, client_nonce: bytes, server_nonce: bytes, now: float
    ) -> Cookie:
        """A cookie for a client that claims to be at `address`."""
        issued_us = round(now * 1_000_000)
        return Cookie(
            issued_us, server_nonce, self._seal(address, connection_id, client_nonce, server_nonce, issued_us)
        )

    def verify(self, cookie: Cookie, address: Address, connection_id: int, client_nonce: bytes, now: float) -> None:
        """Verifies that a cookie was made here, recently, for this address and handshake.

        Raises:
            BadDatagram: it was not.
        """
        seal = self._seal(address, connection_id, client_nonce, cookie.server_nonce, cookie.issued_us)
        if not hmac.compare_digest(seal, cookie.seal):
            raise BadDatagram("cookie_wrong")
        if not -COOKIE_CLOCK_SKEW <= now - cookie.issued_us / 1_000_000 <= COOKIE_LIFETIME:
            raise BadDatagram("cookie_expired")

    def _seal(
        self, address: Address, connection_id: int, client_nonce: bytes, server_nonce: bytes, issued_us: int
    ) -> bytes:
        # Everything but the host has a fixed size, and the host comes last: no two inputs give the same octets.
        content = (
            client_nonce
            + server_nonce
            + connection_id.to_bytes(4, "big")
            + issued_us.to_bytes(8, "big")
            + address[1].to_bytes(2, "big")
            + address[0].encode()
        )
        return hmac.digest(self._secret, content, "sha256")[:_SEAL_SIZE]
