from __future__ import annotations

from math import inf

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.heartbeat import (
    INITIAL_TIMEOUT,
    MAX_TIMEOUT,
    MIN_GAPS,
    MIN_SILENCE,
    MIN_TIMEOUT,
    OFFSET_SAMPLES,
    ArrivalGaps,
    Heartbeats,
    RoundTrip,
)
from craftnet.protocols.wire.records import HeartbeatBody
from craftnet.tests.support.samples import NOW


class ArrivalGapsTests(SynchronousTestCase):
    def measured(self, *gaps: float) -> ArrivalGaps:
        found = ArrivalGaps()
        for gap in gaps:
            found.measure(gap)
        return found

    def test_unknown_at_first(self) -> None:
        self.assertEqual(self.measured(*[1.0] * (MIN_GAPS - 1)).unusual, inf)
        self.assertLess(self.measured(*[1.0] * MIN_GAPS).unusual, 2.0)

    def test_regular_arrivals(self) -> None:
        """Soon after the next one is due; never within the time of a hand-over."""
        self.assertAlmostEqual(self.measured(*[2.0] * 30).unusual, 2.0, 2)
        self.assertEqual(self.measured(*[0.1] * 30).unusual, MIN_SILENCE)

    def test_irregular_arrivals(self) -> None:
        found = self.measured(*[0.5, 1.5] * 30)
        self.assertGreater(found.unusual, 1.5)
        self.assertLess(found.unusual, 2.5)

    def test_parts_of_one_burst_are_one_arrival(self) -> None:
        burst = [1.0, *[0.001] * 20]
        found = self.measured(*burst * 10)
        self.assertEqual((found.measured, found.unusual), (10, self.measured(*[1.0] * 10).unusual))


class RoundTripTests(SynchronousTestCase):
    """RFC 6298."""

    def test_before_the_first_measurement(self) -> None:
        self.assertEqual(RoundTrip().timeout, INITIAL_TIMEOUT)

    def test_smoothing(self) -> None:
        """Section 2.2, then 2.3, by hand."""
        trip = RoundTrip()
        trip.measured(0.2)
        self.assertAlmostEqual(trip.timeout, 0.2 + 4 * 0.1)
        trip.measured(0.4)
        self.assertAlmostEqual(trip.smoothed or 0, 0.225)
        self.assertAlmostEqual(trip.timeout, 0.225 + 4 * 0.125)

    def test_bounds(self) -> None:
        trip = RoundTrip()
        for _ in range(50):
            trip.measured(0.001)
        self.assertEqual(trip.timeout, MIN_TIMEOUT)
        for _ in range(50):
            trip.measured(30.0)
        self.assertEqual(trip.timeout, MAX_TIMEOUT)

    def test_nonsense_is_ignored(self) -> None:
        trip = RoundTrip()
        trip.measured(-1.0)
        trip.measured(3600.0)
        self.assertIsNone(trip.smoothed)


class Side:
    """One side's heartbeats, with a clock `ahead` of the true time."""

    def __init__(self, ahead: float = 0.0) -> None:
        self.pulse = Heartbeats(5.0, NOW)
        self.ahead = ahead
        self._sequence = 0

    def beat(self, now: float) -> tuple[HeartbeatBody, int]:
        """A heartbeat and its sequence."""
        self._sequence += 1
        return self.pulse.beat(now, now + self.ahead), self._sequence

    def heard(self, heartbeat: tuple[HeartbeatBody, int], now: float) -> None:
        """The other side's."""
        self.pulse.heard(*heartbeat, now, now + self.ahead)


class PulseTests(SynchronousTestCase):
    """Two clocks, compared."""

    def setUp(self) -> None:
        self.ours, self.theirs = Side(), Side(ahead=100.0)

    def _exchange(self, at: float, *, out: float = 0.01, back: float = 0.01) -> None:
        """They answer after 2 s."""
        self.theirs.heard(self.ours.beat(at), at + out)
        answered = at + out + 2.0
        self.ours.heard(self.theirs.beat(answered), answered + back)

    def test_round_trip_and_offset(self) -> None:
        self._exchange(NOW, out=0.03, back=0.03)
        self.assertAlmostEqual(self.ours.pulse.round_trip.smoothed or 0, 0.06, places=5)
        self.assertAlmostEqual(self.ours.pulse.offset or 0, 100.0, places=5)

    def test_the_sample_with_the_least_delay_gives_the_offset(self) -> None:
        self._exchange(NOW)
        self._exchange(NOW + 5, out=0.5)
        self.assertAlmostEqual(self.ours.pulse.offset or 0, 100.0, places=5)

    def test_only_the_last_samples_count(self) -> None:
        """A clock that drifts is followed, however short the round trip once was."""
        pulse = Heartbeats()
        pulse.sampled(0.01, 5.0)
        for number in range(1, OFFSET_SAMPLES):
            pulse.sampled(0.2, 5.1)
            self.assertEqual((pulse.offset, pulse.uncertainty), (5.0, 0.005), number)
        pulse.sampled(0.1, 5.2)
        self.assertEqual((pulse.offset, pulse.uncertainty), (5.2, 0.05))

    def test_a_clock_that_was_set_is_followed_at_once(self) -> None:
        """An offset that cannot be beside those held is the only one that is kept, however long it took."""
        for step in (3600.0, -7200.0, 0.3):
            self._exchange(NOW)
            self.theirs.ahead += step
            self._exchange(NOW + 5, back=0.05)
            self.assertAlmostEqual(self.ours.pulse.offset or 0, self.theirs.ahead, places=1)

    def test_our_own_clock_set_while_a_heartbeat_is_under_way(self) -> None:
        """Durations are measured on a clock that is never set; the offset is to the clock as it is then."""
        for step in (3600.0, -3600.0):
            self.setUp()
            self._exchange(NOW)
            beat = self.ours.beat(NOW + 5)
            self.theirs.heard(beat, NOW + 5.01)
            self.ours.ahead += step
            self.ours.heard(self.theirs.beat(NOW + 5.01), NOW + 5.02)
            self.assertAlmostEqual(self.ours.pulse.round_trip.smoothed or 0, 0.02, places=5)
            self.assertAlmostEqual(self.ours.pulse.offset or 0, 100.0 - step, places=5)
            self.theirs.heard(self.ours.beat(NOW + 10), NOW + 10.01)  # says how long it kept theirs, by either clock.
            self.assertAlmostEqual(self.theirs.pulse.round_trip.smoothed or 0, 0.02, places=5)

    def test_before_the_first_sample_the_other_clock_is_not_known(self) -> None:
        """A heartbeat without a valid echo is no sample, nor is an impossible delay."""
        self.ours.beat(NOW)
        self.ours.heard(self.theirs.beat(NOW), NOW + 0.1)
        self.ours.pulse.sampled(-1.0, 100.0)
        self.assertIsNone(self.ours.pulse.offset)
        self.ours.pulse.sampled(0.1, 0.0)
        self.assertEqual(self.ours.pulse.offset, 0.0)

    def test_an_echo_of_what_was_never_sent_says_nothing(self) -> None:
        (ours, _), _ = self.ours.beat(NOW), self.ours.beat(NOW + 1)
        for sequence, echoed in enumerate((ours.sent_us - 1, ours.sent_us + 500_000), 1):
            self.ours.heard((HeartbeatBody(ours.sent_us, echoed, echoed), sequence), NOW + 1.5)
            self.assertIsNone(self.ours.pulse.round_trip.smoothed)
        self.ours.heard((HeartbeatBody(ours.sent_us, ours.sent_us, ours.sent_us + 10_000), 3), NOW + 1.5)
        self.assertIsNotNone(self.ours.pulse.round_trip.smoothed)

    def test_heartbeats_out_of_order_are_ignored(self) -> None:
        """By their sequence: the other side's clock may have been set back between them."""
        self.ours.heard((HeartbeatBody(1_000_000), 2), NOW)
        self.ours.heard((HeartbeatBody(2_000_000), 1), NOW + 1)
        self.assertEqual(self.ours.beat(NOW + 2)[0].echoed_us, 1_000_000)
        self.ours.heard((HeartbeatBody(500_000), 3), NOW + 3)
        self.assertEqual(self.ours.beat(NOW + 4)[0].echoed_us, 500_000)


class FirstExchangeTests(SynchronousTestCase):
    """Both sides know the other's clock after one round trip and a half."""

    def test_the_first_heartbeat_is_answered_at_once(self) -> None:
        """The server's goes out when the handshake is done, the client's when the first sealed datagram is there."""
        server, client = Side(ahead=50.0), Side()
        client.pulse.begin(NOW + 0.1)
        client.heard(server.beat(NOW), NOW + 0.1)
        server.heard(client.beat(NOW + 0.1), NOW + 0.2)
        self.assertAlmostEqual(server.pulse.offset or 0, -50.0, places=5)
        self.assertTrue(server.pulse.due(NOW + 0.2))
        client.heard(server.beat(NOW + 0.2), NOW + 0.3)
        self.assertAlmostEqual(client.pulse.offset or 0, 50.0, places=5)
        for side in (server, client):
            self.assertFalse(side.pulse.due(NOW + 0.3))
            self.assertEqual(side.pulse.deadline, NOW + 5.2 if side is server else NOW + 5.1)

    def test_until_one_knows_it_asks_every_second(self) -> None:
        side = Side()
        side.beat(NOW)
        side.pulse.last_heard = NOW + 0.5
        self.assertEqual(side.pulse.deadline, NOW + 1)

    def test_a_moved_client_sends_a_heartbeat_at_once(self) -> None:
        side = Side()
        side.pulse.sampled(0.01, 0.0)
        side.beat(NOW)
        side.pulse.hurry(NOW + 2)
        self.assertTrue(side.pulse.due(NOW + 2))
        side.beat(NOW + 2)
        self.assertEqual(side.pulse.deadline, NOW + 7)
