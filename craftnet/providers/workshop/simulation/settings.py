"""The workshop's settings: `--backend workshop:players=200:seed=7:speed=4`."""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from craftnet.errors import ConfigurationError


class WorkshopSettings(Struct, frozen=True):
    """What to simulate.

    Attributes:
        players: the number of players.
        seed: the seed of all randomness. The same seed gives the same players, sessions and choices at every start, so
            that a command that watched a session yesterday works again today.
        speed: simulated seconds per second of real time.
        rate: progress reports per second and running session; 0: only reports of changes.
        chaos: how often things go wrong, from 0 (never) over 0.5 (as in the catalogue) to 1.
        bias: how wrong estimates of durations are, from 0 (right on average) to 1 (`simulation.bias`).
    """

    players: int = 50
    seed: int = 0
    speed: float = 1.0
    rate: float = 0.5
    chaos: float = 0.5
    bias: float = 0.0


_DEFAULTS = WorkshopSettings()
_BOUNDS: dict[str, tuple[float, float]] = {
    "players": (1, 100_000),
    "seed": (0, 2**63 - 1),
    "speed": (0.1, 1000),
    "rate": (0, 20),
    "chaos": (0, 1),
    "bias": (0, 1),
}
ARGUMENTS: Mapping[str, str] = {
    "players": f"number of players, 1 to 100000 (default {_DEFAULTS.players})",
    "seed": f"whole number; the same seed gives the same sessions at every start (default {_DEFAULTS.seed})",
    "speed": f"simulated seconds per second, 0.1 to 1000 (default {_DEFAULTS.speed:g})",
    "rate": f"progress reports per second and running session, 0 to 20 (default {_DEFAULTS.rate:g})",
    "chaos": f"how often things go wrong, 0 to 1 (default {_DEFAULTS.chaos:g})",
    "bias": (
        "how wrong the authority's estimates are, by recipe, workstation, quality and load: 0 (right on average) to 1 "
        f"(default {_DEFAULTS.bias:g})"
    ),
}
"""The arguments, each with a line of help."""


def parse_workshop_settings(arguments: Mapping[str, str]) -> WorkshopSettings:
    """The settings from the arguments.

    Raises:
        ConfigurationError: a name is unknown, or a value is not a number or out of its range.
    """
    values = {name: _setting(name, text) for name, text in arguments.items()}
    return WorkshopSettings(
        players=int(values.get("players", _DEFAULTS.players)),
        seed=int(values.get("seed", _DEFAULTS.seed)),
        speed=values.get("speed", _DEFAULTS.speed),
        rate=values.get("rate", _DEFAULTS.rate),
        chaos=values.get("chaos", _DEFAULTS.chaos),
        bias=values.get("bias", _DEFAULTS.bias),
    )


def _setting(name: str, text: str) -> float:
    if name not in _BOUNDS:
        raise ConfigurationError(f"workshop: unknown argument {name!r}; the arguments are {', '.join(_BOUNDS)}")
    low, high = _BOUNDS[name]
    whole = name in ("players", "seed")
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        kind = "a whole number" if whole else "a number"
        raise ConfigurationError(f"workshop: {name} must be {kind}, got {text!r}") from None
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigurationError(f"workshop: {name} must be from {low:g} to {high:g}, got {text}")
    return value
