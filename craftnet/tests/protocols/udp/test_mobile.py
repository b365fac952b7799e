"""A client on a mobile network: hand-overs of 200 ms and changes of address. Its bar stays smooth. Simulated time."""

from __future__ import annotations

from math import inf
from random import Random

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.client import connection
from craftnet.protocols.udp.core import heartbeat
from craftnet.tests.support.bottleneck import HandOvers, Link
from craftnet.tests.support.samples import NOW
from craftnet.tests.support.simulated_path import SimulatedPath, Workload, quantile

WORKLOAD = Workload(crafts=4, seconds=120.0, correction=5.0, pause=10.0, material=5.0)


def travelled(seed: int, *, moves: bool = True, notices: bool = False) -> SimulatedPath:
    """A minute with a hand-over every 4 s, half of which change the address."""
    random = Random(seed)
    hand_overs = HandOvers(random, 4.0, 0.2, NOW, NOW + 60.0)
    down, up = (Link(random, latency=0.03, jitter=0.03, loss=0.01, outage=hand_overs.outage) for _ in range(2))
    path = SimulatedPath(WORKLOAD, down, up, seed=seed)
    if moves:
        for start in hand_overs.starts[::2]:
            path.later(start + hand_overs.lasts, lambda: path.move(notices=notices))
    path.run(60.0)
    return path


def moved_once(seed: int) -> SimulatedPath:
    """A NAT changes the client's address once, 20 to 25 s after the connection opened."""
    random = Random(seed)
    down, up = (Link(random, latency=0.03, jitter=0.03, loss=0.01) for _ in range(2))
    path = SimulatedPath(WORKLOAD, down, up, seed=seed, frame=0.1)
    path.later(NOW + 20.0 + 5.0 * random.random(), lambda: path.move(notices=False))
    path.run(32.0)
    return path


class MobileTests(SynchronousTestCase):
    def test_gaps(self) -> None:
        for seed in (1, 2):
            path = travelled(seed, moves=False)
            self.assertLess(path.largest_step, 0.1)
            self.assertLess(path.longest_halt, 0.5)

    def test_an_address_that_the_client_sees_change(self) -> None:
        for seed in (1, 2):
            path = travelled(seed, notices=True)
            self.assertLess(path.largest_step, 0.2)
            self.assertLess(quantile(path.delays, 0.95), 0.6)

    def test_an_address_that_a_nat_changes(self) -> None:
        for seed in (1, 2):
            path = travelled(seed)
            self.assertLess(path.largest_step, 0.5)
            self.assertLess(quantile(path.delays, 0.9), 1.0)

    def test_the_first_address_that_a_nat_changes(self) -> None:
        """The client notices the silence, without a heartbeat every second before."""
        for seed in (1, 2, 3, 4):
            self.assertLess(moved_once(seed).learned[0], 1.5)

    def test_without_noticing_silence_the_first_change_would_wait_for_a_heartbeat(self) -> None:
        self.patch(heartbeat, "MIN_SILENCE", inf)
        self.assertGreater(max(moved_once(seed).learned[0] for seed in (1, 2, 3, 4)), 3.0)

    def test_without_heartbeats_every_second_bars_would_be_wrong_for_seconds(self) -> None:
        self.patch(connection, "UNSTEADY_SECONDS", 0.0)
        self.patch(heartbeat, "MIN_SILENCE", inf)
        self.assertGreater(min(quantile(travelled(seed).delays, 0.9) for seed in (1, 2)), 2.5)
