"""Spreads the closing of watchers before a server stops, and schedules when each reconnects. Pure.

If all were closed at once, all would reconnect at once to another node, and each of them costs it a handshake and a
verified token.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

CLOSES_PER_SECOND = 100.0
"""Watchers per second that need no spreading: closing fewer takes less time than allowed."""

RECONNECT_SPREAD = 5.0
"""Minimum seconds over which they reconnect."""


class ScheduledClose(NamedTuple):
    """When to close one watcher, seconds from the beginning, and after how many seconds it should reconnect."""

    at: float
    retry_after: float


def schedule(watchers: int, duration: float, uniform: Callable[[float, float], float]) -> list[ScheduledClose]:
    """A closing for each watcher, in order.

    Arguments:
        watchers: their number.
        duration: seconds that closing them may take; 0: all at once.
        uniform: draws from [low, high].

    No watcher is asked to reconnect before the last one was closed.
    """
    duration = min(duration, watchers / CLOSES_PER_SECOND)
    step = duration / max(1, watchers)
    # Rounding may exchange two neighbours.
    times = sorted(number * step + uniform(0.0, step) for number in range(watchers))
    return [ScheduledClose(at, duration - at + uniform(0.0, max(duration, RECONNECT_SPREAD))) for at in times]
