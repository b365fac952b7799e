"""A whole server and a whole client on slow paths, with and without `--udp-congestion delay`. Simulated time."""

from __future__ import annotations

from math import inf
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.pacing import MAX_RATE
from craftnet.tests.support.bottleneck import Link
from craftnet.tests.support.simulated_path import SimulatedPath, Workload, quantile

HALL = Workload(crafts=24, rows=20, seconds=600.0, correction=4.0, pause=40.0, material=4.0)
"""A client that watches every session of a workshop."""

SLOW = 8_000
"""64 kbit/s."""


def played(
    congestion: Congestion, *, rate: float = inf, loss: float = 0.0, ahead: float = 0.0, drift: float = 0.0
) -> tuple[SimulatedPath, Link]:
    """Forty seconds of a workshop."""
    random = Random(7)
    down, up = Link(random, rate=rate, loss=loss), Link(random, loss=loss)
    path = SimulatedPath(HALL, down, up, congestion=congestion, ahead=ahead, drift=drift, frame=0.1)
    path.run(40.0)
    return path, down


class SlowPathTests(SynchronousTestCase):
    def test_changes_arrive_soon_and_bars_are_right(self) -> None:
        (before, filled), (after, short) = (played(each, rate=SLOW) for each in Congestion)
        self.assertGreater(quantile(sorted(filled.queued), 0.99), 2.0)
        self.assertLess(quantile(sorted(short.queued), 0.99), 0.3)
        self.assertLess(quantile(after.delays, 0.99), quantile(before.delays, 0.99) / 3)
        self.assertLess(quantile(after.errors, 0.99), quantile(before.errors, 0.99) / 2)
        self.assertEqual(short.lost, 0)

    def test_every_table_arrives(self) -> None:
        """Although progress overtakes them."""
        path, _ = played(Congestion.DELAY, rate=SLOW)
        for craft in path.crafts:
            copy = path.client.copies.get(path.crafts.index(craft))
            assert copy is not None and copy.materials is not None
            self.assertLess(craft.materials.version - copy.materials.version, 4)


class OtherPathTests(SynchronousTestCase):
    """Where nothing queues, the switch does no harm."""

    def assert_no_harm(self, loss: float = 0.0) -> None:
        (before, _), (after, _) = (played(each, loss=loss) for each in Congestion)
        self.assertLessEqual(quantile(after.delays, 0.99), quantile(before.delays, 0.99))
        self.assertLessEqual(quantile(after.errors, 0.99), quantile(before.errors, 0.99) + 0.01)
        assert after.peer is not None
        self.assertEqual(after.peer.send_queue.pace.rate, MAX_RATE)

    def test_a_wide_one(self) -> None:
        self.assert_no_harm()

    def test_random_loss(self) -> None:
        self.assert_no_harm(loss=0.02)

    def test_a_clock_that_drifts(self) -> None:
        """A second a minute, which is more than any clock's."""
        for drift in (-0.016, 0.016):
            path, _ = played(Congestion.DELAY, ahead=-3600.0, drift=drift)
            assert path.peer is not None
            self.assertEqual(path.peer.send_queue.pace.rate, MAX_RATE)
