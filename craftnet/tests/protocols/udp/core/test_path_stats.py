from __future__ import annotations

from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.client.core.connection_quality import ConnectionQuality, error_bound
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState
from craftnet.protocols.udp.core.heartbeat import Heartbeats
from craftnet.protocols.udp.core.negotiation import PATH_SIZE
from craftnet.protocols.udp.core.pacing import IP_UDP_HEADERS, MAX_RATE, MIN_RATE, Pacer
from craftnet.protocols.udp.core.path_stats import SETTLED_DATAGRAMS, DeliveryRecord, PathStats, missing_share
from craftnet.protocols.udp.server.service import REFUSAL_LOG_INTERVAL, RefusalLog
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.samples import NOW, SESSION, running
from craftnet.tests.support.udp_lab import BadNetwork, Lab


class LossTests(SynchronousTestCase):
    """Lost datagrams, and late ones."""

    def test_nothing_yet(self) -> None:
        self.assertEqual(missing_share(1, 1), 0.0)

    def test_the_newest_may_be_late(self) -> None:
        self.assertEqual(missing_share(((1 << 32) - 1) << SETTLED_DATAGRAMS | 1, 40), 0.0)

    def test_every_fourth(self) -> None:
        arrived = sum(1 << index for index in range(64) if index % 4)
        self.assertAlmostEqual(missing_share(arrived, 1000), 0.25)

    def test_acknowledgements_add_up(self) -> None:
        line = DeliveryRecord()
        for newest in range(1, 201):
            if newest % 5:
                line.take(newest, sum(1 << i for i in range(33) if (newest - i) % 5 and newest > i))
        self.assertAlmostEqual(line.loss, 0.2, places=1)
        line.take(150, 0x1FFFFFFFF)
        self.assertEqual(line.newest, 199)
        self.assertLess(line.loss, 0.2)


class LineTests(SynchronousTestCase):
    """A connection measures its path."""

    def _conditions(self, loss: float) -> PathStats:
        lab = Lab()
        network = BadNetwork(lab, lab.client_connection(lab.ticket()), seed=5, loss=loss, noise=0.0)
        network.start()
        network.run(10.0)
        for number in range(120):
            network.perform(lab.update(network.peers[-1], running(percent=number / 2), network.now))
            network.run(0.25)
        return network.peers[-1].conditions

    def test_good(self) -> None:
        conditions = self._conditions(0.0)
        self.assertEqual((conditions.loss_out, conditions.loss_in), (0.0, 0.0))
        assert conditions.round_trip is not None
        self.assertLess(abs(conditions.round_trip - 0.1), 0.05)
        assert conditions.offset is not None
        self.assertLess(abs(conditions.offset), 0.08)
        self.assertLess(abs(conditions.offset), conditions.uncertainty + 0.001)
        self.assertGreater(conditions.jitter, 0.001)

    def test_bad(self) -> None:
        conditions = self._conditions(0.2)
        self.assertLess(abs(conditions.loss_out - 0.2), 0.12)
        self.assertLess(abs(conditions.loss_in - 0.2), 0.15)

    def test_jitter_of_even_heartbeats_is_none(self) -> None:
        ours, theirs = Heartbeats(), Heartbeats()
        for number in range(20):
            at = NOW + number
            theirs.heard(ours.beat(at, at), number + 1, at + 0.2, at + 0.2)
        self.assertLess(theirs.jitter, 1e-5)


class PaceTests(SynchronousTestCase):
    """The rate follows the path."""

    def test_loss_halves_it_down_to_a_floor(self) -> None:
        pace = Pacer()
        rates = []
        for second in range(8):
            pace.adapt(PathStats(loss_out=0.1), NOW + second)
            rates.append(pace.rate)
        self.assertEqual(rates[:3], [MAX_RATE / 2, MAX_RATE / 4, MAX_RATE / 8])
        self.assertEqual(rates[-1], MIN_RATE)

    def test_a_rising_delay_does_too(self) -> None:
        pace = Pacer()
        pace.adapt(PathStats(round_trip=0.05), NOW)
        pace.adapt(PathStats(round_trip=0.3), NOW + 1)
        self.assertEqual(pace.rate, MAX_RATE / 2)

    def test_a_longer_way_that_stays_is_no_queue(self) -> None:
        pace = Pacer()
        pace.adapt(PathStats(round_trip=0.05), NOW)
        for second in range(1, 200):
            pace.adapt(PathStats(round_trip=0.3), NOW + second)
        self.assertEqual(pace.rate, MAX_RATE)

    def test_a_new_path_starts_at_the_lowest_rate(self) -> None:
        pace = Pacer()
        pace.adapt(PathStats(round_trip=0.05), NOW)
        pace.forget_path()
        pace.adapt(PathStats(round_trip=0.5), NOW + 1)
        self.assertEqual(pace.rate, MAX_RATE)

    def test_the_rate_grows_again(self) -> None:
        pace = Pacer()
        pace.adapt(PathStats(loss_out=0.1), NOW)
        for second in range(1, 12):
            pace.adapt(PathStats(), NOW + second)
        self.assertEqual(pace.rate, MAX_RATE)

    def test_one_decision_a_second(self) -> None:
        pace = Pacer()
        for _ in range(5):
            pace.adapt(PathStats(loss_out=0.1), NOW)
        self.assertEqual(pace.rate, MAX_RATE / 2)


class PacedLineTests(SynchronousTestCase):
    """A server with more to send than fits, seen from the path."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.network = BadNetwork(
            self.lab, self.lab.client_connection(self.lab.ticket()), seed=3, loss=0.0, noise=0.0, jitter=0.0
        )
        self.network.start()
        self.version = 0
        self._pass(5)

    def _pass(self, seconds: int, *, rows: int = 1, every: float = 0.25) -> float:
        """Tables come that often, none like another; the STATEs sent in a second meanwhile."""
        network, state = self.network, codec.first_byte(DatagramKind.STATE)
        before = network.carried[state]
        for _ in range(round(seconds / every)):
            self.version += 1
            materials = tuple(Material(UUID(int=self.version << 32 | row), 1, 50) for row in range(rows))
            if network.peers:
                table = MaterialsState(SESSION, self.version, materials)
                network.perform(self.lab.update(network.peers[-1], table, network.now))
            network.run(every)
        return (network.carried[state] - before) / seconds

    def _measured(self) -> float:
        return self._pass(2, rows=200, every=0.05)

    def test_a_line_that_loses_is_sent_less_until_it_does_not(self) -> None:
        """Four bad heartbeats take 50,000 bytes/s to the floor of 4,000, nineteen good ones back."""
        full = MAX_RATE / (PATH_SIZE + IP_UDP_HEADERS)
        self.assertGreater(self._measured(), 0.85 * full)
        self.network.lose(0.2)
        self._pass(10)
        self.assertLess(self._measured(), 0.6 * full)
        self._pass(30)
        self.assertLess(self._measured(), 0.15 * full)
        self.network.heal()
        rates = []
        for _ in range(4):
            self._pass(28)
            rates.append(self._measured())
        self.assertEqual(rates, sorted(rates))
        self.assertLess(rates[0], 0.6 * full)
        self.assertGreater(rates[-1], 0.85 * full)


class BoundTests(SynchronousTestCase):
    """How wrong the client says it may be."""

    def test_a_craft_that_stands(self) -> None:
        self.assertAlmostEqual(error_bound(None, PathStats(uncertainty=1.0), 0.5), 0.505)

    def test_a_fast_craft_and_a_slow_line(self) -> None:
        progress = Progress(running().progress.status, 50.0, NOW, 5.0)
        self.assertAlmostEqual(error_bound(progress, PathStats(uncertainty=0.05), 0.5), 1.015)

    def test_no_more_than_what_is_left(self) -> None:
        for remaining in (0.0, 0.01, 1.0):
            progress = Progress(running().progress.status, 50.0, NOW, remaining)
            self.assertAlmostEqual(error_bound(progress, PathStats(uncertainty=2.0), 0.5), 50.505)

    def test_words(self) -> None:
        line = ConnectionQuality(PathStats(0.0234, 0.0041, 0.0004, loss_in=0.02), 0.5)
        self.assertEqual(line.words, "23 ms ±4.1, jitter 0.4 ms, 2% lost, progress ±0.5")

    def test_words_about_a_bad_line(self) -> None:
        line = ConnectionQuality(
            PathStats(0.25, 0.06, 0.03, -3600.04, 0.1, loss_out=0.01, loss_in=0.02, reordered=0.03), 1.01
        )
        self.assertEqual(
            line.words,
            "250 ms ±60, jitter 30 ms, lost 2% in 1% out, 3% reordered, clock -3600.0 s, progress ±1.1",
        )

    def test_what_a_display_holds_back_is_added(self) -> None:
        line = ConnectionQuality(PathStats(), 0.5)
        self.assertEqual(line.shown(1.25), ConnectionQuality(PathStats(), 1.75))
        self.assertEqual(line.shown(1.25).words, "0% lost, progress ±1.8")
        self.assertEqual(line.shown(200.0).bound, 100.0)


class RefusalsTests(SynchronousTestCase):
    """Log flooding: a line now and then, whatever comes."""

    def test_one_line_for_all(self) -> None:
        refusals = RefusalLog()
        lines = [line for number in range(20_000) if (line := refusals.count("forged", NOW + number / 1000))]
        self.assertEqual(
            lines, ["datagrams refused: 1 forged", f"datagrams refused: {round(REFUSAL_LOG_INTERVAL * 1000)} forged"]
        )

    def test_defaults_are_not_logged(self) -> None:
        self.assertIsNone(RefusalLog().count("accepted", NOW))
