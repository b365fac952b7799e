"""What strangers may cost: who sends datagrams that turn out forged is not decrypted for a while. Pure.

Only failed authentication is charged, and established connections are looked at whatever their address was charged
with: who forges a player's address does not use up anything of that player's.
"""

from __future__ import annotations

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
"""How many sources are remembered; beyond them the one charged longest ago is forgotten."""


_MAPPED = "::ffff:"
"""How a socket that takes both families names IPv4 addresses (RFC 4291 section 2.5.5.2)."""


class ForgeryLimiter:
    """Every source that failed lately, with a token bucket for each."""

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}  # least lately charged first.

    def __len__(self) -> int:
        return len(self._full_at)

    def exhausted(self, address: Address, now: float) -> bool:
        """Whether a datagram from there is not worth its decryption."""
        if not self._full_at:  # the usual case.
            return False
        return _BUCKET.debt(self._full_at.get(_source(address), 0.0), now) > 0

    def charge(self, address: Address, now: float) -> None:
        """A datagram from there was forged."""
        source = _source(address)
        # Who is exhausted is not charged on: what is decrypted all the same, because it names an established connection
        # and comes from its address, would close that address for hours to the player it belongs to.
        full_at = _BUCKET.charge(self._full_at.pop(source, now), now)
        if len(self._full_at) >= MAX_SOURCES:
            del self._full_at[next(iter(self._full_at))]
        self._full_at[source] = full_at


def _source(address: Address) -> str:
    """What `craftnet.limits.client_address.address_key` takes for one, found faster: it is asked before anything is
    decrypted.
    """
    host = address[0]
    if ":" not in host:
        return host
    if host.startswith(_MAPPED) and "." in host:
        return host[len(_MAPPED) :]
    parsed = parse_address(host)
    return str(int(parsed) >> 128 - IPV6_PREFIX if isinstance(parsed, IPv6Address) else parsed)
