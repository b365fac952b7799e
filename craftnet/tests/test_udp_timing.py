from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.records import Heartbeat
from craftnet.protocols.udp.timing import INITIAL_TIMEOUT, MAX_TIMEOUT, MIN_TIMEOUT, SAMPLES, Pulse, RoundTrip
from craftnet.tests.samples import NOW


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


class PulseTests(SynchronousTestCase):
    """Two clocks, compared."""

    def _exchange(self, ours: Pulse, theirs: Pulse, at: float, *, out: float, back: float, ahead: float) -> None:
        theirs.heard(ours.beat(at), at + out + ahead)
        answered = at + out + 2.0
        ours.heard(theirs.beat(answered + ahead), answered + back)

    def test_round_trip_and_offset(self) -> None:
        """Their clock is 100 s ahead; they answer after 2 s."""
        ours, theirs = Pulse(), Pulse()
        self._exchange(ours, theirs, NOW, out=0.03, back=0.03, ahead=100.0)
        self.assertAlmostEqual(ours.round_trip.smoothed or 0, 0.06, places=5)
        self.assertAlmostEqual(ours.offset or 0, 100.0, places=5)

    def test_the_sample_with_the_least_delay_gives_the_offset(self) -> None:
        ours, theirs = Pulse(), Pulse()
        self._exchange(ours, theirs, NOW, out=0.01, back=0.01, ahead=100.0)
        self._exchange(ours, theirs, NOW + 5, out=0.5, back=0.01, ahead=100.0)
        self.assertAlmostEqual(ours.offset or 0, 100.0, places=5)

    def test_only_the_last_samples_count(self) -> None:
        """A clock that drifts is followed, however short the round trip once was."""
        pulse = Pulse()
        pulse.sampled(0.01, 5.0)
        for number in range(1, SAMPLES):
            pulse.sampled(0.2, 6.0)
            self.assertEqual((pulse.offset, pulse.uncertainty), (5.0, 0.005), number)
        pulse.sampled(0.1, 7.0)
        self.assertEqual((pulse.offset, pulse.uncertainty), (7.0, 0.05))

    def test_before_the_first_sample_the_other_clock_is_not_known(self) -> None:
        """One heartbeat that echoes none of ours tells nothing of it, nor does a delay that cannot be."""
        pulse = Pulse()
        pulse.beat(NOW)
        pulse.heard(Heartbeat(round((NOW + 100) * 1_000_000)), NOW + 0.1)
        pulse.sampled(-1.0, 100.0)
        self.assertIsNone(pulse.offset)
        pulse.sampled(0.1, 0.0)
        self.assertEqual(pulse.offset, 0.0)

    def test_heartbeats_out_of_order_tell_nothing(self) -> None:
        pulse = Pulse()
        pulse.heard(Heartbeat(2_000_000), NOW)
        pulse.heard(Heartbeat(1_000_000), NOW + 1)
        self.assertEqual(pulse.beat(NOW + 2).echoed_us, 2_000_000)
