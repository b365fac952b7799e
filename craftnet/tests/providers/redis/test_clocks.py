"""Nodes whose clocks are wrong, or are set: Redis' own clock dates what they store in it."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from craftnet.access.revocation.revocations import Revocation
from craftnet.clocks import IClock, Moment, moment, steady
from craftnet.contract.events import ACCEPTED, Event
from craftnet.crafting.progress import percent_at
from craftnet.crafting.state import QueueState, shifted
from craftnet.providers.clock_offset import CLOCK_DRIFT, OFFSET_TOLERANCE, PARTS_OF_A_SECOND, ClockOffset
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.contracts.source import SessionRecorder, complete, progress
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION, event, running, start

HOUR = 3600.0


class Machine:
    """The test's own reactor on a machine whose clock is wrong.

    Arguments:
        ahead: seconds by which the system's clock is ahead of the right time.
        started: seconds by which it was when the process started, and the steady clock with it.
    """

    def __init__(self, ahead: float = 0.0, started: float = 0.0) -> None:
        self._reactor: Any = steady(reactor)
        self.ahead = ahead
        self._started = started
        alsoProvides(self, IClock)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def seconds(self) -> float:
        """See `IClock`."""
        return float(self._reactor.seconds()) + self._started

    def wall(self) -> float:
        """See `IClock`."""
        return float(self._reactor.wall()) + self.ahead

    @property
    def clock(self) -> IClock:
        """It, as those take it that need a clock."""
        return cast("IClock", self)


def heard_at(event_: Event, now: Moment) -> Event:
    """It became true a moment ago, by the authority's clock, which is right."""
    return replace(event_, timestamp=moment(steady(reactor)).wall, accepted=now.steady, ahead=now.ahead)


class MeasuredTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True)
    @given(
        believed=st.floats(-1e6, 1e6),
        ahead=st.floats(-1e6, 1e6),
        delays=st.lists(st.tuples(st.floats(0, 0.5), st.floats(0, 0.5)), min_size=1, max_size=20),
    )
    def test_is_off_by_no_more_than_the_best_measurement(
        self, believed: float, ahead: float, delays: list[tuple[float, float]]
    ) -> None:
        measured, now = ClockOffset(believed), NOW
        for there, back in delays:
            measured.take(now + there + ahead, now, now + there + back)
            now += 1.0
        least = min(there + back for there, back in delays)
        self.assertLessEqual(
            abs(measured.ahead - ahead), least + OFFSET_TOLERANCE + 1 / PARTS_OF_A_SECOND + 20 * CLOCK_DRIFT
        )

    def test_stays_as_it_was_where_nothing_contradicts_it(self) -> None:
        measured = ClockOffset(5.0)
        for shown, asked, ahead in ((5.3, 0.0, 5.0), (6.2, 1.0, 5.0), (12.0, 2.0, 9.75)):
            measured.take(NOW + shown, NOW + asked, NOW + asked + 0.5)
            self.assertEqual(measured.ahead, ahead)

    @settings(deadline=None, derandomize=True)
    @given(parts=st.integers(-(10**7), 10**7), percent=st.floats(0, 100))
    def test_there_and_back_is_exact(self, parts: int, percent: float) -> None:
        state = running(percent=percent)
        self.assertEqual(shifted(shifted(state, parts / PARTS_OF_A_SECOND), -parts / PARTS_OF_A_SECOND), state)

    def test_what_has_no_time_of_ours_stays(self) -> None:
        self.assertEqual(shifted(QueueState(PLAYER, 3, since=NOW), HOUR), QueueState(PLAYER, 3, since=NOW))
        self.assertIsNone(shifted(None, HOUR))
        self.assertEqual(shifted(replace(running(), accepted=0.0), HOUR).accepted, 0.0)


class WrongClockTests(RedisTestCase):
    """Two nodes; the clock of the first is wrong, or is set while it runs."""

    async def nodes(self, ahead: float) -> tuple[Machine, RedisBackend, RedisBackend]:
        machine, self.prefix = Machine(ahead), f"test{ahead:.0f}"
        wrong, right = self.backend(clock=machine.clock), self.backend()
        await until(lambda: wrong.time.answered and right.time.answered)
        return machine, wrong, right

    def number(self, *command: str) -> float:
        """Redis' answer."""
        return float(self.server.command(*command).split()[-1].lstrip(b":"))

    async def applied(self, node: RedisBackend, event_: Event) -> None:
        self.assertEqual(await node.sessions.apply([event_]), [ACCEPTED])

    async def assert_right(self, node: RedisBackend, begun: float) -> None:
        """A craft of a minute is where it should be."""
        state = await node.sessions.get(SESSION)
        assert state is not None
        now = steady(reactor).seconds()
        self.assertApproximates(percent_at(state.progress, now), (now - begun) / 0.6, 0.1)

    async def test_a_craft_is_the_same_at_all_nodes(self) -> None:
        for ahead in (-HOUR, HOUR):
            machine, wrong, right = await self.nodes(ahead)
            begun = moment(machine.clock)
            await self.applied(wrong, heard_at(event(start()), begun))
            for node in (wrong, right):
                await self.assert_right(node, begun.steady)

    async def test_a_process_that_was_started_with_a_wrong_clock(self) -> None:
        """Its steady clock differs as well. What it stores, and what it receives, is right for all nodes."""
        for ahead in (-HOUR, HOUR):
            self.prefix = f"test{ahead:.0f}"
            machine = Machine(ahead, ahead)
            wrong, right = self.backend(clock=machine.clock), self.backend()
            await until(lambda: wrong.time.answered and right.time.answered)  # noqa: B023
            now = moment(machine.clock)
            await self.applied(wrong, replace(event(start()), timestamp=now.wall, accepted=now.steady))
            recorders = {clock: SessionRecorder() for clock in (machine.clock, steady(reactor))}
            for node, (clock, heard) in zip((wrong, right), recorders.items(), strict=True):
                state = await node.sessions.watch(SESSION, heard)
                assert state is not None
                self.assertApproximates(state.progress.anchor, clock.seconds(), 5.0)
            await self.applied(right, heard_at(event(progress(50.0)), moment(steady(reactor))))
            for clock, heard in recorders.items():
                await until(lambda: heard.heard)  # noqa: B023
                change = heard.heard[-1]
                assert change is not None
                self.assertApproximates(change.progress.anchor, clock.seconds(), 5.0)

    async def test_a_clock_that_is_set_moves_no_bar(self) -> None:
        machine, node, other = await self.nodes(0.0)
        begun, heard = moment(machine.clock), SessionRecorder()
        await self.applied(node, heard_at(event(start()), begun))
        await node.sessions.watch(SESSION, heard)
        for step in (-HOUR, 2 * HOUR):
            machine.ahead += step
            for each in (node, other):
                await self.assert_right(each, begun.steady)
        machine.ahead = HOUR
        await self.applied(other, heard_at(event(progress(50.0)), moment(steady(reactor))))
        await until(lambda: heard.heard)
        change = heard.heard[-1]
        assert change is not None
        self.assertApproximates(change.progress.anchor, steady(reactor).seconds(), 1.0)

    async def test_nothing_is_forgotten_too_early_or_too_late(self) -> None:
        """A node removes for all of them. What ended stays for half a minute, what did not stays for an hour."""
        for ahead in (-2 * HOUR, 2 * HOUR):
            machine, wrong, right = await self.nodes(ahead)
            for node in (wrong, right):
                now = moment(steady(reactor))
                await self.applied(node, heard_at(event(start(SESSION if node is wrong else OTHER_SESSION)), now))
            done = heard_at(event(complete()), moment(machine.clock))
            await self.applied(wrong, done)
            await wrong.sweeper.sweep()
            await right.sweeper.sweep()
            self.assertEqual(await right.sessions.count(), 2)
            due = self.number("ZSCORE", f"{self.prefix}:due:session", str(SESSION))
            self.assertApproximates(due, moment(steady(reactor)).wall + 300.0, 10.0)

    async def test_a_revocation_is_over_for_all_nodes_at_the_same_time(self) -> None:
        _, wrong, right = await self.nodes(2 * HOUR)
        now = moment(steady(reactor)).wall
        await right.revocations.publish(Revocation("t-1", None, 0.0, now + HOUR))
        await wrong.revocations.publish(Revocation("t-2", None, 0.0, now + HOUR))
        self.assertEqual(self.number("ZCARD", f"{self.prefix}:revoked"), 2)
