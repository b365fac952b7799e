"""Delays between attempts: exponential backoff with full jitter, so that clients do not all return at once. Pure."""

from __future__ import annotations

import random
from collections.abc import Callable


class Backoff:
    """The delays between attempts. Each is drawn evenly from 0 to a ceiling that doubles with every attempt.

    Arguments:
        first: the first ceiling, seconds.
        cap: the highest ceiling, seconds.
        stable: a connection that lasts this long, in seconds, resets the ceiling.
        uniform: draws from [low, high]; tests pass a deterministic one.
    """

    def __init__(
        self,
        *,
        first: float = 0.5,
        cap: float = 30.0,
        stable: float = 10.0,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._first = first
        self._cap = cap
        self._stable = stable
        self._uniform = uniform
        self._ceiling = first
        self._opened: float | None = None

    def opened(self, now: float) -> None:
        """Records that a connection is open."""
        self._opened = now

    def delay(self, now: float, retry_after: float | None = None) -> float:
        """Seconds to wait before the next attempt; `retry_after` is the delay that the server asked for, if any."""
        if self._opened is not None and now - self._opened >= self._stable:
            self._ceiling = self._first
        self._opened = None
        drawn = self._uniform(0.0, self._ceiling)
        self._ceiling = min(self._cap, 2 * self._ceiling)
        return drawn + (retry_after or 0.0)
