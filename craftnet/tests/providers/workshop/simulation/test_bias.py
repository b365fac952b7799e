"""The lasting errors of the simulated authority's estimates."""

from __future__ import annotations

import math
from random import Random
from statistics import fmean
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import MaterialsUpdate, SessionData
from craftnet.crafting.state import SessionState
from craftnet.crafting.timing import advance_timed
from craftnet.forecast.samples import samples_of
from craftnet.providers.workshop.simulation.bias import LOAD, OFFSETS, QUALITY, Bias
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import Simulation
from craftnet.tests.support.samples import NOW

A, B = UUID(int=1), UUID(int=2)


def factors(bias: float) -> list[float]:
    """How many times as long as estimated each craft takes, in 40 minutes of a workshop."""
    wanted = WorkshopSettings(players=30, rate=0.0, bias=bias, chaos=0.0)
    states: dict[UUID, SessionState] = {}
    for each in Simulation(wanted, Random(1), NOW).run_until(NOW + 2400.0):
        if isinstance(each.data, SessionData) and not isinstance(each.data, MaterialsUpdate):
            states[each.data.session_id] = advance_timed(states.get(each.data.session_id), each)
    return [sample.actual / sample.estimated for state in states.values() for sample in samples_of(state)]


class BiasTests(SynchronousTestCase):
    def test_lasts(self) -> None:
        bias, same = Bias(1.0, seed=3), Bias(1.0, seed=3)
        self.assertEqual(bias.drag(A, B, 0, 0.5), same.drag(A, B, 0, 0.5))
        self.assertNotEqual(bias.drag(A, B, 0, 0.5), bias.drag(B, B, 0, 0.5))
        self.assertNotEqual(bias.drag(A, B, 0, 0.5), bias.drag(A, A, 0, 0.5))
        self.assertNotEqual(bias.drag(A, B, 0, 0.5), Bias(1.0, seed=4).drag(A, B, 0, 0.5))

    def test_grows_with_quality_and_load(self) -> None:
        bias = Bias(0.5)
        level = bias.drag(A, B, OFFSETS[0], 0.5)
        self.assertAlmostEqual(math.log(bias.drag(A, B, OFFSETS[-1], 0.5) / level), 0.5 * QUALITY)
        self.assertAlmostEqual(math.log(bias.drag(A, B, OFFSETS[0], 1.0) / level), 0.5 * LOAD * 0.5)

    def test_players_rest_longer_in_quiet_hours(self) -> None:
        rests = [Bias(1.0).rest(10.0, now) for now in range(0, 2400, 60)]
        self.assertApproximates(min(rests), 10.0, 0.5)
        self.assertGreater(max(rests), 50.0)

    def test_none_changes_nothing(self) -> None:
        bias = Bias()
        self.assertEqual((bias.drag(A, B, 0, 0.9), bias.offset(A), bias.rest(10.0, 7.0)), (1.0, 0, 10.0))

    def test_makes_estimates_wrong(self) -> None:
        right, wrong = ([abs(math.log(factor)) for factor in factors(bias)] for bias in (0.0, 1.0))
        self.assertLess(fmean(right), 0.15)
        self.assertGreater(fmean(wrong), 0.25)
