"""The full state is sent now and then, whatever was acknowledged, and not to all clients at once."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged, ReceivedState
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.samples import NOW, SESSION, running
from craftnet.tests.support.udp_lab import Lab, datagrams, table

PERIOD = 8.0


class FullSyncTests(SynchronousTestCase):
    """A perfect line on which nothing new happens."""

    def setUp(self) -> None:
        self.lab = Lab(full_sync=PERIOD)
        self.updated: dict[ClientConnection, list[float]] = {}
        self.events: list[object] = []

    def _connect(self) -> ClientConnection:
        """A client that receives a craft at `NOW`."""
        client, peer = self.lab.connect(self.lab.ticket())
        self.updated[client] = []
        for state in (running(), table()):
            self._hear(datagrams(self.lab.update(peer, state, NOW)), NOW)
        return client

    def _hear(self, sent: list[bytes], now: float) -> None:
        """Each client takes its own datagrams."""
        for datagram in sent:
            name = int.from_bytes(datagram[1:5], "big")
            client = next(client for client in self.updated if client.token.connection_id == name)
            if datagram[0] & 0x1F == DatagramKind.STATE:
                self.updated[client].append(now)
            output = client.receive(datagram, now)
            self.events += output.events
            for answer in output.datagrams:
                self._hear(datagrams(self.lab.send(answer, now)), now)

    def _live(self, seconds: float) -> None:
        """Connections are ticked at their deadlines."""
        for states in self.updated.values():
            states.clear()
        self.events.clear()
        while True:
            server = self.lab.endpoint.deadline
            assert server is not None
            client = min(self.updated, key=lambda client: client.deadline)
            now = min(server, client.deadline)
            if now > NOW + seconds:
                return
            if server <= now:
                self._hear(datagrams(self.lab.endpoint.tick(now)), now)
                self.assertGreater(self.lab.endpoint.deadline or 0.0, now, "what is due is done when it is looked at")
            else:
                for datagram in client.tick(now).datagrams:
                    self._hear(datagrams(self.lab.send(datagram, now)), now)

    def test_what_a_client_has_lost_it_gets_again(self) -> None:
        """It lost what it acknowledged, and does not notice."""
        client = self._connect()
        client.copies = ReceivedState({0: SESSION})
        self._live(1.5 * PERIOD)
        self.assertEqual(self.events, [ProgressChanged(SESSION, 1, running().progress), MaterialsChanged(table())])

    def test_each_time_after_half_to_one_and_a_half_times_as_long(self) -> None:
        moments = self.updated[self._connect()]
        self._live(100 * PERIOD)
        waits = [after - before for before, after in zip([NOW, *moments], moments, strict=False)]
        self.assertGreater(len(waits), 80)
        self.assertGreaterEqual(min(waits), 0.5 * PERIOD)
        self.assertLessEqual(max(waits), 1.5 * PERIOD)
        self.assertLess(abs(sum(waits) / len(waits) - PERIOD), 0.1 * PERIOD)
        self.assertLess(min(waits), 0.6 * PERIOD)
        self.assertGreater(max(waits), 1.4 * PERIOD)

    def test_spread_over_time(self) -> None:
        """Eight received it at the same moment; the next time is spread over a whole period."""
        for _ in range(8):
            self._connect()
        self._live(1.5 * PERIOD)
        first = sorted(states[0] - NOW for states in self.updated.values())
        self.assertEqual(len(set(first)), 8)
        self.assertGreater(first[-1] - first[0], 0.6 * PERIOD)
