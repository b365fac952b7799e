"""Limits on how often something may be asked for. Pure; rates are per second, times are seconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from math import ceil
from typing import Generic, TypeVar

from craftnet.access.limits import BURST
from craftnet.access.networks import NOWHERE, Networks, source
from craftnet.access.tokenbucket import TokenBucket
from craftnet.errors import TooManyRequests

Key = TypeVar("Key", bound=Hashable)

REMEMBERED = 50_000
"""Keys that are remembered at once. The one that was not heard of for the longest time is forgotten."""


def bucket_of(rate: float) -> TokenBucket | None:
    """The token bucket of `rate` per second, `BURST` seconds' worth at once; None when `rate` is 0, for no limit."""
    return TokenBucket(rate, max(1.0, rate * BURST)) if rate else None


class RateLimit(Generic[Key]):
    """How often something may be asked for with the same key; `BURST` seconds' worth may come at once.

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

    def __init__(self, rate: float, message: str, unlimited: Networks = NOWHERE) -> None:
        self._limit: RateLimit[str] = RateLimit(rate, message)
        self._unlimited = unlimited

    def check(self, address: str, now: float) -> None:
        """As `RateLimit.check`. Of IPv6, all addresses of a network count as one: `craftnet.access.networks.source`."""
        if address not in self._unlimited:
            self._limit.check(source(address), now)
