"""The statistical model: learns the factor by which the authority's estimates are wrong, and forecasts it. Pure.

The logarithm of actual/estimated is a sum of effects: of all crafts, of the phase, of the recipe, of the workstation,
and of the recipe in the phase. Each effect is the mean of the residuals that the effects before it leave, shrunk
towards zero while it has few samples. Two slopes add the influence of the quality of the materials and of the load.
The sum forecasts the median. The 90 % quantile of the residuals is tracked for each recipe and phase, and shrunk
towards that of all crafts in the phase.

A forecast is made only where its rolling error is less than that of the authority's estimates.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from enum import StrEnum
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

MAX_KEYS = 4096
"""Maximum number of keys; a further key replaces the one that was updated least recently."""

SHRINKAGE, SHRINKAGE_IN_PHASE = 0.5, 4.0
"""Samples, besides the first, after which an effect counts half; the second is of a recipe's effect in one phase."""

SLOPE_SHRINKAGE = 2.0
"""Sum of squared differences of quality or load at which a slope is shrunk to half."""

QUALITY_UNIT, LOAD_UNIT = 10.0, 10.0
"""The units of the slopes: points of quality, and crafts under way."""

MAX_RESIDUAL = 0.5
"""Maximum residual of one sample, as a logarithm: larger ones count as this."""

MAX_LOG = 3.0
"""The largest credible logarithm of actual/estimated: a factor of 20. A sample beyond it is refused."""

MEMORY, MEMORY_OF_ALL = 1000, 100
"""Samples over which effects are averaged. For all crafts they are few, so that the effect follows recent changes."""

P90_STEP, P90_MEMORY = 0.5, 50
"""By how much the first sample moves the 90 % quantile; the n-th moves it by one n-th of that, until this many."""

ERROR_MEMORY = 50
"""Samples over which the two rolling errors are averaged."""

MIN_SAMPLES = 8
"""Samples of a recipe in a phase before its own errors decide about forecasts; until then, those of all crafts do."""

MIN_SAMPLES_OF_ALL = 30
"""Samples in a phase before anything is forecast."""

MARGIN = 0.95
"""Maximum ratio of the forecasts' error to the authority's error at which a forecast is made."""

ALL, QUALITY, LOAD = "all", "quality", "load"
"""The keys of the effects that all crafts share."""


class Phase(StrEnum):
    """The part of a craft for which an estimate is made: an authority may correct itself on the way."""

    START = "s"
    """The estimate at the start, of the whole craft."""
    HALF = "h"
    """The remaining time that the authority reports at half or later."""


class Kind(Struct, frozen=True, gc=False):
    """The properties of a craft by which its forecast is chosen.

    Attributes:
        station: the workstation; None when unknown.
        quality: the mean quality of the materials, 1 to 100; None when unknown.
        load: crafts under way when it started; None when unknown.
    """

    recipe_id: UUID
    station: UUID | None = None
    quality: int | None = None
    load: int | None = None


class CraftSample(Struct, frozen=True, array_like=True, gc=False):
    """An estimate of the authority, and the time that the craft then took.

    Attributes:
        estimated, actual: seconds of crafting; pauses do not count.
    """

    phase: Phase
    kind: Kind
    estimated: float
    actual: float


class Forecast(Struct, frozen=True, gc=False):
    """Factors for an estimate: half of all crafts take at most `p50` times the estimate, 90 % at most `p90` times."""

    p50: float
    p90: float


class Entry(Struct, array_like=True, gc=False):
    """The statistics of one key.

    Attributes:
        count: samples.
        mean: the effect, unshrunk.
        quality: of a recipe: the mean quality of its materials.
        p90: the 90 % quantile of what the effects leave unexplained. Kept for each phase, and for each recipe in it.
        learned, stated: mean absolute errors of forecasts, and of the authority's estimates; as logarithms. Kept for
            the same keys.
    """

    count: int = 0
    mean: float = 0.0
    quality: float = 0.0
    p90: float = 0.0
    learned: float = 0.0
    stated: float = 0.0

    def effect(self, shrinkage: float = SHRINKAGE) -> float:
        """The shrunk effect; zero after a single sample."""
        return _weight(self.count, shrinkage) * self.mean


class Slope(Struct, array_like=True, gc=False):
    """A regression of the logarithm on one quantity.

    Attributes:
        count: samples.
        mean: of the quantity.
        squares, products: sums of the squared difference from what it is compared with, and of that difference and the
            logarithm; old samples count less.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    products: float = 0.0

    @property
    def slope(self) -> float:
        """The slope, shrunk towards none."""
        return self.products / (self.squares + SLOPE_SHRINKAGE)

    def add(self, value: float, difference: float, log: float) -> None:
        """Learns from a sample."""
        keep = 1.0 - 1.0 / MEMORY
        self.count += 1
        self.mean += (value - self.mean) / min(self.count, MEMORY)
        self.squares = self.squares * keep + difference * difference
        self.products = self.products * keep + difference * log


def _weight(count: int, shrinkage: float) -> float:
    """The weight of a mean of this many samples, 0 to 1; the rest is the weight of its parent's mean."""
    return max(0, count - 1) / (max(0, count - 1) + shrinkage)


class ModelSummary(Struct, frozen=True):
    """The state of a model, for storage.

    Attributes:
        samples: the number of samples learned from.
        quality, load: the two slopes.
        entries: by key, in the order of their last update.
    """

    samples: int
    quality: Slope
    load: Slope
    entries: dict[str, Entry]


class ForecastModel:
    """The model.

    Arguments:
        max_keys: see `MAX_KEYS`.

    Attributes:
        samples: the number of samples learned from.
    """

    def __init__(self, max_keys: int = MAX_KEYS) -> None:
        self._max_keys = max_keys
        self._entries: OrderedDict[str, Entry] = OrderedDict()
        self._quality, self._load = Slope(), Slope()
        self.samples = 0

    def __len__(self) -> int:
        """The number of keys."""
        return len(self._entries)

    def learn(self, sample: CraftSample) -> bool:
        """Learns from a sample; returns whether it is credible."""
        if not (sample.estimated > 0.0 and sample.actual > 0.0):
            return False
        log = math.log(sample.actual / sample.estimated)
        if not abs(log) <= MAX_LOG:
            return False
        kind, entries = sample.kind, {key: self._touched(key) for key in _keys(sample.phase, sample.kind)}
        by_quality, by_load = self._by_quality(kind), self._by_load(kind)
        unexplained = log - by_quality - by_load - _effect(entries)
        phase, recipe, in_phase = entries[sample.phase.value], entries[_recipe(kind)], entries[_judge(sample)]
        for entry in (phase, in_phase):
            _compare(entry, abs(unexplained), abs(log))
            _move_quantile(entry, unexplained)
        rest = min(MAX_RESIDUAL, max(-MAX_RESIDUAL, unexplained))
        if kind.quality is not None:
            self._quality.add(kind.quality, self._better(kind), by_quality + rest)
            recipe.quality += (kind.quality - recipe.quality) / min(recipe.count + 1, MEMORY)
        if kind.load is not None:
            self._load.add(kind.load, self._busier(kind), by_load + rest)
        rest -= self._by_quality(kind) - by_quality + self._by_load(kind) - by_load
        for key, entry in entries.items():
            shrinkage = _shrinkage(key)
            before = entry.effect(shrinkage)
            entry.count += 1
            entry.mean += (before + rest - entry.mean) / min(entry.count, MEMORY_OF_ALL if key == ALL else MEMORY)
            rest -= entry.effect(shrinkage) - before
        while len(self._entries) > self._max_keys:
            self._entries.popitem(last=False)
        self.samples += 1
        return True

    def forecast(self, phase: Phase, kind: Kind) -> Forecast | None:
        """The forecast for a craft of this kind; None while the authority's estimates are as good."""
        found = {key: entry for key in _keys(phase, kind) if (entry := self._entries.get(key)) is not None}
        every, own = found.get(phase.value), found.get(f"{phase.value}/{_recipe(kind)}")
        if every is None or every.count < MIN_SAMPLES_OF_ALL:
            return None
        if not _wins(own if own is not None and own.count >= MIN_SAMPLES else every):
            return None
        log = _effect(found) + self._by_quality(kind) + self._by_load(kind)
        p90 = every.p90
        if own is not None:
            p90 += _weight(own.count, SHRINKAGE_IN_PHASE) * (own.p90 - p90)
        return Forecast(_factor(log), _factor(log + max(0.0, p90)))

    def errors(self, phase: Phase) -> tuple[float, float]:
        """The rolling errors of forecasts and of the authority's estimates over all crafts, as logarithms."""
        entry = self._entries.get(phase.value, Entry())
        return entry.learned, entry.stated

    def wins(self) -> tuple[int, int]:
        """The number of recipes with forecasts, and of those whose estimates are as good.

        Counts each recipe once in each phase, and only with at least `MIN_SAMPLES` samples there.
        """
        judged = [_wins(entry) for key, entry in self._entries.items() if "/" in key and entry.count >= MIN_SAMPLES]
        return sum(judged), len(judged) - sum(judged)

    def summary(self) -> ModelSummary:
        """The state of the model, for storage."""
        entries = {key: replace(entry) for key, entry in self._entries.items()}
        return ModelSummary(self.samples, replace(self._quality), replace(self._load), entries)

    def restore(self, summary: ModelSummary) -> None:
        """Replaces the state of the model by a stored one."""
        self.samples = summary.samples
        self._quality, self._load = replace(summary.quality), replace(summary.load)
        self._entries = OrderedDict((key, replace(entry)) for key, entry in summary.entries.items())
        while len(self._entries) > self._max_keys:
            self._entries.popitem(last=False)

    def _touched(self, key: str) -> Entry:
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = Entry()
        self._entries.move_to_end(key)
        return entry

    def _better(self, kind: Kind) -> float:
        """The quality of the materials above the recipe's mean, in units of the slope."""
        recipe = self._entries.get(_recipe(kind))
        if kind.quality is None or recipe is None or not recipe.count:
            return 0.0
        return (kind.quality - recipe.quality) / QUALITY_UNIT

    def _busier(self, kind: Kind) -> float:
        """The number of crafts under way above the mean, in units of the slope."""
        if kind.load is None or not self._load.count:
            return 0.0
        return (kind.load - self._load.mean) / LOAD_UNIT

    def _by_quality(self, kind: Kind) -> float:
        return self._quality.slope * self._better(kind)

    def _by_load(self, kind: Kind) -> float:
        return self._load.slope * self._busier(kind)


def _recipe(kind: Kind) -> str:
    return f"r{kind.recipe_id.hex}"


def _judge(sample: CraftSample) -> str:
    return f"{sample.phase.value}/{_recipe(sample.kind)}"


def _keys(phase: Phase, kind: Kind) -> list[str]:
    """The keys of a kind, in the order in which effects are explained."""
    recipe = _recipe(kind)
    keys = [ALL, phase.value, recipe]
    if kind.station is not None:
        keys.append(f"w{kind.station.hex}")
    keys.append(f"{phase.value}/{recipe}")
    return keys


def _shrinkage(key: str) -> float:
    return SHRINKAGE_IN_PHASE if "/" in key else SHRINKAGE


def _effect(entries: dict[str, Entry]) -> float:
    return sum(entry.effect(_shrinkage(key)) for key, entry in entries.items())


def _factor(log: float) -> float:
    return math.exp(min(MAX_LOG, max(-MAX_LOG, log)))


def _wins(entry: Entry) -> bool:
    """Whether forecasts have been clearly better than the authority's estimates."""
    return entry.learned < MARGIN * entry.stated


def _compare(entry: Entry, learned: float, stated: float) -> None:
    """Averages both errors, measured on a sample before the model learns from it."""
    share = 1.0 / min(entry.count + 1, ERROR_MEMORY)
    entry.learned += (learned - entry.learned) * share
    entry.stated += (stated - entry.stated) * share


def _move_quantile(entry: Entry, unexplained: float) -> None:
    """Moves the 90 % quantile up or down by a step whose size does not depend on the sample's distance."""
    entry.p90 += P90_STEP / min(entry.count + 1, P90_MEMORY) * (0.9 - (unexplained <= entry.p90))
