from __future__ import annotations

from collections import Counter
from random import Random

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import MaterialsState, SessionState
from craftnet.protocols.udp.client.connection import Closed
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged
from craftnet.protocols.wire.records import CloseReason
from craftnet.tests.support.samples import running
from craftnet.tests.support.udp_lab import BadNetwork, Lab, table


class ExchangeTests(SynchronousTestCase):
    """Both ends on a bad line come to hold the same."""

    def _received(self, network: BadNetwork) -> tuple[Progress, MaterialsState]:
        """The newest progress and materials that the client received."""
        progress = [event.progress for event in network.events if isinstance(event, ProgressChanged)]
        materials = [event.materials for event in network.events if isinstance(event, MaterialsChanged)]
        return progress[-1], materials[-1]

    def _session(self, seed: int, loss: float, packet_size: int) -> None:
        lab = Lab()
        client, counted = lab.client_connection(lab.ticket(packet_size=packet_size)), Counter[str]()
        client.count = lambda outcome: counted.update([outcome])
        network = BadNetwork(lab, client, seed=seed, loss=loss)
        random = Random(seed)
        network.start()
        network.run(12.0)
        self.assertTrue(network.peers, f"seed {seed}: never connected")
        peer = network.peers[-1]
        session: SessionState = running()
        materials: MaterialsState = table()
        for version in range(2, 40):
            session = replace(
                session, version=version, progress=replace(session.progress, percent=float(version), anchor=network.now)
            )
            network.perform(lab.update(peer, session, network.now))
            if random.random() < 0.3:
                materials = table(version, iron=version)
                network.perform(lab.update(peer, materials, network.now))
            network.run(random.random() * 0.5)
        over = replace(session.progress, status=Status.FAILED, failure_reason="r" * 150, remaining=0.0)
        network.perform(lab.update(peer, replace(session, version=40, progress=over), network.now))
        network.perform(lab.update(peer, materials, network.now))
        network.perform(lab.endpoint.close(peer, CloseReason.ENDED, network.now))
        network.run(30.0)
        progress, held = self._received(network)
        self.assertEqual(replace(progress, anchor=0.0), replace(over, anchor=0.0), f"seed {seed}")
        self.assertAlmostEqual(progress.anchor, over.anchor, places=3)
        self.assertEqual(held, materials, f"seed {seed}")
        self.assertIsInstance(network.events[-1], Closed)
        self.assertEqual(network.gone, network.peers)
        self.assertEqual((counted["contradictory"], counted["no_baseline"]), (0, 0), f"seed {seed}: {counted}")

    def test_versions_that_begin_again(self) -> None:
        """The session behind a connection was lost and started again: the same version means something else."""
        for loss in (0.0, 0.2):
            lab = Lab()
            network = BadNetwork(lab, lab.client_connection(lab.ticket(packet_size=120)), seed=3, loss=loss)
            network.start()
            network.run(12.0)
            for iron in (10, 99):
                network.perform(lab.update(network.peers[-1], running(), network.now))
                network.perform(lab.update(network.peers[-1], table(1, iron=iron), network.now))
                network.run(20.0)
                self.assertEqual(self._received(network)[1], table(1, iron=iron))

    def test_good_line(self) -> None:
        self._session(seed=0, loss=0.0, packet_size=1200)

    def test_bad_lines(self) -> None:
        for seed in range(1, 9):
            self._session(seed, loss=0.15, packet_size=1200)

    def test_bad_lines_and_small_packets(self) -> None:
        for seed in range(1, 5):
            self._session(seed, loss=0.15, packet_size=64)

    def test_progress_never_goes_back(self) -> None:
        """However datagrams overtake each other."""
        lab = Lab()
        network = BadNetwork(lab, lab.client_connection(lab.ticket()), seed=3, loss=0.05, noise=0.2)
        network.start()
        network.run(10.0)
        for number in range(100):
            network.perform(lab.update(network.peers[-1], running(percent=float(number)), network.now))
            network.run(0.02)
        received = [event.progress.percent for event in network.events if isinstance(event, ProgressChanged)]
        self.assertGreater(len(received), 20)
        self.assertEqual(received, sorted(received))
