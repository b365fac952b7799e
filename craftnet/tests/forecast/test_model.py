"""The model that learns how wrong the authority's estimates are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.forecast.model import (
    MAX_LOG,
    MAX_RESIDUAL,
    MIN_SAMPLES,
    MIN_SAMPLES_OF_ALL,
    CraftSample,
    Entry,
    Forecast,
    ForecastModel,
    Kind,
    Phase,
)
from craftnet.tests.support.samples import RECIPE

OTHER = UUID(int=7)
BENCH, SLOW_BENCH = UUID(int=8), UUID(int=9)
KIND = Kind(RECIPE, BENCH, 45)

logs = st.floats(-MAX_LOG, MAX_LOG)
kinds = st.builds(
    Kind,
    st.integers(0, 5).map(lambda number: UUID(int=number)),
    st.none() | st.integers(0, 3).map(lambda number: UUID(int=number)),
    st.none() | st.integers(1, 100),
    st.none() | st.integers(0, 500),
)
samples = st.builds(
    lambda phase, kind, log: CraftSample(phase, kind, 60.0, 60.0 * math.exp(log)), st.sampled_from(Phase), kinds, logs
)


def taught(factors: Iterable[float], kind: Kind = KIND, phase: Phase = Phase.START) -> ForecastModel:
    """A model that has learned that estimates of 60 s were wrong by these factors."""
    model = ForecastModel()
    for factor in factors:
        model.learn(CraftSample(phase, kind, 60.0, 60.0 * factor))
    return model


class LearningTests(SynchronousTestCase):
    def forecast(self, model: ForecastModel, kind: Kind = KIND, phase: Phase = Phase.START) -> Forecast:
        """The forecast, which there must be."""
        forecast = model.forecast(phase, kind)
        assert forecast is not None
        return forecast

    def test_finds_the_factor(self) -> None:
        forecast = self.forecast(taught([1.4] * 60))
        self.assertApproximates(forecast.p50, 1.4, 0.02)
        self.assertGreaterEqual(forecast.p90, forecast.p50)

    def test_finds_the_quantiles(self) -> None:
        # Between 1.0 and 1.5 times as long, evenly in the logarithm: the median is √1.5, nine in ten take 1.5^0.9.
        model = taught([1.5 ** ((number * 0.618) % 1.0) for number in range(2000)])
        forecast = self.forecast(model)
        self.assertApproximates(forecast.p50, 1.5**0.5, 0.02)
        self.assertApproximates(forecast.p90, 1.5**0.9, 0.03)

    def test_says_nothing_at_first(self) -> None:
        self.assertIsNone(taught([1.4] * (MIN_SAMPLES_OF_ALL - 1)).forecast(Phase.START, KIND))
        self.assertIsNotNone(taught([1.4] * MIN_SAMPLES_OF_ALL).forecast(Phase.START, KIND))

    def test_says_nothing_where_the_authority_is_right(self) -> None:
        self.assertIsNone(taught([1.01, 0.99] * 50).forecast(Phase.START, KIND))

    def test_stops_where_the_authority_corrects_itself(self) -> None:
        model = taught([1.4] * 100)
        self.assertEqual(model.wins(), (1, 0))
        for number in range(600):
            model.learn(CraftSample(Phase.START, KIND, 60.0, 60.0 * (1.003 if number % 2 else 0.997)))
        self.assertIsNone(model.forecast(Phase.START, KIND))
        self.assertEqual(model.wins(), (0, 1))

    def test_keeps_the_phases_apart(self) -> None:
        model = taught([1.4] * 60)
        self.assertIsNone(model.forecast(Phase.HALF, KIND))
        for _ in range(100):
            model.learn(CraftSample(Phase.START, KIND, 60.0, 84.0))
            model.learn(CraftSample(Phase.HALF, KIND, 30.0, 24.0))
        self.assertApproximates(self.forecast(model, phase=Phase.HALF).p50, 0.8, 0.03)
        self.assertApproximates(self.forecast(model).p50, 1.4, 0.05)

    def test_expects_of_an_unknown_recipe_what_all_have_in_common(self) -> None:
        model = ForecastModel()
        for number in range(300):
            model.learn(CraftSample(Phase.START, Kind(UUID(int=100 + number % 30)), 60.0, 84.0))
        self.assertApproximates(self.forecast(model, Kind(OTHER)).p50, 1.4, 0.05)

    def test_distinguishes_recipes_and_workstations(self) -> None:
        model = ForecastModel()
        for _ in range(80):
            for recipe, by_recipe in ((RECIPE, 1.5), (OTHER, 0.8)):
                for station, by_station in ((BENCH, 1.0), (SLOW_BENCH, 1.2)):
                    model.learn(CraftSample(Phase.START, Kind(recipe, station), 60.0, 60.0 * by_recipe * by_station))
        for recipe, station, wanted in ((RECIPE, SLOW_BENCH, 1.8), (RECIPE, BENCH, 1.5), (OTHER, SLOW_BENCH, 0.96)):
            self.assertApproximates(self.forecast(model, Kind(recipe, station)).p50, wanted, 0.06)

    def test_learns_what_quality_and_load_add(self) -> None:
        model = ForecastModel()
        for number in range(400):
            quality, load = 30 + 10 * (number % 5), 20 + 7 * (number % 11)
            factor = math.exp(0.01 * (quality - 50) + 0.004 * (load - 50))
            model.learn(CraftSample(Phase.START, Kind(RECIPE, BENCH, quality, load), 60.0, 60.0 * factor))
        for quality, load in ((30, 50), (70, 50), (50, 20), (50, 80)):
            wanted = math.exp(0.01 * (quality - 50) + 0.004 * (load - 50))
            self.assertApproximates(self.forecast(model, Kind(RECIPE, BENCH, quality, load)).p50, wanted, 0.04)

    def test_refuses_what_is_not_credible(self) -> None:
        model = ForecastModel()
        for estimated, actual in ((0.0, 5.0), (5.0, 0.0), (-1.0, 5.0), (1.0, 21.0), (21.0, 1.0), (math.nan, 1.0)):
            self.assertFalse(model.learn(CraftSample(Phase.START, KIND, estimated, actual)))
        self.assertEqual((model.samples, len(model)), (0, 0))


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(samples, max_size=120), kinds)
    def test_quantiles_are_in_order(self, learned: list[CraftSample], kind: Kind) -> None:
        model = ForecastModel()
        for sample in learned:
            model.learn(sample)
        for phase in Phase:
            forecast = model.forecast(phase, kind)
            if forecast is not None:
                self.assertLessEqual(forecast.p50, forecast.p90)
                self.assertLessEqual(math.exp(-MAX_LOG), forecast.p50 + 1e-9)
                self.assertLessEqual(forecast.p90, math.exp(MAX_LOG) + 1e-9)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.lists(logs, max_size=60))
    def test_an_effect_lies_between_none_and_its_own_mean(self, learned: list[float]) -> None:
        model = ForecastModel()
        for log in learned:
            model.learn(CraftSample(Phase.START, KIND, 60.0, 60.0 * math.exp(log)))
        for entry in model.summary().entries.values():
            self.assertLessEqual(abs(entry.effect()), abs(entry.mean))
            self.assertGreaterEqual(entry.effect() * entry.mean, 0.0)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(st.integers(1, 200), st.floats(0.0, 10.0))
    def test_shrinks_less_with_each_sample(self, count: int, mean: float) -> None:
        self.assertLessEqual(Entry(count, mean).effect(), Entry(count + 1, mean).effect())

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(logs, st.floats(0.6, 1.7))
    def test_never_learns_from_one_outlier(self, outlier: float, factor: float) -> None:
        alone = taught([math.exp(outlier)])
        self.assertIsNone(alone.forecast(Phase.START, KIND))
        self.assertEqual({entry.effect() for entry in alone.summary().entries.values()}, {0.0})
        model = taught([factor] * 60)
        before = model.forecast(Phase.START, KIND)
        model.learn(CraftSample(Phase.START, KIND, 60.0, 60.0 * math.exp(outlier)))
        after = model.forecast(Phase.START, KIND)
        if before is not None and after is not None:
            self.assertLess(abs(math.log(after.p50 / before.p50)), 0.1 * MAX_RESIDUAL)

    @settings(max_examples=20, deadline=None, derandomize=True)
    @given(st.lists(samples, min_size=30, max_size=80), st.integers(1, 12))
    def test_its_memory_is_bounded(self, learned: list[CraftSample], limit: int) -> None:
        model = ForecastModel(max_keys=limit)
        for sample in learned:
            model.learn(sample)
            self.assertLessEqual(len(model), limit)
        self.assertLessEqual(len(model), limit)

    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(st.lists(samples, max_size=80), st.lists(samples, max_size=20), kinds)
    def test_a_restored_model_goes_on_alike(
        self, first: list[CraftSample], then: list[CraftSample], kind: Kind
    ) -> None:
        model, restored = ForecastModel(), ForecastModel()
        for sample in first:
            model.learn(sample)
        restored.restore(model.summary())
        for sample in then:
            model.learn(sample)
            restored.learn(sample)
        self.assertEqual(restored.summary(), model.summary())
        for phase in Phase:
            self.assertEqual(restored.forecast(phase, kind), model.forecast(phase, kind))


class EvictionTests(SynchronousTestCase):
    def test_the_least_recently_learned_key_leaves(self) -> None:
        model = ForecastModel(max_keys=6)
        first, second = Kind(UUID(int=1)), Kind(UUID(int=2))
        for kind in (first, second, first):
            model.learn(CraftSample(Phase.START, kind, 60.0, 90.0))
        model.learn(CraftSample(Phase.START, Kind(UUID(int=3)), 60.0, 90.0))
        recipes = [key for key in model.summary().entries if key.startswith("r")]
        self.assertEqual(recipes, [f"r{UUID(int=number).hex}" for number in (1, 3)])

    def test_a_recipe_counts_once_it_has_samples(self) -> None:
        self.assertEqual(taught([1.4] * (MIN_SAMPLES - 1)).wins(), (0, 0))
        self.assertEqual(taught([1.4] * MIN_SAMPLES).wins(), (1, 0))
