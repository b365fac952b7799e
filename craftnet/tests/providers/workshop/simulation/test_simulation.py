"""The events of the workshop."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from random import Random
from uuid import UUID

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.events import (
    ACCEPTED,
    EVENT_TYPES,
    Event,
    MaterialsUpdate,
    QueueUpdate,
    SessionCancel,
    SessionComplete,
    SessionFail,
    SessionPause,
    SessionProgress,
    SessionResume,
    SessionStart,
)
from craftnet.contract.messages import ChangeType, MaterialProblem, QueueMessageType, Station, Status
from craftnet.crafting.queue_rules import LEAVING
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.memory.sources import MemoryMaterials, MemoryQueues, MemorySessions
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.providers.workshop.simulation.simulation import SHOWN_AT_LEAST, Simulation
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW

ENDS = (SessionComplete, SessionFail, SessionCancel)


@cache
def simulate(wanted: WorkshopSettings, seconds: float, *, step: float = math.inf) -> Sequence[Event]:
    """Everything that happens in `seconds` of real time, collected every `step` seconds."""
    simulation = Simulation(wanted, Random(wanted.seed), NOW)
    events = simulation.run_until(NOW)
    elapsed = 0.0
    while elapsed < seconds:
        elapsed = min(seconds, elapsed + step)
        events += simulation.run_until(NOW + elapsed)
    return tuple(events)


def by_session(events: Iterable[Event]) -> dict[UUID, list[Event]]:
    """The events of each session, its queue's left out."""
    by_session: dict[UUID, list[Event]] = defaultdict(list)
    for event in events:
        if event.session_id is not None and not isinstance(event.data, QueueUpdate):
            by_session[event.session_id].append(event)
    return by_session


class DeterminismTests(SynchronousTestCase):
    """The same question has the same answer."""

    wanted = WorkshopSettings(players=40, seed=3, speed=8.0)

    def test_the_same_seed_gives_the_same_events(self) -> None:
        once = simulate(self.wanted, 60, step=7)
        simulate.cache_clear()
        self.assertEqual(simulate(self.wanted, 60, step=7), once)

    def test_another_seed_gives_others(self) -> None:
        one, other = (simulate(replace(self.wanted, seed=seed), 5) for seed in (3, 4))
        self.assertFalse({event.event_id for event in one} & {event.event_id for event in other})

    def test_how_often_one_looks_changes_only_when_events_are_accepted(self) -> None:
        often, once = (
            [replace(event, accepted=0.0) for event in simulate(self.wanted, 60, step=step)] for step in (0.31, 60)
        )
        self.assertEqual(often, once)

    def test_a_limit_leaves_the_rest_for_the_next_call(self) -> None:
        whole = Simulation(self.wanted, Random(1), NOW).run_until(NOW + 20)
        simulation = Simulation(self.wanted, Random(1), NOW)
        parts = [simulation.run_until(NOW + 20, limit=10)]
        self.assertLess(len(parts[0]), 40)
        while simulation.next_due() <= NOW + 20:
            parts.append(simulation.run_until(NOW + 20, limit=10))
        self.assertEqual([event for part in parts for event in part], whole)


class TruthTests(SynchronousTestCase):
    """No event of the workshop is refused."""

    @given(
        st.builds(
            WorkshopSettings,
            players=st.integers(1, 120),
            seed=st.integers(0, 2**32),
            speed=st.sampled_from([0.1, 0.5, 1.0, 4.0, 60.0, 1000.0]),
            rate=st.sampled_from([0.0, 0.2, 2.0]),
            chaos=st.sampled_from([0.0, 0.5, 1.0]),
        ),
        st.sampled_from([0.7, 13.0, 90.0]),
    )
    @settings(deadline=None, max_examples=12, derandomize=True)
    def test_a_real_back_end_accepts_every_event(self, wanted: WorkshopSettings, step: float) -> None:
        clock = SteppedClock()
        clock.advance(NOW)
        backend = MemoryBackend(clock, MemorySettings())
        simulation = Simulation(wanted, Random(wanted.seed), NOW)
        while clock.seconds() < NOW + 90:
            for event in simulation.run_until(clock.seconds()):
                self.assertLessEqual(event.timestamp, event.accepted)
                self.assertEqual(event.accepted, clock.seconds())
                sources: list[MemorySessions | MemoryMaterials | MemoryQueues]
                if isinstance(event.data, QueueUpdate):
                    sources = [backend.queues]
                elif isinstance(event.data, MaterialsUpdate):
                    sources = [backend.materials]
                elif isinstance(event.data, SessionStart):
                    sources = [backend.sessions, backend.materials]
                else:
                    sources = [backend.sessions]
                for source in sources:
                    self.assertEqual(self.successResultOf(source.apply((event,))), [ACCEPTED], event)
            clock.advance(step)

    @given(
        st.integers(0, 2**32),
        st.sampled_from([0.1, 3.0, 1000.0]),
    )
    @settings(deadline=None, max_examples=4, derandomize=True)
    def test_every_event_is_within_the_contract(self, seed: int, speed: float) -> None:
        """Events that a back end accepts as values must also be valid JSON, where every range is checked."""
        decoders = {kind: msgspec.json.Decoder(kind) for kind in EVENT_TYPES.values()}
        for event in simulate(WorkshopSettings(players=60, seed=seed, speed=speed, chaos=1.0), 60):
            self.assertEqual(decoders[type(event.data)].decode(msgspec.json.encode(event.data)), event.data)

    def test_ids_are_never_given_twice(self) -> None:
        events = simulate(WorkshopSettings(players=100, speed=20.0), 60)
        self.assertEqual(len({event.event_id for event in events}), len(events))


class QueueTests(SynchronousTestCase):
    """The lines in front of the stations of one district."""

    def setUp(self) -> None:
        self.events = simulate(WorkshopSettings(players=50, seed=5, speed=10.0, chaos=1.0), 120)

    def test_positions_are_always_those_of_a_line(self) -> None:
        """After every moment, waiting players have received 1, 2, 3, … and nothing else."""
        lines: dict[Station, dict[UUID, int]] = defaultdict(dict)
        queue = [event for event in self.events if isinstance(event.data, QueueUpdate)]
        checked = 0
        for number, event in enumerate(queue):
            data = event.data
            assert isinstance(data, QueueUpdate) and data.station_type is not None and event.session_id is not None
            if data.type in LEAVING:
                del lines[data.station_type][event.session_id]
            else:
                lines[data.station_type][event.session_id] = data.queue_position
            if number + 1 == len(queue) or queue[number + 1].timestamp > event.timestamp:
                checked += 1
                for line in lines.values():
                    self.assertEqual(sorted(line.values()), list(range(1, len(line) + 1)))
        self.assertGreater(checked, 100)

    def test_all_kinds_of_news_happen(self) -> None:
        kinds = {event.data.type for event in self.events if isinstance(event.data, QueueUpdate)}
        self.assertEqual(kinds, set(QueueMessageType))

    def test_a_waiting_player_starts_the_announced_session(self) -> None:
        called = {
            event.session_id: event.timestamp
            for event in self.events
            if isinstance(event.data, QueueUpdate) and event.data.type is QueueMessageType.STATION_AVAILABLE
        }
        started = {event.session_id: event.timestamp for event in self.events if isinstance(event.data, SessionStart)}
        both = set(called) & set(started)
        self.assertGreater(len(both), 0.7 * len(called))
        for session_id in both:
            self.assertTrue(0.0 <= started[session_id] - called[session_id] < 1.0)

    def test_waits_are_guessed_fairly(self) -> None:
        """The estimate for the next in the queue is right on average."""
        estimates: dict[UUID | None, tuple[float, float]] = {}
        errors: list[float] = []
        waits: list[float] = []
        for event in simulate(WorkshopSettings(players=200, speed=2.0, chaos=0.0), 300):
            data = event.data
            if isinstance(data, QueueUpdate):
                if data.type is QueueMessageType.STATION_AVAILABLE and event.session_id in estimates:
                    since, guess = estimates.pop(event.session_id)
                    waits.append(event.timestamp - since)
                    errors.append(abs(event.timestamp - since - guess))
                elif data.queue_position == 1:
                    estimates.setdefault(event.session_id, (event.timestamp, data.estimated_wait_seconds or 0))
        self.assertGreater(len(waits), 100)
        self.assertLess(sum(errors), 0.5 * sum(waits))

    def test_a_player_who_left_the_queue_does_not_start(self) -> None:
        gone = {
            event.session_id
            for event in self.events
            if isinstance(event.data, QueueUpdate) and event.data.type is QueueMessageType.QUEUE_TIMEOUT
        }
        self.assertTrue(gone)
        self.assertFalse(gone & set(by_session(self.events)))

    def test_a_workbench_is_used_by_one_session_at_a_time(self) -> None:
        used: set[UUID | None] = set()
        stations: dict[UUID | None, UUID | None] = {}
        for event in self.events:
            if isinstance(event.data, SessionStart):
                self.assertNotIn(event.data.workstation_id, used)
                used.add(event.data.workstation_id)
                stations[event.session_id] = event.data.workstation_id
            elif isinstance(event.data, ENDS):
                used.remove(stations[event.session_id])


class CraftTests(SynchronousTestCase):
    """The course of sessions."""

    def setUp(self) -> None:
        self.events = simulate(WorkshopSettings(players=150, seed=11, speed=10.0, rate=2.0, chaos=0.8), 100)

    def kinds(self, events: Sequence[Event]) -> Counter[type]:
        """How many events there are of each type."""
        return Counter(type(event.data) for event in events)

    def test_everything_happens(self) -> None:
        self.assertEqual(set(self.kinds(self.events)), set(EVENT_TYPES.values()))
        updates = [event.data for event in self.events if isinstance(event.data, MaterialsUpdate)]
        self.assertEqual({each.change_type for data in updates for each in data.changes}, set(ChangeType))
        self.assertEqual(
            {each.notification_type for data in updates for each in data.notifications}, set(MaterialProblem)
        )
        reports = [event.data for event in self.events if isinstance(event.data, SessionProgress)]
        self.assertEqual({data.status for data in reports}, {Status.ACTIVE, Status.INTERRUPTED})

    def test_progress_never_goes_back(self) -> None:
        for session_events in by_session(self.events).values():
            estimates = [
                event.data.progress_percentage for event in session_events if isinstance(event.data, SessionProgress)
            ]
            self.assertEqual(estimates, sorted(estimates))

    def test_remaining_time_is_exact_enough_to_extrapolate(self) -> None:
        """From the last report before the end, the end is known to one part in fifty."""
        checked = 0
        for session_events in by_session(self.events).values():
            if len(session_events) > 1 and isinstance(session_events[-1].data, SessionComplete):
                report = session_events[-2].data
                if isinstance(report, SessionProgress):
                    assert report.remaining_time_seconds is not None
                    end = session_events[-2].timestamp + report.remaining_time_seconds
                    tolerance = 0.001 + 0.02 * report.remaining_time_seconds
                    self.assertLess(abs(end - session_events[-1].timestamp), tolerance)
                    checked += 1
        self.assertGreater(checked, 100)

    def test_crafts_take_about_as_long_as_estimated_but_not_exactly(self) -> None:
        ratios: list[float] = []
        started: dict[UUID | None, tuple[float, float]] = {}
        for event in simulate(WorkshopSettings(players=100, seed=2, speed=10.0, chaos=0.0), 200):
            if isinstance(event.data, SessionStart):
                assert event.data.estimated_duration_seconds is not None
                started[event.session_id] = event.timestamp, event.data.estimated_duration_seconds
            elif isinstance(event.data, SessionComplete):
                begun, estimate = started[event.session_id]
                ratios.append((event.timestamp - begun) / estimate)
        self.assertTrue(all(0.75 < ratio < 1.3 for ratio in ratios), (min(ratios), max(ratios)))
        self.assertLess(min(ratios), 0.93)
        self.assertGreater(max(ratios), 1.07)

    def test_a_completed_session_has_used_all_it_brought(self) -> None:
        checked = 0
        for session_events in by_session(self.events).values():
            start = session_events[0].data
            if isinstance(start, SessionStart) and isinstance(session_events[-1].data, SessionComplete):
                materials = {item.material_id: item.quantity for item in start.materials or ()}
                for event in session_events:
                    if isinstance(event.data, MaterialsUpdate):
                        for change in event.data.changes:
                            if change.change_type is ChangeType.QUANTITY_CHANGED:
                                assert change.new_quantity is not None
                                materials[change.material_id] = change.new_quantity
                self.assertEqual(set(materials.values()), {0})
                checked += 1
        self.assertGreater(checked, 100)

    def test_what_was_short_is_restored_before_work_goes_on(self) -> None:
        checked = 0
        for session_events in by_session(self.events).values():
            short: set[UUID] = set()
            for event in session_events:
                if isinstance(event.data, MaterialsUpdate):
                    for estimates in event.data.notifications:
                        if estimates.notification_type is MaterialProblem.MATERIAL_RESTORED:
                            short.remove(estimates.material_id)
                            checked += 1
                        else:
                            short.add(estimates.material_id)
                elif isinstance(event.data, (SessionResume, SessionComplete)):
                    self.assertFalse(short)
        self.assertGreater(checked, 10)

    def test_pauses_are_followed_by_going_on(self) -> None:
        for session_events in by_session(self.events).values():
            for event, following in pairwise(session_events):
                if isinstance(event.data, SessionPause):
                    self.assertIsInstance(following.data, SessionResume)

    def test_without_chaos_nothing_goes_wrong(self) -> None:
        events = simulate(WorkshopSettings(players=60, speed=20.0, chaos=0.0), 60)
        self.assertEqual(
            set(self.kinds(events)), {SessionStart, SessionProgress, SessionComplete, MaterialsUpdate, QueueUpdate}
        )
        reports = [event.data for event in events if isinstance(event.data, SessionProgress)]
        self.assertEqual({data.status for data in reports}, {Status.ACTIVE})

    def test_the_rate_of_reports(self) -> None:
        few, many = (
            self.kinds(simulate(WorkshopSettings(players=30, rate=rate, chaos=0.0), 60))[SessionProgress]
            for rate in (0.5, 5.0)
        )
        self.assertGreater(many, 6 * few)

    def test_speed_shortens_crafts_within_the_contract(self) -> None:
        longest = {}
        for speed in (0.1, 1.0, 4.0, 1000.0):
            longest[speed] = max(
                event.data.estimated_duration_seconds or 0.0
                for event in simulate(WorkshopSettings(players=300, speed=speed), 1)
                if isinstance(event.data, SessionStart)
            )
        self.assertEqual(longest, {0.1: 3600.0, 1.0: 1800.0, 4.0: 450.0, 1000.0: 120.0})


class FirstMomentTests(SynchronousTestCase):
    """What a visitor finds when the server has just started."""

    def test_many_are_in_the_middle_of_things(self) -> None:
        events = Simulation(WorkshopSettings(players=100), Random(0), NOW).run_until(NOW)
        started = [event.timestamp for event in events if isinstance(event.data, SessionStart)]
        self.assertGreater(len(started), 30)
        self.assertTrue(all(when < NOW for when in started))
        self.assertTrue(any(isinstance(event.data, QueueUpdate) for event in events))

    def test_the_others_come_one_by_one(self) -> None:
        simulation = Simulation(WorkshopSettings(players=3000), Random(0), NOW)
        starts = [
            sum(isinstance(event.data, SessionStart) for event in simulation.run_until(NOW + second))
            for second in range(12)
        ]
        self.assertLess(starts[0], 1000)
        self.assertTrue(all(10 < number < 100 for number in starts[1:]), starts)

    def test_there_is_something_to_show_from_the_first_event_on(self) -> None:
        for speed in (0.1, 1.0, 4.0, 100.0, 1000.0):
            for players in (1, 50):
                simulation = Simulation(WorkshopSettings(players=players, speed=speed, chaos=1.0), Random(9), NOW)
                first = simulation.run_until(NOW, limit=1)
                self.assertEqual(simulation.featured(NOW), first[0].session_id)

    def test_what_is_shown_goes_on_long_enough_and_ends_well(self) -> None:
        ended = 0
        for seed in range(6):
            simulation = Simulation(WorkshopSettings(players=50, seed=seed, speed=8.0, chaos=1.0), Random(seed), NOW)
            shown: dict[UUID | None, float] = {}
            for second in range(200):
                for event in simulation.run_until(NOW + second):
                    if isinstance(event.data, ENDS) and event.session_id in shown:
                        ended += 1
                        self.assertIsInstance(event.data, SessionComplete)
                        # A craft can become a little faster on its way.
                        self.assertGreater(event.timestamp - shown[event.session_id], 0.6 * SHOWN_AT_LEAST)
                session_id = simulation.featured(NOW + second)
                if session_id is not None:
                    shown.setdefault(session_id, NOW + second)
        self.assertGreater(ended, 15)
