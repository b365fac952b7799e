"""How wrong the authority's estimates are: for lasting reasons, some crafts take longer than it says. Pure.

The authority knows nothing of it: it estimates, and reports the remaining time, as if every craft took its nominal
time. The reasons are the recipe, the workstation, the quality aimed at, and how many players craft at the same time.
"""

from __future__ import annotations

import math
from random import Random
from uuid import UUID

from msgspec import Struct

RECIPE, STATION, QUALITY, LOAD = 0.3, 0.12, 0.4, 0.5
"""At a bias of 1: the standard deviation of the logarithm of the duration over recipes, and over workstations, and its
range over qualities, and over loads."""

OFFSETS = (-20, -10, 0, 10, 20)
"""Points of quality by which players aim lower or higher than the recipe's own."""

WAVE = 2400.0
"""Simulated seconds from one busy hour to the next."""

QUIET = 6.0
"""How much longer players rest in the quietest hour than in the busiest."""


class Bias(Struct, frozen=True):
    """The bias of one simulation.

    Arguments:
        strength: 0: estimates are right on average; 1: as the constants say.
        seed: of the recipes' and the workstations' shares.
    """

    strength: float = 0.0
    seed: int = 0

    def drag(self, recipe_id: UUID, workstation_id: UUID, offset: int, load: float) -> float:
        """How many times as long as estimated a craft takes, on average.

        Arguments:
            offset: one of `OFFSETS`.
            load: the share of the players who craft, 0 to 1.
        """
        if not self.strength:
            return 1.0
        quality = offset / (max(OFFSETS) - min(OFFSETS))
        log = RECIPE * self._share(recipe_id) + STATION * self._share(workstation_id)
        return math.exp(self.strength * (log + QUALITY * quality + LOAD * (load - 0.5)))

    def offset(self, session_id: UUID) -> int:
        """The quality that a player aims at in this session, as one of `OFFSETS`; 0 without a bias."""
        return Random(f"{self.seed}/{session_id}").choice(OFFSETS) if self.strength else 0

    def rest(self, seconds: float, now: float) -> float:
        """How long a player rests at `now` (both on the same clock) who would rest for `seconds` without a bias."""
        if not self.strength:
            return seconds
        quiet = 0.5 - 0.5 * math.sin(2.0 * math.pi * now / WAVE)
        return seconds * (1.0 + (QUIET - 1.0) * quiet)

    def _share(self, key: UUID) -> float:
        """A number of the standard normal distribution, the same at every start."""
        return Random(f"{self.seed}/{key}").gauss(0.0, 1.0)
