"""The token bucket behind every limit on how often something may happen. Pure.

It is kept as GCRA (generic cell rate algorithm, ITU-T I.371): the whole state of one bucket is the time at which it is
full again, one float, which its holder keeps. A bucket that nobody has used yet is full since any time in the past.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from math import ceil
from typing import Generic, TypeVar

from craftnet.errors import TooManyRequests
from craftnet.limits.client_address import NO_NETWORKS, Networks, address_key
from craftnet.limits.connection_limits import BURST_SECONDS

SLACK = 0.01
"""Tokens by which a bucket may be short: times as large as Unix time are rounded, and the errors of a burst add up."""


class TokenBucket:
    """Rate and burst of token buckets. It holds no bucket's state.

    Arguments:
        rate: tokens per second that come in; more than 0.
        burst: tokens that a full bucket holds; at least 1.
    """

    __slots__ = ("_ahead", "_each", "burst", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self._each = 1 / rate
        self._ahead = (burst - 1 + SLACK) / rate

    def take(self, full_at: float, now: float) -> float | None:
        """Take a token if there is one; return when the bucket is full again, or None, taking none."""
        if full_at <= now:
            return now + self._each
        return None if full_at - now > self._ahead else full_at + self._each

    def wait(self, full_at: float, now: float) -> float:
        """Return the seconds until there is a token; 0.0 when there is one."""
        return max(0.0, full_at - now - self._ahead)

    def charge(self, full_at: float, now: float, credit: float = 0.0) -> float:
        """Take a token in any case; return when the bucket is full again.

        Arguments:
            credit: tokens beyond the burst that may be owed; a bucket that owes more is not charged on.
        """
        most = now + (self.burst + credit) * self._each
        return min(max(full_at, now), most) + self._each

    def debt(self, full_at: float, now: float) -> float:
        """Return the tokens that are owed; 0.0 when the bucket is not overdrawn."""
        return max(0.0, (full_at - now) * self.rate - self.burst - SLACK)


Key = TypeVar("Key", bound=Hashable)

REMEMBERED = 50_000
"""Keys that are remembered at once. The one that was not heard of for the longest time is forgotten."""


def bucket_of(rate: float) -> TokenBucket | None:
    """The token bucket of `rate` per second, `BURST_SECONDS` seconds' worth at once; None when `rate` is 0, for no
    limit.
    """
    return TokenBucket(rate, max(1.0, rate * BURST_SECONDS)) if rate else None


class RateLimit(Generic[Key]):
    """How often something may be asked for with the same key; `BURST_SECONDS` seconds' worth may come at once.

    Arguments:
        rate: of each key, per second; 0: there is no limit.
        message: what a refusal says.
        remembered: how many keys are remembered.
    """

    def __init__(self, rate: float, message: str, *, remembered: int = REMEMBERED) -> None:
        self._bucket = bucket_of(rate)
        self._message = message
        self._remembered = remembered
        self._full_at: OrderedDict[Key, float] = OrderedDict()  # least lately asked for first.

    def __len__(self) -> int:
        return len(self._full_at)

    def check(self, key: Key, now: float) -> None:
        """Count a request.

        Raises:
            TooManyRequests: it came too early.
        """
        bucket = self._bucket
        if bucket is None:
            return
        before = self._full_at.pop(key, now)
        after = bucket.take(before, now)
        self._full_at[key] = before if after is None else after
        if len(self._full_at) > self._remembered:
            self._full_at.popitem(last=False)
        if after is None:
            wait = ceil(bucket.wait(before, now))
            raise TooManyRequests(self._message, retry_after=wait, limit=int(bucket.burst))


class AddressLimit:
    """A `RateLimit` of addresses.

    Arguments:
        unlimited: the addresses that it does not hold for.
    """

    def __init__(self, rate: float, message: str, unlimited: Networks = NO_NETWORKS) -> None:
        self._limit: RateLimit[str] = RateLimit(rate, message)
        self._unlimited = unlimited

    def check(self, address: str, now: float) -> None:
        """As `RateLimit.check`. Of IPv6, all addresses of a network count as one:
        `craftnet.limits.client_address.address_key`.
        """
        if address not in self._unlimited:
            self._limit.check(address_key(address), now)
