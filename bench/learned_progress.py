"""What learned progress gains, against no learning and against other learners, on a workshop whose estimates are wrong.

python bench/learned_progress.py --players 200 --hours 3
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from random import Random
from typing import NamedTuple
from uuid import UUID

from learners import Learner, all_learners

from craftnet.contract.events import Event, MaterialsUpdate, SessionData
from craftnet.contract.messages import Status
from craftnet.crafting.progress import (
    Expectation,
    Progress,
    Tolerance,
    expected_model,
    extrapolate,
    misled_by,
    same_discrete,
)
from craftnet.crafting.state import CraftTiming, SessionState
from craftnet.crafting.timing import HALF, advance_timed
from craftnet.feeds.hub import REFRESH
from craftnet.forecast.model import CraftSample, Kind, Phase
from craftnet.forecast.samples import samples_of
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import Simulation

BEGINNING = 1e9
"""When the simulation starts, Unix seconds."""

WITHIN = 1.05
"""The simplest learner whose figures are at most this many times the best ones is good enough."""


class Step(NamedTuple):
    """One event of a session: when, and the state after it."""

    at: float
    state: SessionState


class History(NamedTuple):
    """What happened: every step in order, and for each completed craft that was timed, the seconds it was active."""

    steps: list[Step]
    worked: dict[UUID, float]
    middle: float


class Figures(NamedTuple):
    """The figures of one learner over the last third of the time, after it has learned from the others.

    Attributes:
        corrections: updates per craft that are sent because a watcher's extrapolation is wrong.
        bar: mean error of the bar when a record arrives, points.
        left: mean error of the time left that is shown then, percent of the craft's duration.
        estimate: mean error of the estimate at the start, percent.
        covered: percent of the crafts that take no longer than the 90 % quantile.
        microseconds: to learn from a sample.
    """

    corrections: float
    bar: float
    left: float
    estimate: float
    covered: float
    microseconds: float


def simulate(players: int, hours: float, seed: int, bias: float) -> History:
    """Runs the workshop."""
    simulation = Simulation(WorkshopSettings(players=players, seed=seed, bias=bias), Random(seed), BEGINNING)
    states: dict[UUID, SessionState] = {}
    steps: list[Step] = []
    worked: dict[UUID, float] = {}
    running = 0
    for event in _events(simulation, hours * 3600.0):
        assert isinstance(event.data, SessionData)
        session_id = event.data.session_id
        before = states.get(session_id)
        state = states[session_id] = advance_timed(before, event, running)
        running += before is None
        if state.progress.status.terminal:
            running -= 1
            if any(samples_of(state)):
                worked[session_id] = state.timing.worked  # type: ignore[union-attr]  # it has samples.
            del states[session_id]
        steps.append(Step(event.timestamp, state))
    return History(steps, worked, BEGINNING + hours * 3600.0 * 2 / 3)


def _events(simulation: Simulation, seconds: float) -> Iterator[Event]:
    for second in range(1, int(seconds) + 1):
        for event in simulation.run_until(BEGINNING + second):
            if isinstance(event.data, SessionData) and not isinstance(event.data, MaterialsUpdate):
                yield event


class Watch:
    """What one watcher of a session holds, as a feed decides it.

    Attributes:
        truth, held: the model of the newest record, and the one that the watcher extrapolates from.
        sent_at: when it was sent.
    """

    __slots__ = ("factors", "held", "sent_at", "truth")

    def __init__(self) -> None:
        self.truth: Progress | None = None
        self.held: Progress | None = None
        self.sent_at = -math.inf
        self.factors: dict[Phase, tuple[float, float]] = {}


def replay(history: History, learner: Learner) -> Figures:
    """Shows every session to a watcher whose extrapolation the learner decides."""
    watches: dict[UUID, Watch] = {}
    tolerance = Tolerance()
    corrections, completed, spent, learned = 0, 0, 0.0, 0
    bars: list[float] = []
    lefts: list[float] = []
    estimates: list[float] = []
    covered: list[bool] = []
    for at, state in history.steps:
        session_id, progress = state.session_id, state.progress
        watch = watches.get(session_id) or watches.setdefault(session_id, Watch())
        counted = at > history.middle and session_id in history.worked
        if progress.status.terminal:
            del watches[session_id]
            for sample in samples_of(state):
                began = time.perf_counter()
                learner.learn(sample)
                spent, learned = spent + time.perf_counter() - began, learned + 1
                if counted and sample.phase is Phase.START:
                    p50, p90 = watch.factors.get(Phase.START, (1.0, 1.0))
                    estimates.append(abs(math.log(sample.actual / (sample.estimated * p50))))
                    covered.append(sample.actual <= sample.estimated * p90)
            completed += counted
            continue
        truth = expected_model(progress, _expectation(watch, state, learner))
        if watch.truth is not None and at - watch.sent_at >= REFRESH and watch.truth.moving:
            watch.held, watch.sent_at = watch.truth, at - (at - watch.sent_at) % REFRESH
        off = None if watch.held is None else misled_by(watch.held, truth, at, at + REFRESH, tolerance)
        if counted and watch.held is not None and watch.held.moving and progress.moving:
            shown, left = extrapolate(watch.held, at)
            bars.append(abs(shown - progress.percent))
            total = history.worked[session_id]
            assert left is not None
            lefts.append(abs(left - (total - state.timing.worked)) / total)  # type: ignore[union-attr]  # timed.
        if watch.held is None or off is not None:
            corrections += counted and watch.held is not None and same_discrete(watch.held, truth)
            watch.held, watch.sent_at = truth, at
        watch.truth = truth
    return Figures(
        corrections / completed,
        statistics.fmean(bars),
        100.0 * statistics.fmean(lefts),
        100.0 * math.expm1(statistics.fmean(estimates)),
        100.0 * statistics.fmean(covered),
        1e6 * spent / learned,
    )


def _expectation(watch: Watch, state: SessionState, learner: Learner) -> Expectation | None:
    """The learner's expectation, asked for once in each phase of a session."""
    progress, timing = state.progress, state.timing
    if progress.status is not Status.ACTIVE or progress.remaining is None or state.recipe_id is None:
        return None
    phase = Phase.HALF if progress.percent >= HALF[0] else Phase.START
    factors = watch.factors.get(phase)
    if factors is None:
        assert isinstance(timing, CraftTiming)
        kind = Kind(state.recipe_id, timing.station, timing.quality, timing.load)
        factors = watch.factors[phase] = learner.factors(phase, kind)
    return Expectation(factors[0] * progress.remaining, factors[1] * progress.remaining)


def _training(history: History) -> list[CraftSample]:
    """The samples of the first part, for those that are trained offline."""
    return [
        sample
        for at, state in history.steps
        if at <= history.middle and state.progress.status is Status.COMPLETED
        for sample in samples_of(state)
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--players", type=int, default=200)
    parser.add_argument("--hours", type=float, default=3.0, help="simulated; the last third is measured")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bias", type=float, default=1.0, help="of the workshop's estimates, 0 to 1")
    options = parser.parse_args(arguments)
    history = simulate(options.players, options.hours, options.seed, options.bias)
    training = _training(history)
    print(f"{options.players} players, {options.hours:g} h, bias {options.bias:g}, seed {options.seed}:")
    print(f"{len(training)} samples before the measured part, {len(history.steps)} events in all\n")
    print(
        f"{'learner':32}{'corrections':>12}{'bar, points':>13}{'time left':>11}{'estimate':>10}{'≤ p90':>8}{'learn':>9}"
    )
    found: dict[str, Figures] = {}
    learners, skipped = all_learners(training, options.seed)
    for name, learner in learners.items():
        figures = found[name] = replay(history, learner)
        print(
            f"{name:32}{figures.corrections:12.2f}{figures.bar:13.3f}{figures.left:10.2f}%{figures.estimate:9.2f}%"
            f"{figures.covered:7.1f}%{figures.microseconds:6.0f} µs"
        )
    for name, reason in skipped.items():
        print(f"{name:32}skipped: {reason}")
    print()
    for title, value in (("corrections", 0), ("bar", 1), ("time left", 2)):
        best = min(found, key=lambda name: float(found[name][value]))
        times = found["craftnet"][value] / found[best][value]
        print(f"{title}: craftnet {times:.3f} × the best ({best}): {'within' if times <= WITHIN else 'NOT within'} 5 %")
        print(f"{title}: craftnet {found['craftnet'][value] / found['none'][value]:.3f} × none")


if __name__ == "__main__":
    main()
