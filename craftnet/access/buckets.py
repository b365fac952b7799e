"""Token buckets: how often something may happen. Pure; rates are per second, times are seconds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from enum import Enum
from math import ceil
from typing import Generic, TypeVar

from craftnet.access.limits import BURST
from craftnet.access.networks import NOWHERE, Networks, source
from craftnet.errors import TooManyRequests

Key = TypeVar("Key", bound=Hashable)

REMEMBERED = 50_000
"""Keys that are remembered at once. The one that was not heard of for the longest time is forgotten."""


class Verdict(Enum):
    """What is to be done about somebody who goes on at this rate."""

    HEED = "heed"
    IGNORE = "ignore"
    CLOSE = "close"


class Bucket:
    """One bucket. It holds at most `burst`, is filled at `rate`, and everything that happens takes one out of it."""

    __slots__ = ("_at", "_level")

    def __init__(self, burst: float, now: float) -> None:
        self._level = burst
        self._at = now

    def take(self, rate: float, burst: float, now: float) -> float:
        """Take one if there is one. Answers 0.0, or, taking none, the seconds until there is one."""
        self._fill(rate, burst, now)
        if self._level < 1.0:
            return (1.0 - self._level) / rate
        self._level -= 1.0
        return 0.0

    def judge(self, rate: float, burst: float, now: float) -> Verdict:
        """Take one in any case. A client that is a burst in debt is to be closed."""
        self._fill(rate, burst, now)
        self._level = max(self._level - 1.0, -burst - 1.0)
        if self._level >= 0.0:
            return Verdict.HEED
        return Verdict.IGNORE if self._level >= -burst else Verdict.CLOSE

    def _fill(self, rate: float, burst: float, now: float) -> None:
        # A clock that is set back fills nothing.
        self._level = min(burst, self._level + max(0.0, now - self._at) * rate)
        self._at = now


class Buckets(Generic[Key]):
    """One bucket for each key.

    Arguments:
        rate, burst: of each.
        remembered: how many keys are remembered.
    """

    def __init__(self, rate: float, burst: float, *, remembered: int = REMEMBERED) -> None:
        self._rate = rate
        self.burst = burst
        self._remembered = remembered
        self._buckets: OrderedDict[Key, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, key: Key, now: float) -> float:
        """As `Bucket.take`."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self.burst, now)
            if len(self._buckets) > self._remembered:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket.take(self._rate, self.burst, now)


class RateLimit(Generic[Key]):
    """How often something may be asked for with the same key; `BURST` seconds' worth may come at once.

    Arguments:
        rate: of each key, per second; 0: there is no limit.
        message: what a refusal says.
    """

    def __init__(self, rate: float, message: str) -> None:
        self._rate = rate
        self._message = message
        self._buckets: Buckets[Key] = Buckets(rate, max(1.0, rate * BURST))

    def check(self, key: Key, now: float) -> None:
        """Count a request.

        Raises:
            TooManyRequests: it came too early.
        """
        wait = self._buckets.take(key, now) if self._rate else 0.0
        if wait:
            raise TooManyRequests(self._message, retry_after=ceil(wait), limit=int(self._buckets.burst))


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
