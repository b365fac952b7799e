"""Makes samples of a completed craft, and the forecast for one that is under way. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UnsetType

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Expectation
from craftnet.crafting.state import CraftTiming, SessionState
from craftnet.crafting.timing import HALF
from craftnet.forecast.model import CraftSample, Forecast, ForecastModel, Kind, Phase

LEAST_SECONDS = 1.0
"""Minimum estimate of a sample, seconds: for shorter ones, delays of the events weigh too much."""


def samples_of(state: SessionState) -> Iterator[CraftSample]:
    """The samples of a completed craft; empty for one that is not completed, or whose times are not known."""
    timing = state.timing
    if isinstance(timing, UnsetType) or state.progress.status is not Status.COMPLETED or state.recipe_id is None:
        return
    if not timing.undisturbed:
        return
    kind = Kind(state.recipe_id, timing.station, timing.quality, timing.load)
    if timing.estimate is not None and timing.estimate >= LEAST_SECONDS:
        yield CraftSample(Phase.START, kind, timing.estimate, timing.worked)
    if timing.half is not None and timing.half[1] >= LEAST_SECONDS:
        worked, remaining = timing.half
        yield CraftSample(Phase.HALF, kind, remaining, timing.worked - worked)


def forecast_of(model: ForecastModel, state: SessionState) -> Forecast | None:
    """The forecast for the remaining time that the authority states; None if that is as good, or missing."""
    progress = state.progress
    if not progress.moving or state.recipe_id is None:
        return None
    timing = CraftTiming() if isinstance(state.timing, UnsetType) else state.timing
    phase = Phase.HALF if progress.percent >= HALF[0] else Phase.START
    return model.forecast(phase, Kind(state.recipe_id, timing.station, timing.quality, timing.load))


def expectation_of(model: ForecastModel, state: SessionState) -> Expectation | None:
    """The forecast in seconds from the anchor of the state's progress; None without a forecast."""
    forecast, remaining = forecast_of(model, state), state.progress.remaining
    if forecast is None or remaining is None:
        return None
    return Expectation(forecast.p50 * remaining, forecast.p90 * remaining)
