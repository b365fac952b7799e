"""How watchers are sent away before a server stops: not all at once, and each told when to come back. Pure.

If all were sent away at once they would all come back at once, to whoever takes over, and each of them costs it a
handshake and a token to be checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

PACE = 100.0
"""Watchers a second that need no spreading: with fewer of them, closing takes less time than it may."""

SPREAD = 5.0
"""Seconds over which they come back, if closing them takes less."""


class Closing(NamedTuple):
    """When to close one watcher, seconds from the beginning, and after how many seconds it is to come back."""

    at: float
    retry_after: float


def schedule(watchers: int, duration: float, uniform: Callable[[float, float], float]) -> list[Closing]:
    """A closing for each watcher, in order.

    Arguments:
        watchers: how many there are.
        duration: seconds that closing them may take; 0: all at once.
        uniform: draws from [low, high].

    Nobody is told to come back before the last one was closed.
    """
    duration = min(duration, watchers / PACE)
    step = duration / max(1, watchers)
    # Rounding may exchange two neighbours.
    times = sorted(number * step + uniform(0.0, step) for number in range(watchers))
    return [Closing(at, duration - at + uniform(0.0, max(duration, SPREAD))) for at in times]
