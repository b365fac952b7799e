"""Refused datagrams, told to people in one line every few seconds, however many they are. Pure."""

from __future__ import annotations

from collections import Counter
from math import inf

INTERVAL = 10.0
"""Seconds between two lines."""

HARMLESS = frozenset({"accepted", "unsent"})
"""Outcomes that are no refusals."""


class Refusals:
    """Counts what becomes of datagrams, and says so now and then."""

    def __init__(self) -> None:
        self._counted: Counter[str] = Counter()
        self._next = -inf

    def count(self, outcome: str, now: float) -> str | None:
        """One more of this outcome; the line to write, when it is time for one."""
        if outcome in HARMLESS:
            return None
        self._counted[outcome] += 1
        if now < self._next:
            return None
        self._next = now + INTERVAL
        told = ", ".join(f"{number} {name}" for name, number in self._counted.most_common())
        self._counted.clear()
        return f"datagrams refused: {told}"
