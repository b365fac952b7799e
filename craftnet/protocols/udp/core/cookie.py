"""The server's memory of a HELLO, kept by the client: a cookie over address, nonces, time (RFC 9000 section 8.1.4)."""

from __future__ import annotations

import hmac

from craftnet.errors import BadDatagram
from craftnet.protocols.wire.records import Cookie

Address = tuple[str, int, *tuple[object, ...]]
"""Where a datagram comes from: an IP address and a port, and whatever else its socket needs to answer there, such as
which of the server's own addresses it was sent to. What differs in any of it is another address."""

COOKIE_LIFETIME = 10.0
"""Seconds within which a cookie must come back."""

COOKIE_CLOCK_SKEW = 1.0
"""Seconds by which a cookie may be from the future: our own clock may have been set back."""

_SEAL_SIZE = 16


class CookieFactory:
    """Makes cookies and knows its own again.

    Arguments:
        secret: 32 random bytes; cookies of another secret do not hold.
    """

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(
        self, address: Address, connection_id: int, client_nonce: bytes, server_nonce: bytes, now: float
    ) -> Cookie:
        """A cookie for who claims to be at `address`."""
        issued_us = round(now * 1_000_000)
        return Cookie(
            issued_us, server_nonce, self._seal(address, connection_id, client_nonce, server_nonce, issued_us)
        )

    def verify(self, cookie: Cookie, address: Address, connection_id: int, client_nonce: bytes, now: float) -> None:
        """Whether the cookie was baked here, for this address and handshake, and lately.

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
        # Everything but the host has a fixed size, and the host comes last: no two inputs make the same octets.
        content = (
            client_nonce
            + server_nonce
            + connection_id.to_bytes(4, "big")
            + issued_us.to_bytes(8, "big")
            + address[1].to_bytes(2, "big")
            + address[0].encode()
        )
        return hmac.digest(self._secret, content, "sha256")[:_SEAL_SIZE]
