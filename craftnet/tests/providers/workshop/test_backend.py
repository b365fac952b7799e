"""The workshop as a back end of a running service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.contract.events import ACCEPTED, Event, EventOutcome, MaterialsUpdate, QueueUpdate, SessionStart, rejected
from craftnet.contract.messages import Status
from craftnet.crafting.progress import remaining_at
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.interfaces import IBackend, IBackendFactory
from craftnet.providers.inspection import IDemonstration
from craftnet.providers.sources import Sources
from craftnet.providers.workshop.backend import WorkshopBackend, WorkshopFactory
from craftnet.providers.workshop.driver import EVENTS_A_TURN, Driver
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW


class RecordingSource:
    """A source that records what it is given; it answers with `answer`, or fails with `failure`."""

    def __init__(self, order: list[tuple[str, Event]], name: str) -> None:
        self.order = order
        self.name = name
        self.batches: list[int] = []
        self.answer: EventOutcome = ACCEPTED
        self.failure: Exception | None = None
        self.pending: Deferred[None] | None = None

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """Write them down."""
        if self.failure is not None:
            return fail(self.failure)
        self.batches.append(len(events))
        self.order.extend((self.name, event) for event in events)
        answers = [self.answer for _ in events]
        pending, self.pending = self.pending, None
        if pending is not None:
            return pending.addCallback(lambda _: answers)
        return succeed(answers)


@implementer(IBackend)
class RecordingBackend:
    """Three ledgers that share one order."""

    service = None

    def __init__(self) -> None:
        self.order: list[tuple[str, Event]] = []
        self.sessions = RecordingSource(self.order, "sessions")
        self.materials = RecordingSource(self.order, "materials")
        self.queues = RecordingSource(self.order, "queues")


class DriverTests(SynchronousTestCase):
    """The simulation on a reactor's clock."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.backend = RecordingBackend()

    def driver(self, **wanted: float) -> Driver:
        """One that is stopped at the end of the test."""
        driver = Driver(self.clock, Sources.of(self.backend), WorkshopSettings(**wanted))  # type: ignore[arg-type]  # whole where they must.
        self.addCleanup(driver.stopService)
        return driver

    def play(self, seconds: float) -> None:
        """Let the clock run, finely."""
        for _ in range(round(seconds * 20)):
            self.clock.advance(0.05)

    def test_nothing_happens_before_it_starts(self) -> None:
        driver = self.driver()
        self.clock.advance(100)
        self.assertEqual(self.backend.order, [])
        self.assertIsNone(driver.featured())

    def test_something_has_happened_as_soon_as_it_started(self) -> None:
        driver = self.driver()
        driver.startService()
        self.assertTrue(any(isinstance(event.data, SessionStart) for _, event in self.backend.order))
        self.assertIsNotNone(driver.featured())

    def test_each_event_goes_to_those_responsible_in_order(self) -> None:
        self.driver(players=50, speed=20).startService()
        self.play(20)
        seen = {(name, type(event.data)) for name, event in self.backend.order}
        for name, kind in seen:
            if kind is QueueUpdate:
                self.assertEqual(name, "queues")
            elif kind is MaterialsUpdate:
                self.assertEqual(name, "materials")
            elif kind is not SessionStart:
                self.assertEqual(name, "sessions")
        self.assertIn(("sessions", SessionStart), seen)
        self.assertIn(("materials", SessionStart), seen)
        accepted = [event.accepted for _, event in self.backend.order]
        self.assertEqual(accepted, sorted(accepted))
        self.assertGreater(len(accepted), 500)

    def test_events_are_handed_over_when_they_are_due(self) -> None:
        self.driver(players=20, rate=5).startService()
        self.play(10)
        for _, event in self.backend.order:
            self.assertLess(event.accepted - event.timestamp, 0.2 if event.timestamp > NOW else 3600)

    def test_a_turn_is_bounded_and_the_rest_follows_at_once(self) -> None:
        self.driver(players=1000).startService()
        first = len(self.backend.order)
        # A start is handed to two sources, and a step of a life may add a few events past the bound.
        self.assertLess(first, 2.5 * EVENTS_A_TURN)
        self.assertEqual([call.getTime() for call in self.clock.getDelayedCalls()], [self.clock.seconds()])
        self.clock.advance(0)
        self.assertGreater(len(self.backend.order), first)

    def test_it_waits_until_the_events_are_kept(self) -> None:
        kept: Deferred[None] = Deferred()
        self.backend.sessions.pending = kept
        self.driver().startService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        kept.callback(None)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_stopping_leaves_nothing_behind(self) -> None:
        driver = self.driver()
        driver.startService()
        driver.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_while_events_are_being_kept(self) -> None:
        kept: Deferred[None] = Deferred()
        self.backend.sessions.pending = kept
        driver = self.driver()
        driver.startService()
        driver.stopService()
        kept.callback(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_started_again_it_goes_on_where_it_was(self) -> None:
        driver = self.driver(players=30, speed=10)
        driver.startService()
        self.play(2)
        driver.stopService()
        self.clock.advance(5)
        driver.startService()
        self.play(2)
        started = [event.session_id for name, event in self.backend.order if isinstance(event.data, SessionStart)]
        self.assertEqual(len(started), 2 * len(set(started)))  # once to each of two sources.

    def test_a_source_that_is_out_of_reach_is_reported_and_the_show_goes_on(self) -> None:
        self.backend.sessions.failure = Unavailable("gone fishing")
        driver = self.driver()
        with capturedLogs() as log:
            driver.startService()
        failures = [entry["log_failure"] for entry in log if "log_failure" in entry]
        self.assertEqual([failure.getErrorMessage() for failure in failures], ["gone fishing"])
        self.flushLoggedErrors(Unavailable)
        self.backend.sessions.failure = None
        self.play(5)
        self.assertTrue(self.backend.sessions.batches)

    def test_rejections_are_reported_once_a_turn(self) -> None:
        self.backend.queues.answer = rejected("no such queue")
        driver = self.driver(players=50)
        with capturedLogs() as log:
            driver.startService()
        self.assertEqual(
            [(entry["reason"], entry["count"]) for entry in log if "reason" in entry],
            [("no such queue", sum(self.backend.queues.batches))],
        )


class BackendTests(SynchronousTestCase):
    """The workshop on the memory back end."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)

    def start(self, **arguments: str) -> WorkshopBackend:
        """A running one."""
        backend = WorkshopFactory().build(self.clock, arguments)
        backend.service.startService()
        self.addCleanup(backend.service.stopService)
        return backend

    def test_interfaces(self) -> None:
        factory = WorkshopFactory()
        backend = factory.build(self.clock, {})
        self.assertTrue(verifyObject(IBackendFactory, factory))
        self.assertTrue(verifyObject(IBackend, backend))
        self.assertTrue(verifyObject(IDemonstration, backend))

    def test_wrong_arguments(self) -> None:
        self.assertRaises(ConfigurationError, WorkshopFactory().build, self.clock, {"players": "none"})

    def test_nothing_is_shown_before_it_starts(self) -> None:
        backend = WorkshopFactory().build(self.clock, {})
        self.assertIsNone(backend.featured())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_session_to_watch_at_start(self) -> None:
        for speed in ("0.1", "1", "4", "1000"):
            state = self.start(speed=speed).featured()
            assert state is not None
            self.assertIs(state.progress.status, Status.ACTIVE)
            remaining = remaining_at(state.progress, self.clock.seconds())
            assert remaining is not None
            self.assertGreater(remaining, 60.0)

    def test_sessions_of_a_player(self) -> None:
        """They are those that the sessions' source has as running."""
        backend = self.start(players="5", speed="4")
        seen = set()
        for _ in range(200):
            self.clock.advance(5)
            state = backend.featured()
            if state is not None:
                seen.add(state.session_id)
                self.assertEqual(list(backend.under_way(state.player_id)), [state.session_id])
        self.assertGreater(len(seen), 3)
        self.assertEqual(list(backend.under_way(UUID(int=0))), [])

    def test_the_same_seed_shows_the_same_session(self) -> None:
        one, same, other = (self.start(seed=seed).featured() for seed in ("7", "7", "8"))
        assert one is not None and same is not None and other is not None
        self.assertEqual(one.session_id, same.session_id)
        self.assertNotEqual(one.session_id, other.session_id)

    def test_sessions_come_and_go_and_none_is_rejected(self) -> None:
        counts = []
        with capturedLogs() as log:
            backend = self.start(players="40", speed="50")
            for _ in range(300):
                self.clock.advance(0.5)
                counts.append(self.successResultOf(backend.sessions.count()))
        self.assertGreater(min(counts), 10)
        # Finished ones are removed: there are no more at the end than after a while.
        self.assertLess(counts[-1], 1.5 * counts[150])
        self.assertEqual([entry["reason"] for entry in log if "reason" in entry], [])

    def test_importing_it_installs_no_reactor(self) -> None:
        """`twistd --reactor=…` comes too late when a plugin has chosen one."""
        program = "import sys, craftnet.providers.workshop.backend; print('twisted.internet.reactor' in sys.modules)"
        answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        self.assertEqual(answer.stdout, "False\n")
