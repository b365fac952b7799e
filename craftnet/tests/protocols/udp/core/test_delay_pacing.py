"""Tests for `craftnet.protocols.udp.core.delay_pacing`: the rule on seeded paths, in simulated time."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from random import Random
from statistics import median

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.delay_pacing import (
    FILTER,
    LONGEST_DATAGRAM,
    START_RATE,
    Congestion,
    DelayPacer,
    DelaySample,
    pacer,
    trend,
)
from craftnet.protocols.udp.core.pacing import MAX_RATE, MIN_RATE, Pacer
from craftnet.protocols.udp.core.path_stats import DeliveryRecord, PathStats
from craftnet.tests.support.bottleneck import Flow, Link, TcpFlow, run

SLOW = 8_000
"""64 kbit/s."""

seeds = st.integers(0, 2**32)


def link(seed: int = 1, rate: float = inf, latency: float = 0.025, jitter: float = 0.0, loss: float = 0.0) -> Link:
    """One direction of a path."""
    return Link(Random(seed), rate=rate, latency=latency, jitter=jitter, loss=loss)


class TrendTests(SynchronousTestCase):
    def test_a_growing_queue(self) -> None:
        line = trend([DelaySample(at / 10, 0.05 + at / 20, 100) for at in range(8)])
        self.assertAlmostEqual(line.gradient, 0.5)
        self.assertAlmostEqual(line.noise, 0.0)

    def test_jitter_is_noise(self) -> None:
        line = trend([DelaySample(at / 10, 0.05 + 0.02 * (at % 2), 100) for at in range(21)])
        self.assertAlmostEqual(line.gradient, 0.0, places=3)
        self.assertAlmostEqual(line.noise, 0.01, places=3)

    def test_too_few(self) -> None:
        self.assertEqual(trend([DelaySample(at, at, 100) for at in range(FILTER - 1)]), (0.0, 0.0))

    def test_all_at_once(self) -> None:
        self.assertEqual(trend([DelaySample(1.0, delay, 100) for delay in range(5)]), (0.0, 0.0))


class ChoiceTests(SynchronousTestCase):
    def test_off_by_default(self) -> None:
        self.assertIs(type(pacer(Congestion.LOSS)), Pacer)
        self.assertIs(type(pacer(Congestion.DELAY)), DelayPacer)


class AnyPathTests(SynchronousTestCase):
    """Whatever happens on the path."""

    @settings(deadline=None, max_examples=50, derandomize=True)
    @given(
        st.lists(
            st.tuples(
                st.floats(0.0, 3.0),
                st.integers(0, 4),
                st.integers(0, 2**64 - 1),
                st.floats(0.0, 1.0),
                st.sampled_from([None, 0.0, 0.05, 3.0]),
            ),
            max_size=60,
        )
    )
    def test_the_rate_is_bounded_and_nothing_starves(
        self, steps: Sequence[tuple[float, int, int, float, float | None]]
    ) -> None:
        pace, delivery, now, sequence = DelayPacer(), DeliveryRecord(), 0.0, 0
        longest = 0.5 + LONGEST_DATAGRAM / MIN_RATE
        for elapsed, number, arrived, loss, trip in steps:
            now += elapsed
            for _ in range(number):
                if now < pace.opens:
                    break
                sequence += 1
                pace.sent(1200, now, sequence)
            if sequence:
                delivery.take(sequence, arrived | 1)
                pace.acknowledged(delivery, now)
            pace.adapt(PathStats(round_trip=trip, loss_out=loss), now)
            if loss > 0.9:
                pace.forget_path()
            self.assertLessEqual(MIN_RATE, pace.rate)
            self.assertLessEqual(pace.rate, MAX_RATE)
            self.assertLessEqual(pace.opens, now + longest)


class BottleneckTests(SynchronousTestCase):
    """One sender that always has something to send."""

    @settings(deadline=None, max_examples=10, derandomize=True)
    @given(seeds, st.sampled_from([6_000, SLOW, 16_000, 40_000]), st.floats(0.005, 0.25), st.sampled_from([200, 1200]))
    def test_it_is_used_and_its_queue_stays_short(self, seed: int, rate: float, latency: float, size: int) -> None:
        down, up = link(seed, rate, latency), link(seed, latency=latency)
        flow = Flow(DelayPacer(), down, up, size=size)
        run([flow], 20.0)
        begun = len(down.queued)
        run_on = flow.bytes_between(10.0, 20.0) / 10.0
        self.assertGreater(run_on, 0.85 * rate)
        self.assertEqual(down.lost, 0)
        self.assertLess(median(down.queued[begun // 2 :]), 0.15 + LONGEST_DATAGRAM / rate)

    def test_a_loss_based_sender_fills_the_buffer(self) -> None:
        """What the rule is for: without it, seconds of queue."""
        down = link(rate=SLOW)
        run([Flow(Pacer(), down, link())], 20.0)
        self.assertGreater(median(down.queued), 3.0)

    def test_the_rate_rises_again_once_the_path_is_wide(self) -> None:
        down = link(rate=SLOW)
        flow = Flow(DelayPacer(), down, link())
        run([flow], 25.0, [(15.0, lambda: setattr(down, "rate", inf))])
        self.assertLess(max(rate for when, rate in flow.rates if 5.0 < when < 15.0), 2 * SLOW)
        self.assertEqual(flow.pace.rate, MAX_RATE)

    def test_an_unused_rate_does_not_rise(self) -> None:
        flow = Flow(DelayPacer(), link(), link(), demand=1_000)
        run([flow], 30.0)
        self.assertEqual(flow.pace.rate, START_RATE)


class NotFooledTests(SynchronousTestCase):
    """No queue of ours: the rate recovers, or does not fall."""

    @settings(deadline=None, max_examples=5, derandomize=True)
    @given(seeds, st.floats(0.0, 0.05))
    def test_random_loss(self, seed: int, loss: float) -> None:
        flow = Flow(DelayPacer(), link(seed, loss=loss), link(seed + 1, loss=loss))
        run([flow], 8.0)
        self.assertEqual(flow.pace.rate, MAX_RATE)

    def test_heavy_loss_lowers_it_without_any_delay(self) -> None:
        pace = DelayPacer(rate=MAX_RATE)
        pace.adapt(PathStats(loss_out=0.09), 0.0)
        self.assertEqual(pace.rate, MAX_RATE)
        pace.adapt(PathStats(loss_out=0.4), 1.0)
        self.assertEqual(pace.rate, 0.8 * MAX_RATE)

    @settings(deadline=None, max_examples=4, derandomize=True)
    @given(seeds)
    def test_a_little_jitter(self, seed: int) -> None:
        flow = Flow(DelayPacer(), link(seed, jitter=0.02), link(seed + 1, jitter=0.01))
        run([flow], 8.0)
        self.assertEqual(flow.pace.rate, MAX_RATE)

    @settings(deadline=None, max_examples=4, derandomize=True)
    @given(st.floats(0.05, 0.4))
    def test_a_longer_route(self, longer: float) -> None:
        down = link()
        flow = Flow(DelayPacer(), down, link())
        run([flow], 30.0, [(8.0, lambda: setattr(down, "latency", longer))])
        self.assertEqual(flow.pace.rate, MAX_RATE)

    @settings(deadline=None, max_examples=40, derandomize=True)
    @given(st.floats(0.1, 0.9), st.integers(5, 40))
    def test_a_single_late_acknowledgement(self, late: float, number: int) -> None:
        pace, delivery = DelayPacer(rate=MAX_RATE), DeliveryRecord()
        for sequence in range(1, 45):
            pace.sent(1200, float(sequence), sequence)
            delivery.take(sequence, 3)
            pace.acknowledged(delivery, sequence + (late if sequence == number else 0.05))
            self.assertEqual(pace.rate, MAX_RATE)

    @settings(deadline=None, max_examples=5, derandomize=True)
    @given(st.floats(0.5, 2.0), st.sampled_from([300, 2_000, inf]))
    def test_a_client_that_sleeps(self, seconds: float, demand: float) -> None:
        def asleep(now: float) -> float:
            return now - now % 5 + seconds if now > 10 and now % 5 < seconds else now

        flow = Flow(DelayPacer(), link(), link(), demand=demand, asleep=asleep)
        run([flow], 22.0)
        self.assertGreaterEqual(flow.pace.rate, START_RATE)
        self.assertGreaterEqual(min(rate for when, rate in flow.rates if when > 5), START_RATE)


class SharingTests(SynchronousTestCase):
    """A bottleneck of several senders."""

    def test_a_latecomer_takes_no_more_than_its_share(self) -> None:
        """It takes the queue of the first for a part of the route: the latecomer problem of LEDBAT."""
        for seed in range(2):
            down, up = link(seed, 2 * SLOW), link(seed)
            first, second = Flow(DelayPacer(), down, up), Flow(DelayPacer(), down, up, begins=15.0 + seed)
            run([first, second], 60.0)
            shares = [flow.bytes_between(35.0, 60.0) / 25.0 for flow in (first, second)]
            self.assertGreater(min(shares), 0.25 * 2 * SLOW)
            self.assertGreater(sum(shares), 0.8 * 2 * SLOW)
            self.assertLess(median(down.queued), 0.5)

    def test_a_bulk_transfer_leaves_it_the_floor_and_it_recovers(self) -> None:
        down, up = link(rate=4 * SLOW), link()
        flow = Flow(DelayPacer(), down, up)
        run([flow, TcpFlow(down, up, begins=10.0, ends=30.0)], 60.0)
        self.assertGreater(flow.bytes_between(15.0, 30.0) / 15.0, 0.9 * MIN_RATE)
        self.assertGreater(flow.bytes_between(50.0, 60.0) / 10.0, 0.8 * 4 * SLOW)
