"""Schedules simulated lives: generators that sleep, resumed in the order of their times. Pure; `now` is an argument.

A life is a generator that yields how many seconds it sleeps (`math.inf`: until it is woken).
"""

from __future__ import annotations

import math
from collections.abc import Generator
from heapq import heappop, heappush
from itertools import count

Life = Generator[float, None, None]


class Sleeper:
    """A life to be resumed later. `turn` distinguishes its valid appointment from outdated ones."""

    __slots__ = ("life", "turn")

    def __init__(self, life: Life) -> None:
        self.life = life
        self.turn = 0


class Schedule:
    """All lives, and the simulated time.

    Attributes:
        now: the simulated moment, Unix seconds. Never goes back.
        current: the life that is running at this moment.
    """

    def __init__(self, now: float) -> None:
        self.now = now
        self.current: Sleeper
        # Turns increase, so lives that are due at the same time resume in the order in which they fell asleep.
        self._turns = count(1)
        self._heap: list[tuple[float, int, Sleeper]] = []

    def begin(self, life: Life, due: float) -> Sleeper:
        """Starts a life at `due`."""
        sleeper = Sleeper(life)
        self._appoint(sleeper, due)
        return sleeper

    def wake(self, sleeper: Sleeper) -> None:
        """Resumes it now, whatever it is waiting for."""
        self._appoint(sleeper, self.now)

    def next_due(self) -> float:
        """When the next life resumes, Unix seconds; infinity when none does."""
        heap = self._heap
        while heap and heap[0][1] != heap[0][2].turn:
            heappop(heap)
        return heap[0][0] if heap else math.inf

    def step(self, until: float) -> bool:
        """Resumes the next life that is due by `until`. False when there is none."""
        due = self.next_due()
        if due > until:
            return False
        _, _, sleeper = heappop(self._heap)
        self.now = max(self.now, due)
        self.current = sleeper
        sleep = next(sleeper.life, None)
        if sleep is not None:
            self._appoint(sleeper, self.now + sleep)
        return True

    def _appoint(self, sleeper: Sleeper, due: float) -> None:
        sleeper.turn = next(self._turns)
        if due < math.inf:
            heappush(self._heap, (due, sleeper.turn, sleeper))
