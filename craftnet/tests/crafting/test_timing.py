"""How long crafts take, and what of that is a sample."""

from __future__ import annotations

from uuid import UUID

from msgspec import UNSET
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import (
    EventData,
    EventMaterial,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
)
from craftnet.contract.messages import Status
from craftnet.crafting.session_rules import advance_session
from craftnet.crafting.state import CraftTiming, SessionState
from craftnet.crafting.timing import advance_timed
from craftnet.forecast.model import CraftSample, ForecastModel, Kind, Phase
from craftnet.forecast.samples import expectation_of, samples_of
from craftnet.tests.support.samples import COPPER, IRON, NOW, RECIPE, SESSION, event, start

STATION = UUID(int=5)
PAUSE = SessionPause(session_id=SESSION, pause_reason="player_afk")
RESUME = SessionResume(session_id=SESSION)
COMPLETE = SessionComplete(session_id=SESSION, result_item_id=IRON)


def report(percent: float, remaining: float | None, status: Status = Status.ACTIVE) -> SessionProgress:
    return SessionProgress(
        session_id=SESSION, progress_percentage=percent, status=status, remaining_time_seconds=remaining
    )


def after(*events: tuple[float, EventData], seconds: float | None = 60.0) -> SessionState:
    """The state after a start at `NOW` on a workstation, and these events, so many seconds later."""
    state = advance_timed(None, event(replace(start(seconds=seconds), workstation_id=STATION), NOW))
    for later, data in events:
        state = advance_timed(state, event(data, NOW + later))
    return state


class TimingTests(SynchronousTestCase):
    def samples(self, *events: tuple[float, EventData], seconds: float | None = 60.0) -> list[CraftSample]:
        return list(samples_of(after(*events, seconds=seconds)))

    def test_a_completed_craft_is_a_sample(self) -> None:
        kind = Kind(RECIPE, STATION, 50)
        self.assertEqual(self.samples((90.0, COMPLETE)), [CraftSample(Phase.START, kind, 60.0, 90.0)])

    def test_a_report_of_completion_is_one_too(self) -> None:
        done = SessionProgress(session_id=SESSION, progress_percentage=100, status=Status.COMPLETED)
        self.assertEqual([sample.actual for sample in self.samples((90.0, done))], [90.0])

    def test_half_is_a_second_estimate(self) -> None:
        events = ((20.0, report(30.0, 40.0)), (50.0, report(60.0, 25.0)), (60.0, report(70.0, 18.0)), (90.0, COMPLETE))
        half = self.samples(*events)[1]
        self.assertEqual((half.phase, half.estimated, half.actual), (Phase.HALF, 25.0, 40.0))

    def test_a_report_near_the_end_or_without_an_estimate_is_none(self) -> None:
        for late in (report(95.0, 3.0), report(60.0, None)):
            self.assertEqual(len(self.samples((50.0, late), (90.0, COMPLETE))), 1)

    def test_a_pause_is_no_crafting_time(self) -> None:
        events = ((10.0, PAUSE), (110.0, RESUME), (130.0, report(50.0, 30.0)), (160.0, PAUSE), (170.0, RESUME))
        whole, half = self.samples(*events, (180.0, COMPLETE))
        self.assertEqual((whole.actual, half.actual), (70.0, 40.0))

    def test_a_failed_a_cancelled_and_an_interrupted_craft_are_none(self) -> None:
        fail = SessionFail(session_id=SESSION, failure_reason="timeout")
        cancel = SessionCancel(session_id=SESSION, cancel_reason="zone_change")
        for end in (fail, cancel):
            self.assertEqual(self.samples((30.0, end)), [])
        interrupted = report(40.0, 30.0, Status.INTERRUPTED)
        self.assertEqual(self.samples((30.0, interrupted), (40.0, RESUME), (90.0, COMPLETE)), [])

    def test_a_craft_without_an_estimate_is_none(self) -> None:
        self.assertEqual(self.samples((90.0, COMPLETE), seconds=None), [])

    def test_a_craft_that_another_node_did_not_time_is_none(self) -> None:
        state = advance_session(after(), event(report(40.0, 30.0), NOW + 20))
        self.assertIs(state.timing, UNSET)
        state = advance_timed(state, event(COMPLETE, NOW + 90))
        self.assertEqual(list(samples_of(state)), [])

    def test_everything_else_is_as_in_a_state_that_is_not_timed(self) -> None:
        state, plain = after(), advance_session(None, event(start(), NOW))
        for data in (report(40.0, 30.0), PAUSE, RESUME, COMPLETE):
            happened = event(data, NOW + 20)
            state, plain = advance_timed(state, happened), advance_session(plain, happened)
            self.assertEqual(replace(state, timing=UNSET, stamps=()), replace(plain, stamps=()))

    def test_quality_is_the_mean_of_the_materials(self) -> None:
        for materials, quality in (
            ((EventMaterial(IRON, 3, "poor"), EventMaterial(COPPER, 1, "epic")), 40),
            ((EventMaterial(IRON, 3), EventMaterial(COPPER, 2, 70)), 70),
            ((EventMaterial(IRON, 3),), None),
        ):
            state = advance_timed(None, event(replace(start(), materials=materials), NOW))
            assert isinstance(state.timing, CraftTiming)
            self.assertEqual(state.timing.quality, quality)


class ExpectationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.model = ForecastModel()
        for _ in range(60):
            for phase, factor in ((Phase.START, 1.5), (Phase.HALF, 1.2)):
                self.model.learn(CraftSample(phase, Kind(RECIPE), 60.0, 60.0 * factor))

    def expected(self, state: SessionState) -> float | None:
        """The median, seconds from the newest event."""
        expectation = expectation_of(self.model, state)
        return None if expectation is None else expectation.p50

    def test_is_a_multiple_of_what_the_authority_states(self) -> None:
        for state, wanted in (
            (after(), 90.0),
            (after((10.0, report(20.0, 40.0))), 60.0),
            (after((30.0, report(50.0, 30.0))), 36.0),
        ):
            self.assertApproximates(self.expected(state) or 0.0, wanted, 1.5)

    def test_there_is_none_where_nothing_moves(self) -> None:
        for state in (after((10.0, PAUSE)), after((10.0, COMPLETE)), after(seconds=None)):
            self.assertIsNone(self.expected(state))

    def test_a_state_that_is_not_timed_has_one_by_its_recipe(self) -> None:
        self.assertApproximates(self.expected(replace(after(), timing=UNSET)) or 0.0, 90.0, 1.5)
