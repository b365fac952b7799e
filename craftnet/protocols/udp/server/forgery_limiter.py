"""Limits what strangers may cost: datagrams of a source with many forgeries are not decrypted for a while. Pure.

Only failed authentication is charged, and datagrams of established connections are decrypted whatever their address was
charged with: forging a player's address uses up nothing of that player's budget.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address

from craftnet.limits.client_address import IPV6_PREFIX, parse_address
from craftnet.limits.token_bucket import TokenBucket
from craftnet.protocols.udp.core.cookie import Address

FORGERIES_PER_SECOND = 20.0
"""Failed authentications per second that one source may cause …"""

FORGERY_BURST = 100.0
"""… and as many at once."""

_BUCKET = TokenBucket(FORGERIES_PER_SECOND, FORGERY_BURST)

MAX_SOURCES = 4096
"""Sources that are remembered; beyond them the one charged longest ago is forgotten."""


_MAPPED = "::ffff:"
"""The prefix of IPv4 addresses on a dual-stack socket (RFC 4291 section 2.5.5.2)."""


class ForgeryLimiter:
    """The sources that failed lately, with a token bucket for each.

    Arguments:
        charged: called with the address of each forged datagram.
    """

    def __init__(self, charged: Callable[[Address], None] = lambda address: None) -> None:
        self._charged = charged
        self._full_at: dict[str, float] = {}  # least recently charged first.

    def __len__(self) -> int:
        return len(self._full_at)

    def exhausted(self, address: Address, now: float) -> bool:
        """Whether to drop a datagram from there unread."""
        if not self._full_at:  # the usual case.
            return False
        return _BUCKET.debt(self._full_at.get(_source(address), 0.0), now) > 0

    def charge(self, address: Address, now: float) -> None:
        """Charges a source for a forged datagram."""
        self._charged(address)
        source = _source(address)
        # An exhausted source is not charged further: datagrams that are decrypted all the same, because they name an
        # established connection at that address, would otherwise close that address to its player for hours.
        full_at = _BUCKET.charge(self._full_at.pop(source, now), now)
        if len(self._full_at) >= MAX_SOURCES:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[source] = full_at


def _source(address: Address) -> str:
    """The same as `craftnet.limits.client_address.address_key`, but faster: it runs before every decryption."""
    host = address[0]
    if ":" not in host:
        return host
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    parsed = parse_address(host)
    return str(int(parsed) >> 128 - IPV6_PREFIX if isinstance(parsed, IPv6Address) else parsed)
