"""The life of a session."""

from __future__ import annotations

from typing import get_args
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import (
    MAX_CLOCK_AHEAD,
    Event,
    EventData,
    MaterialsUpdate,
    SessionCancel,
    SessionEvent,
    SessionProgress,
    SessionResume,
)
from craftnet.contract.messages import Status
from craftnet.crafting.event_order import CLOCK_JUMP_SECONDS
from craftnet.crafting.material_rules import advance_materials
from craftnet.crafting.progress import Progress, percent_at, remaining_at
from craftnet.crafting.session_rules import advance_session
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.errors import EventRejected
from craftnet.tests.contracts.source import complete, fail, pause, progress, queued
from craftnet.tests.support.samples import NOW, PLAYER, RECIPE, SESSION, event, start

RESUME = SessionResume(session_id=SESSION)
CANCEL = SessionCancel(session_id=SESSION, cancel_reason="zone_change")

EVENTS: dict[str, EventData] = {
    "start": start(),
    "pause": pause(),
    "resume": RESUME,
    "complete": complete(),
    "fail": fail(),
    "cancel": CANCEL,
    "active": progress(50.0),
    "paused": progress(50.0, Status.PAUSED),
    "interrupted": progress(50.0, Status.INTERRUPTED),
    "completed": progress(50.0, Status.COMPLETED),
    "failed": progress(50.0, Status.FAILED),
}
"""Every event of a session's life by name; those after "cancel" are progress reports of that status."""

A, P, N, C, F = Status.ACTIVE, Status.PAUSED, Status.INTERRUPTED, Status.COMPLETED, Status.FAILED
NO = None

TABLE: dict[Status | None, list[Status | None]] = {
    # from   start pause resume complete fail cancel active paused interrupted completed failed
    None: [A, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO],
    A: [NO, P, NO, C, F, F, A, P, N, C, F],
    P: [NO, NO, A, C, F, F, A, P, N, C, F],
    N: [NO, P, A, C, F, F, A, P, N, C, F],
    C: [NO] * 11,
    F: [NO] * 11,
}
"""The status after each event in each status; NO is a rejection."""


def state_of(status: Status) -> SessionState:
    """A session a quarter done, with 60 s to go if it is not over."""
    anchored = Progress(status, 25.0, NOW, 0.0 if status.terminal else 60.0)
    return SessionState(SESSION, PLAYER, 7, anchored, RECIPE, NOW)


class TableTests(SynchronousTestCase):
    def test_every_state_and_event(self) -> None:
        for status, row in TABLE.items():
            before = None if status is None else state_of(status)
            for (name, data), wanted in zip(EVENTS.items(), row, strict=True):
                event_ = event(data, NOW + 1)
                if wanted is None:
                    with self.assertRaises(EventRejected, msg=f"{status} {name}"):
                        advance_session(before, event_)
                    continue
                after = advance_session(before, event_)
                self.assertIs(after.progress.status, wanted, f"{status} {name}")
                self.assertEqual(after.version, 1 if before is None else before.version + 1)
                self.assertEqual((after.session_id, after.player_id, after.recipe_id), (SESSION, PLAYER, RECIPE))
                self.assertEqual((after.accepted, after.progress.anchor), (NOW + 1, NOW + 1))

    def test_table_is_whole(self) -> None:
        self.assertEqual(set(TABLE), {None, *Status})
        self.assertEqual({type(data) for data in EVENTS.values()}, set(get_args(SessionEvent)))

    def test_rejections_say_why(self) -> None:
        cases: list[tuple[SessionState | None, EventData, str]] = [
            (None, fail(), "never started"),
            (state_of(A), start(), "started before"),
            (state_of(P), pause(), "already paused"),
            (state_of(A), RESUME, "already running"),
            (state_of(C), pause(), "completed"),
            (state_of(F), complete(), "failed"),
            (state_of(A), MaterialsUpdate(session_id=SESSION), "MaterialsUpdate"),
            (state_of(A), queued(1), "QueueUpdate"),
        ]
        for before, data, words in cases:
            error = self.assertRaises(EventRejected, advance_session, before, event(data, NOW + 1, session_id=SESSION))
            self.assertIn(words, str(error))


class ModelTests(SynchronousTestCase):
    """How the events change the model."""

    def after(self, before: SessionState, data: EventData, at: float) -> Progress:
        return advance_session(before, event(data, at)).progress

    def test_start(self) -> None:
        state = advance_session(None, event(start(seconds=90.0)))
        self.assertEqual(state.progress, Progress(A, 0.0, NOW, 90.0))
        self.assertIsNone(advance_session(None, event(start(seconds=None))).progress.remaining)

    def test_pause_freezes_where_it_is(self) -> None:
        paused = self.after(state_of(A), pause(), NOW + 20)
        self.assertEqual((paused.percent, paused.remaining), (50.0, 40.0))

    def test_resume_goes_on_from_there(self) -> None:
        paused = advance_session(state_of(A), event(pause(), NOW + 20))
        resumed = self.after(paused, RESUME, NOW + 1000)
        self.assertEqual(resumed, Progress(A, 50.0, NOW + 1000, 40.0))

    def test_resume_with_another_duration(self) -> None:
        resume = SessionResume(session_id=SESSION, remaining_duration_seconds=5.0)
        self.assertEqual(self.after(state_of(P), resume, NOW + 1).remaining, 5.0)

    def test_complete(self) -> None:
        self.assertEqual(self.after(state_of(A), complete(), NOW + 1), Progress(C, 100.0, NOW + 1, 0.0))

    def test_failure_keeps_how_far_it_came(self) -> None:
        failed = self.after(state_of(A), fail(), NOW + 20)
        self.assertEqual(failed, Progress(F, 50.0, NOW + 20, 0.0, failure_reason="timeout"))

    def test_cancel_is_a_failure_with_its_reason(self) -> None:
        self.assertEqual(self.after(state_of(A), CANCEL, NOW + 1).failure_reason, "cancelled:zone_change")

    def test_report_replaces(self) -> None:
        report = SessionProgress(
            session_id=SESSION,
            progress_percentage=33.3,
            status=A,
            remaining_time_seconds=10.5,
            current_quality=40,
            target_quality=80,
        )
        self.assertEqual(self.after(state_of(A), report, NOW + 1), Progress(A, 33.3, NOW + 1, 10.5, 40, 80))

    def test_report_leaves_the_rest_as_it_was(self) -> None:
        rich = state_of(A)
        rich = replace(rich, progress=replace(rich.progress, quality=40, target_quality=80))
        reported = self.after(rich, progress(30.0), NOW + 10)
        self.assertEqual(reported, Progress(A, 30.0, NOW + 10, 50.0, 40, 80))

    def test_reported_completion_is_all(self) -> None:
        reported = self.after(state_of(A), progress(50.0, C), NOW + 1)
        self.assertEqual((reported.percent, reported.remaining), (100.0, 0.0))

    def test_reported_failure(self) -> None:
        report = replace(progress(50.0, F), failure_reason="recipe_error")
        self.assertEqual(self.after(state_of(A), report, NOW + 1).failure_reason, "recipe_error")
        self.assertEqual(self.after(state_of(A), progress(50.0, F), NOW + 1).failure_reason, "unknown")

    def test_reason_without_failure_is_left_out(self) -> None:
        report = replace(progress(50.0), failure_reason="recipe_error")
        self.assertIsNone(self.after(state_of(A), report, NOW + 1).failure_reason)


class TimeTests(SynchronousTestCase):
    def after(self, *events: Event) -> SessionState:
        """The state after a start at `NOW`, and these."""
        state = advance_session(None, event(start()))
        for event_ in events:
            state = advance_session(state, event_)
        return state

    def test_late_progress_does_not_move_a_bar_back(self) -> None:
        before = self.after(event(progress(50.0), NOW + 10))
        for late in (progress(30.0), progress(30.0, P), progress(30.0, N)):
            error = self.assertRaises(
                EventRejected, advance_session, before, event(late, NOW + 9.999, accepted=NOW + 11)
            )
            self.assertIn("out of order", str(error))
        advance_session(before, event(progress(50.0), NOW + 10, accepted=NOW + 11))

    def test_late_progress_does_not_undo_a_pause(self) -> None:
        """The timestamps of life-cycle events count for the order as well."""
        before = self.after(event(pause(), NOW + 10))
        self.assertRaises(EventRejected, advance_session, before, event(progress(30.0), NOW + 9))
        self.assertIs(advance_session(before, event(progress(30.0), NOW + 11)).progress.status, A)

    def test_life_cycle_events_are_judged_by_state_alone(self) -> None:
        for seconds in (0.001, CLOCK_JUMP_SECONDS / 2, CLOCK_JUMP_SECONDS, 3600.0):
            for data, status in ((complete(), C), (fail(), F), (CANCEL, F), (progress(50.0, C), C), (pause(), P)):
                before = self.after(event(progress(50.0), NOW + 10))
                after = advance_session(before, event(data, NOW + 10 - seconds, accepted=NOW + 20))
                self.assertIs(after.progress.status, status)
                self.assertGreaterEqual(after.progress.anchor, before.progress.anchor)
            before = self.after(event(pause(), NOW + 10))
            after = advance_session(before, event(RESUME, NOW + 10 - seconds, accepted=NOW + 20))
            self.assertIs(after.progress.status, A)

    def test_a_late_life_cycle_event_does_not_reopen_the_past(self) -> None:
        before = self.after(event(progress(50.0), NOW + 10), event(pause(), NOW + 5, accepted=NOW + 11))
        self.assertRaises(EventRejected, advance_session, before, event(progress(30.0), NOW + 9))

    def test_clock_a_little_ahead(self) -> None:
        ahead = event(progress(30.0), NOW + MAX_CLOCK_AHEAD, accepted=NOW)
        self.assertEqual(self.after(ahead).progress.anchor, NOW + MAX_CLOCK_AHEAD)

    def test_an_end_that_is_further_ahead_than_the_start(self) -> None:
        """The start is believed, the end is not; it counts as the later of its arrival and the start."""
        begun = advance_session(None, event(start(), NOW + 4, accepted=NOW))
        done = advance_session(begun, event(complete(), NOW + 6, accepted=NOW + 0.1))
        self.assertEqual((done.progress.status, done.progress.anchor), (C, NOW + 4))

    def test_a_node_whose_clock_is_slow(self) -> None:
        """By 8 s. Nothing is refused, by whichever node the events come, and nothing counts as of before."""
        state = advance_session(None, event(start(seconds=3600.0), NOW, accepted=NOW - 8))
        moments = []
        for number in range(1, 20):
            arrival = NOW + number - (8 if number % 2 else 0)
            state = advance_session(state, event(progress(float(number)), NOW + number, accepted=arrival))
            moments.append(state.progress.anchor)
        self.assertEqual(moments, sorted(moments))
        self.assertEqual(state.version, 20)

    def test_sources_with_different_clocks(self) -> None:
        state = self.after(event(progress(10.0), NOW + 10, source="fast"))
        state = advance_session(state, event(progress(20.0), NOW + 3, accepted=NOW + 11, source="slow"))
        self.assertEqual((state.progress.percent, state.progress.anchor), (20.0, NOW + 10))
        self.assertRaises(EventRejected, advance_session, state, event(progress(5.0), NOW + 2, source="slow"))
        self.assertRaises(EventRejected, advance_session, state, event(progress(5.0), NOW + 9, source="fast"))

    def test_a_clock_that_was_set_back(self) -> None:
        """Its times are not believed from then on, and their order counts as before."""
        state = self.after(event(progress(10.0), NOW + 10))
        for seconds in (11, 12, 13):
            set_back = event(progress(float(seconds)), NOW + seconds - 3600, accepted=NOW + seconds)
            state = advance_session(state, set_back)
            self.assertEqual((state.progress.percent, state.progress.anchor), (seconds, NOW + seconds))
        late = event(progress(5.0), NOW + 12.5 - 3600, accepted=NOW + 14)
        self.assertRaises(EventRejected, advance_session, state, late)
        again = advance_session(state, event(progress(30.0), NOW + 30, accepted=NOW + 30))  # it was set right.
        self.assertEqual(again.progress.anchor, NOW + 30)

    def test_applied_by_a_node_whose_clock_was_far_ahead(self) -> None:
        state = self.after(event(progress(10.0), NOW + 10), event(progress(11.0), NOW - 3590))
        self.assertEqual((state.progress.percent, state.progress.anchor), (11.0, NOW - 3590))
        self.assertEqual(percent_at(state.progress, NOW - 3585), percent_at(state.progress, NOW - 3590 + 5))
        self.assertGreater(percent_at(state.progress, NOW - 3585), 11.0)

    def test_equal_parts_of_sessions_are_one_object(self) -> None:
        """They count: a server keeps a hundred thousand sessions."""
        states = [advance_session(None, event(replace(start(), recipe_id=UUID(int=RECIPE.int)))) for _ in range(2)]
        self.assertIs(states[0].recipe_id, states[1].recipe_id)
        materials = advance_materials(MaterialsState(SESSION), event(start())).state
        self.assertIs(states[0].stamps, materials.stamps)

    def test_a_state_of_a_version_without_stamps(self) -> None:
        self.assertIs(advance_session(state_of(A), event(progress(30.0), NOW - 1)).progress.status, A)

    def test_a_clock_that_is_set_moves_no_bar(self) -> None:
        """Ours alone, or with the authority's, by seconds to hours and either way; the craft pauses once."""
        reported = replace(progress(40.0), remaining_time_seconds=36.0)
        for step in (-5 * 3600.0, -3600.0, -7.0, 7.0, 3600.0, 5 * 3600.0):
            for theirs in (0.0, step):
                state = advance_session(None, event(start(), NOW))
                for data, after, percent in ((reported, 24.0, 40.0), (pause(), 30.0, 50.0), (RESUME, 90.0, 50.0)):
                    at = NOW + after
                    state = advance_session(state, replace(event(data, at), timestamp=at + theirs, ahead=step))
                    self.assertAlmostEqual(percent_at(state.progress, at), percent, 3)
                self.assertAlmostEqual(percent_at(state.progress, NOW + 105.0), 75.0, 3)


class Life(RuleBasedStateMachine):
    """Any events in any order, at times that jump about."""

    def __init__(self) -> None:
        super().__init__()
        self.state: SessionState | None = None
        self.now = NOW

    def happen(self, data: EventData, skew: float) -> None:
        self.now += 1.0
        before = self.state
        event_ = replace(event(data, self.now), timestamp=self.now + skew)
        try:
            self.state = advance_session(before, event_)
        except EventRejected:
            return
        if before is None:
            assert self.state.version == 1
        else:
            assert not before.progress.status.terminal
            assert self.state.version == before.version + 1
            assert self.state.progress.anchor >= before.progress.anchor

    @initialize()
    def begin(self) -> None:
        self.happen(start(), 0.0)

    @rule(name=st.sampled_from(["complete", "fail", "cancel"]), skew=st.floats(-7200, 7200))
    def any_end(self, name: str, skew: float) -> None:
        """No clock can lose it."""
        open_before = self.state is not None and not self.state.progress.status.terminal
        self.happen(EVENTS[name], skew)
        assert not open_before or (self.state is not None and self.state.progress.status.terminal)

    @rule(name=st.sampled_from(sorted(EVENTS)), skew=st.floats(-5, 10))
    def any_event(self, name: str, skew: float) -> None:
        self.happen(EVENTS[name], skew)

    @rule(
        percent=st.floats(0, 100),
        status=st.sampled_from((A, P, N)),
        remaining=st.none() | st.floats(0, 1e6),
        skew=st.floats(-2, 10),
    )
    def any_report(self, percent: float, status: Status, remaining: float | None, skew: float) -> None:
        data = SessionProgress(
            session_id=SESSION, progress_percentage=percent, status=status, remaining_time_seconds=remaining
        )
        self.happen(data, skew)

    @invariant()
    def within_bounds(self) -> None:
        if self.state is not None:
            held = self.state.progress
            for at in (self.now - 10, self.now, self.now + 1000):
                assert 0.0 <= percent_at(held, at) <= 100.0
                assert (remaining_at(held, at) or 0.0) >= 0.0
            assert held.anchor <= self.now + MAX_CLOCK_AHEAD
            assert (held.failure_reason is not None) == (held.status is F)


class LifeTests(SynchronousTestCase):
    def test_any_life(self) -> None:
        """Versions grow by one upon acceptance, terminal is final, figures stay in range."""
        run_state_machine_as_test(
            Life, settings=settings(max_examples=60, stateful_step_count=25, deadline=None, derandomize=True)
        )
