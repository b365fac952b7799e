"""The token bucket behind every rate limit. Pure.

It is GCRA (generic cell rate algorithm, ITU-T I.371): the whole state of one bucket is the time at which it is full
again, one float, which its holder keeps. An unused bucket is full since any time in the past.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from math import ceil
from typing import Generic, TypeVar

from craftnet.errors import TooManyRequests
from craftnet.limits.client_address import NO_NETWORKS, Networks, address_key
from craftnet.limits.connection_limits import BURST_SECONDS

ROUNDING_TOLERANCE = 0.01
"""Tokens by which a bucket may be short: times as large as Unix time are rounded, and the errors of a burst add up."""


class TokenBucket:
    """Rate and burst of token buckets. Contains no bucket's state.

    Arguments:
        rate: tokens added per second; more than 0.
        burst: tokens in a full bucket; at least 1.

    Attributes:
        each: seconds per token.
        ahead: the longest time until it is full again, in seconds, at which a bucket has a token.
    """

    __slots__ = ("ahead", "burst", "each", "rate")

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self.burst = burst
        self.each = 1 / rate
        self.ahead = (burst - 1 + ROUNDING_TOLERANCE) / rate

    def take(self, full_at: float, now: float) -> float | None:
        """Takes a token if there is one: returns when the bucket is full again. Otherwise returns None."""
        if full_at <= now:
            return now + self.each
        return None if full_at - now > self.ahead else full_at + self.each

    def wait(self, full_at: float, now: float) -> float:
        """The seconds until there is a token; 0.0 when there is one."""
        return max(0.0, full_at - now - self.ahead)

    def charge(self, full_at: float, now: float, credit: float = 0.0) -> float:
        """Takes a token in any case; returns when the bucket is full again.

        Arguments:
            credit: tokens beyond the burst that may be owed; a bucket that owes more is not charged further.
        """
        most = now + (self.burst + credit) * self.each
        return min(max(full_at, now), most) + self.each

    def debt(self, full_at: float, now: float) -> float:
        """The tokens owed; 0.0 when the bucket is not overdrawn."""
        return max(0.0, (full_at - now) * self.rate - self.burst - ROUNDING_TOLERANCE)


Key = TypeVar("Key", bound=Hashable)

MAX_KEYS = 50_000
"""Keys that are remembered at once. The least recent one is forgotten."""


def bucket_of(rate: float) -> TokenBucket | None:
    """The token bucket for `rate` per second and a burst of `BURST_SECONDS` seconds' worth; None for rate 0."""
    return TokenBucket(rate, max(1.0, rate * BURST_SECONDS)) if rate else None


class RateLimit(Generic[Key]):
    """The rate limit of each key; `BURST_SECONDS` seconds' worth may arrive at once.

    Arguments:
        rate: of each key, per second; 0: no limit.
        message: the text of a refusal.
        remembered: the number of keys that are remembered.
    """

    def __init__(self, rate: float, message: str, *, remembered: int = MAX_KEYS) -> None:
        self._bucket = bucket_of(rate)
        self._message = message
        self._remembered = remembered
        self._full_at: OrderedDict[Key, float] = OrderedDict()  # least recent first.

    def __len__(self) -> int:
        return len(self._full_at)

    def change(self, rate: float) -> None:
        """Replaces the rate. With another one, every key starts with a full bucket."""
        bucket = bucket_of(rate)
        if (bucket and bucket.rate) != (self._bucket and self._bucket.rate):
            self._bucket = bucket
            self._full_at.clear()  # these times were computed with the rate of before.

    def check(self, key: Key, now: float) -> None:
        """Counts a request.

        Raises:
            TooManyRequests: the rate is exceeded.
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
        unlimited: exempt addresses.
    """

    def __init__(self, rate: float, message: str, unlimited: Networks = NO_NETWORKS) -> None:
        self._limit: RateLimit[str] = RateLimit(rate, message)
        self._unlimited = unlimited

    def change(self, rate: float, unlimited: Networks) -> None:
        """Replaces the rate and the exempt addresses."""
        self._limit.change(rate)
        self._unlimited = unlimited

    def check(self, address: str, now: float) -> None:
        """As `RateLimit.check`. All IPv6 addresses of a network count as one:
        `craftnet.limits.client_address.address_key`.
        """
        if address not in self._unlimited:
            self._limit.check(address_key(address), now)
