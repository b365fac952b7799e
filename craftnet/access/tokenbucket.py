"""The token bucket behind every limit on how often something may happen. Pure.

It is kept as GCRA (generic cell rate algorithm, ITU-T I.371): the whole state of one bucket is the time at which it is
full again, one float, which its holder keeps. A bucket that nobody has used yet is full since any time in the past.
"""

from __future__ import annotations

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
