"""What `learned_progress.py` compares: the model of craftnet, none, river's regressors, and a small neural network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from craftnet.forecast.model import CraftSample, ForecastModel, Kind, Phase

MAX_LOG = 3.0
"""The largest logarithm that any of them forecasts."""

HIDDEN, EPOCHS, BATCH, RATE, DECAY = 48, 60, 64, 0.004, 1e-4
"""Of the neural network: hidden units, passes over the samples, samples a step, step size, weight decay."""

P90 = 1.2816
"""Standard deviations from the median to the 90 % quantile of a normal distribution."""


def log_of(sample: CraftSample) -> float:
    """The logarithm of the factor by which an estimate was wrong."""
    return max(-MAX_LOG, min(MAX_LOG, math.log(sample.actual / sample.estimated)))


class Learner(Protocol):
    """Learns factors."""

    def factors(self, phase: Phase, kind: Kind) -> tuple[float, float]:
        """The factors for the median and for the 90 % quantile."""

    def learn(self, sample: CraftSample) -> None:
        """Learns from a sample."""


class NoLearner:
    """Goes by the authority's estimates."""

    def factors(self, phase: Phase, kind: Kind) -> tuple[float, float]:
        """As in `Learner`."""
        return 1.0, 1.0

    def learn(self, sample: CraftSample) -> None:
        """As in `Learner`."""


class CraftnetLearner:
    """The model of the server."""

    def __init__(self) -> None:
        self._model = ForecastModel()

    def factors(self, phase: Phase, kind: Kind) -> tuple[float, float]:
        """As in `Learner`."""
        forecast = self._model.forecast(phase, kind)
        return (1.0, 1.0) if forecast is None else (forecast.p50, forecast.p90)

    def learn(self, sample: CraftSample) -> None:
        """As in `Learner`."""
        self._model.learn(sample)


class _Spread:
    """The standard deviation of a learner's errors."""

    def __init__(self) -> None:
        self._count, self._squares = 0, 0.0

    def add(self, error: float) -> None:
        """Adds an error."""
        self._count += 1
        self._squares += error * error

    def factors(self, log: float) -> tuple[float, float]:
        """The factors around a forecast."""
        spread = math.sqrt(self._squares / self._count) if self._count else 0.0
        log = max(-MAX_LOG, min(MAX_LOG, log))
        return math.exp(log), math.exp(log + P90 * spread)


class RiverLearner:
    """One of river's regressors, which learns as it goes."""

    def __init__(self, regressor: Any) -> None:
        self._regressor = regressor
        self._spread = _Spread()

    def factors(self, phase: Phase, kind: Kind) -> tuple[float, float]:
        """As in `Learner`."""
        return self._spread.factors(float(self._regressor.predict_one(_named(phase, kind))))

    def learn(self, sample: CraftSample) -> None:
        """As in `Learner`."""
        named, log = _named(sample.phase, sample.kind), log_of(sample)
        self._spread.add(log - float(self._regressor.predict_one(named)))
        self._regressor.learn_one(named, log)


def _named(phase: Phase, kind: Kind) -> dict[str, str | float]:
    return {
        "phase": phase.value,
        "recipe": str(kind.recipe_id),
        "station": str(kind.station),
        "quality": (kind.quality or 50) / 100.0,
        "load": (kind.load or 0) / 100.0,
    }


class NeuralNetwork:
    """A network of one hidden layer, trained once by Adam on the samples of the first part, then left as it is."""

    def __init__(self, numpy: Any, training: Sequence[CraftSample], seed: int) -> None:
        self._np = numpy
        self._columns: dict[str, int] = {}
        for each in training:
            for name in self._names(each.phase, each.kind):
                self._columns.setdefault(name, len(self._columns))
        random = numpy.random.default_rng(seed)
        width = len(self._columns) + 2
        self._weights = [
            random.normal(0.0, 0.1, (width, HIDDEN)),
            numpy.zeros(HIDDEN),
            random.normal(0.0, 0.1, HIDDEN),
            numpy.zeros(1),
        ]
        inputs = numpy.array([self._inputs(each.phase, each.kind) for each in training])
        wanted = numpy.array([log_of(each) for each in training])
        self._train(inputs, wanted, random)
        self._spread = _Spread()
        for error in wanted - self._outputs(inputs)[1]:
            self._spread.add(float(error))

    def factors(self, phase: Phase, kind: Kind) -> tuple[float, float]:
        """As in `Learner`."""
        return self._spread.factors(float(self._outputs(self._inputs(phase, kind)[None, :])[1][0]))

    def learn(self, sample: CraftSample) -> None:
        """Nothing: it was trained before."""

    def _names(self, phase: Phase, kind: Kind) -> tuple[str, ...]:
        return phase.value, str(kind.recipe_id), str(kind.station)

    def _inputs(self, phase: Phase, kind: Kind) -> Any:
        row = self._np.zeros(len(self._columns) + 2)
        for name in self._names(phase, kind):
            if name in self._columns:
                row[self._columns[name]] = 1.0
        row[-2], row[-1] = (kind.quality or 50) / 50.0 - 1.0, (kind.load or 0) / 100.0
        return row

    def _outputs(self, inputs: Any) -> tuple[Any, Any]:
        into, bias, out, level = self._weights
        hidden = self._np.tanh(inputs @ into + bias)
        return hidden, hidden @ out + level[0]

    def _train(self, inputs: Any, wanted: Any, random: Any) -> None:
        np, step = self._np, 0
        first = [np.zeros_like(each) for each in self._weights]
        second = [np.zeros_like(each) for each in self._weights]
        for epoch in range(EPOCHS):
            rate = RATE * (1.0 - epoch / EPOCHS)
            order = random.permutation(len(wanted))
            for begin in range(0, len(order), BATCH):
                some = order[begin : begin + BATCH]
                step += 1
                gradients = self._gradients(inputs[some], wanted[some])
                for weight, gradient, one, two in zip(self._weights, gradients, first, second, strict=True):
                    one *= 0.9
                    one += 0.1 * gradient
                    two *= 0.999
                    two += 0.001 * gradient * gradient
                    speed = np.sqrt(two / (1.0 - 0.999**step)) + 1e-8
                    weight -= rate * (one / (1.0 - 0.9**step) / speed + DECAY * weight)

    def _gradients(self, inputs: Any, wanted: Any) -> tuple[Any, ...]:
        hidden, outputs = self._outputs(inputs)
        error = 2.0 * (outputs - wanted) / len(wanted)
        inner = error[:, None] * self._weights[2] * (1.0 - hidden * hidden)
        return inputs.T @ inner, inner.sum(axis=0), hidden.T @ error, self._np.array([error.sum()])


def all_learners(training: Sequence[CraftSample], seed: int) -> tuple[dict[str, Learner], Mapping[str, str]]:
    """The learners by name, and those that cannot be built here, with the reason."""
    found: dict[str, Learner] = {"none": NoLearner(), "craftnet": CraftnetLearner()}
    skipped: dict[str, str] = {}
    try:
        import river.compose as compose
        import river.forest as forest
        import river.linear_model as linear_model
        import river.preprocessing as preprocessing
        import river.tree as tree
    except ImportError as error:
        skipped["river's regressors"] = f"{error}; pip install river"
    else:
        encoded: Callable[[Any], Any] = lambda regressor: (  # noqa: E731 - one expression, three times.
            (compose.SelectType(str) | preprocessing.OneHotEncoder())
            + (compose.SelectType(float) | preprocessing.StandardScaler())
            | regressor
        )
        found["river: linear regression"] = RiverLearner(encoded(linear_model.LinearRegression(intercept_lr=0.05)))
        found["river: passive-aggressive"] = RiverLearner(encoded(linear_model.PARegressor(C=0.05, mode=1, eps=0.05)))
        found["river: Hoeffding tree"] = RiverLearner(
            tree.HoeffdingTreeRegressor(grace_period=50, leaf_prediction="mean")
        )
        found["river: adaptive forest"] = RiverLearner(
            forest.ARFRegressor(n_models=5, leaf_prediction="mean", seed=seed)
        )
    try:
        import numpy
    except ImportError as error:
        skipped["neural network (numpy)"] = f"{error}; pip install numpy"
    else:
        found["neural network (numpy)"] = NeuralNetwork(numpy, training, seed)
    return found, skipped
