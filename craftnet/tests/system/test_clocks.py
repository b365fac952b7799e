"""The steady clock and the wall clock: real reactors keep their timers when the system's clock is set."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.base import ReactorBase
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime
from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.clocks import IClock, Moment, moment, occurred, steady
from craftnet.contract.messages import rfc3339
from craftnet.errors import TooManyRequests, Unavailable
from craftnet.http.exchange import refusal_response
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW

HOUR = 3600.0


class System:
    """A machine's clocks, as tests set them."""

    def __init__(self) -> None:
        self.wall = NOW
        self.up = 1234.5

    def run(self, seconds: float) -> None:
        """Time passes, on both."""
        self.wall += seconds
        self.up += seconds


class SteadyReactorTests(SynchronousTestCase):
    """Of Twisted's own reactors. If these fail after an upgrade, Twisted takes its time from elsewhere."""

    def setUp(self) -> None:
        self.system = System()
        self.rang: list[str] = []

    def reactors(self) -> list[Any]:
        kinds: list[type[ReactorBase]] = [SelectReactor, PollReactor, AsyncioSelectorReactor]
        try:
            from twisted.internet.epollreactor import EPollReactor  # not on every system.
        except ImportError:
            pass
        else:
            kinds.append(EPollReactor)
        made = [kind() for kind in kinds]
        for reactor in made:
            self.addCleanup(reactor.disconnectAll)
            for reader in reactor.removeAll():
                self.addCleanup(reader.connectionLost, Failure(ConnectionDone()))  # the waker's pipe.
        return made

    def with_steady_clock(self, reactor: Any) -> Any:
        self.assertIs(steady(reactor, lambda: self.system.wall, lambda: self.system.up), reactor)
        return reactor

    def run_due(self, reactor: Any) -> list[str]:
        """Runs what is due; returns what ran."""
        reactor.runUntilCurrent()
        rang = self.rang.copy()
        self.rang.clear()
        return rang

    def test_a_timer_is_kept_when_the_clock_is_set(self) -> None:
        for step in (-HOUR, -2.0, 2.0, HOUR):
            for reactor in map(self.with_steady_clock, self.reactors()):
                with self.subTest(reactor=type(reactor).__name__, step=step):
                    reactor.callLater(10.0, self.rang.append, "ten")
                    self.system.wall += step
                    reactor.callLater(20.0, self.rang.append, "twenty")
                    self.assertAlmostEqual(reactor.timeout(), 10.0, 3)
                    self.system.run(9.0)
                    self.assertEqual(self.run_due(reactor), [])
                    self.system.run(1.5)
                    self.assertEqual(self.run_due(reactor), ["ten"])
                    self.assertAlmostEqual(reactor.timeout(), 9.5, 3)
                    self.system.run(10.0)
                    self.assertEqual(self.run_due(reactor), ["twenty"])

    def test_a_timer_that_is_put_off_and_a_looping_call_are_kept_too(self) -> None:
        for reactor in map(self.with_steady_clock, self.reactors()):
            with self.subTest(reactor=type(reactor).__name__):
                call = reactor.callLater(10.0, self.rang.append, "late")
                looping = LoopingCall(self.rang.append, "turn")
                looping.clock = reactor
                looping.start(5.0, now=False)
                self.system.wall -= HOUR
                call.reset(12.0)
                self.system.run(5.0)
                self.assertEqual(self.run_due(reactor), ["turn"])
                self.system.wall += 2 * HOUR
                self.assertEqual(self.run_due(reactor), [])
                self.system.run(7.5)
                self.assertEqual(sorted(self.run_due(reactor)), ["late", "turn"])
                looping.stop()

    def test_what_is_pending_when_the_reactor_is_made_steady_stays_due(self) -> None:
        reactor = self.reactors()[0]
        reactor.callLater(10.0, self.rang.append, "ten")
        before = reactor.seconds()
        steady(reactor)
        self.assertApproximates(reactor.seconds(), before, 1.0)
        self.assertApproximates(reactor.timeout(), 10.0, 1.0)

    def test_both_clocks(self) -> None:
        reactor = self.with_steady_clock(self.reactors()[0])
        verifyObject(IClock, reactor)
        self.assertTrue(IReactorTime.providedBy(reactor))
        self.assertEqual((reactor.seconds(), reactor.wall()), (NOW, NOW))
        self.system.run(5.0)
        self.system.wall += HOUR
        self.assertEqual((reactor.seconds(), reactor.wall()), (NOW + 5.0, NOW + 5.0 + HOUR))

    def test_what_has_both_clocks_stays_as_it_is(self) -> None:
        clock = SteppedClock(NOW)
        self.assertIs(steady(clock, lambda: 0.0, lambda: 0.0), clock)
        self.assertEqual(clock.seconds(), NOW)


class SteppedClockTests(SynchronousTestCase):
    def test_interface(self) -> None:
        verifyObject(IClock, SteppedClock())

    def test_a_step_moves_the_wall_clock_alone(self) -> None:
        clock = SteppedClock(NOW)
        clock.step(-HOUR)
        clock.advance(1.0)
        self.assertEqual(moment(clock), Moment(NOW + 1.0, NOW + 1.0 - HOUR))


class MomentTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True)
    @given(steady=st.floats(0, 4e9), wall=st.floats(0, 4e9), then=st.floats(0, 4e9))
    def test_dates_and_deadlines_are_each_others_inverse(self, steady: float, wall: float, then: float) -> None:
        now = Moment(steady, wall)
        self.assertAlmostEqual(now.deadline(now.date(then)), then, 3)
        self.assertAlmostEqual(now.date(steady), wall, 3)

    def test_agreed(self) -> None:
        self.assertEqual((Moment.agreed(NOW).date(NOW - 5), Moment.agreed(NOW).ahead), (NOW - 5, 0.0))


class OccurredTests(SynchronousTestCase):
    """What another machine dated is anchored correctly, whatever was done to clocks before."""

    TOLERANCE = 5.0

    def occurred(self, date: float, now: Moment) -> float | None:
        return occurred(date, now.steady, now.ahead, self.TOLERANCE)

    @settings(deadline=None, derandomize=True)
    @given(
        step=st.floats(-5 * HOUR, 5 * HOUR),
        age=st.floats(0.0, 1.0),
        theirs_was_set=st.booleans(),
    )
    def test_what_is_fresh_is_anchored_when_it_was_true(self, step: float, age: float, theirs_was_set: bool) -> None:
        """Their clock agrees with ours as it is now, or as it was before it was set by `step`."""
        now = Moment(NOW, NOW + step)
        when = self.occurred((NOW + step if theirs_was_set else NOW) - age, now)
        assert when is not None
        self.assertApproximates(when, NOW, 1.0 + 1e-6)

    @settings(deadline=None, derandomize=True)
    @given(age=st.floats(-5.0, 5 * HOUR))
    def test_clocks_that_agree(self, age: float) -> None:
        self.assertEqual(self.occurred(NOW - age, Moment.agreed(NOW)), NOW - age)

    def test_what_was_kept_back_is_not_taken_for_news(self) -> None:
        """Ten minutes in a queue of the authority's, on clocks that were set by hours."""
        for step in (-5 * HOUR, 5 * HOUR):
            now = Moment(NOW, NOW + step)
            for at in (now.steady, now.wall):
                self.assertEqual(self.occurred(at - 600, now), NOW - 600)

    def test_the_future_is_not_believed(self) -> None:
        self.assertIsNone(self.occurred(NOW + 5.1, Moment.agreed(NOW)))
        self.assertIsNone(self.occurred(NOW + 5.1, Moment(NOW, NOW - HOUR)))
        self.assertEqual(self.occurred(NOW + 4.9, Moment(NOW, NOW - HOUR)), NOW + 4.9)


class RefusalTests(SynchronousTestCase):
    def test_the_end_of_a_limit_is_a_date(self) -> None:
        refusal = TooManyRequests("Slowly.", retry_after=7, limit=5)
        headers = refusal_response(refusal, NOW).fields
        self.assertEqual((headers["Retry-After"], headers["X-RateLimit-Reset"]), ("7", rfc3339(NOW + 7)))
        self.assertNotIn("X-RateLimit-Reset", refusal_response(Unavailable("Later."), NOW).fields)
