from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, AcknowledgedDatagrams, ReceivedDatagram
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind, HeartbeatBody
from craftnet.tests.support.udp_lab import channels


class ChannelTests(SynchronousTestCase):
    """Numbers, seals, acknowledges."""

    def setUp(self) -> None:
        self.client, self.server = channels()

    def test_vector(self) -> None:
        """The specification's example; another implementation must get the same."""
        body = codec.encode_heartbeat(HeartbeatBody(1_800_000_000_000_000))
        self.assertEqual(
            self.client.seal(DatagramKind.HEARTBEAT, body).hex(),
            "46deadbeef0001"
            "e92c04dea38a80a3b20f8afe97cbb9782baed844a2f4eab6fedb503248a426bb"
            "fc5b2fc083de2dfbb06fe57590f1d4d1",
        )

    def test_there_and_back(self) -> None:
        incoming = self.server.open(self.client.seal(DatagramKind.CLOSE, b"body"))
        self.assertEqual(incoming, ReceivedDatagram(DatagramKind.CLOSE, 1, AcknowledgedDatagrams(), b"body"))
        self.assertEqual(len(self.client.seal(DatagramKind.ACK)), OVERHEAD)

    def test_sequences_beyond_16_bits(self) -> None:
        for _ in range(3):
            self.client.sent += 30_000
            incoming = self.server.open(self.client.seal(DatagramKind.ACK))
            self.assertEqual(incoming.sequence, self.client.sent)

    def test_acknowledgement_of_the_newest_33(self) -> None:
        sealed = [self.client.seal(DatagramKind.ACK) for _ in range(40)]
        for number, datagram in enumerate(sealed, 1):
            if number % 3:
                self.server.open(datagram)
        arrivals = self.client.open(self.server.seal(DatagramKind.ACK)).arrivals
        arrived = [number for number in range(1, 50) if arrivals.covers(number)]
        self.assertEqual(arrived, [number for number in range(8, 41) if number % 3])

    def test_nothing_is_acknowledged_before_anything_came(self) -> None:
        arrivals = self.client.open(self.server.seal(DatagramKind.ACK)).arrivals
        self.assertFalse(any(map(arrivals.covers, range(100))))

    def test_acknowledgement_of_what_was_never_sent(self) -> None:
        """Neither a newest beyond what was sent, nor bits for sequences before the first."""
        for _ in range(3):
            self.client.seal(DatagramKind.ACK)
        for newest, earlier, right in (
            (4, 0, False),
            (3, 0b011, True),
            (3, 0b100, False),
            (3, 1 << 31, False),
            (1, 0b000, True),
            (1, 0b001, False),
            (0, 0b001, False),
            (0, 1 << 31, False),
        ):
            self.server.newest, self.server.seen = newest, earlier << 1 | 1
            datagram = self.server.seal(DatagramKind.ACK)
            if right:
                self.assertEqual(self.client.open(datagram).arrivals, AcknowledgedDatagrams(newest, earlier << 1 | 1))
            else:
                self.assertEqual(self.assertRaises(BadDatagram, self.client.open, datagram).outcome, "out_of_range")

    def test_acknowledgement_beyond_32_bits(self) -> None:
        """Low bits of 0 are a sequence then, as any others."""
        self.client.sent = 2**32
        for newest in (2**32 - 1, 2**32):
            self.server.newest, self.server.seen = newest, 0b11
            self.assertEqual(
                self.client.open(self.server.seal(DatagramKind.ACK)).arrivals, AcknowledgedDatagrams(newest, 0b11)
            )

    def test_acknowledgement_of_all_that_it_can_speak_of(self) -> None:
        """Of the first 33, there is none before the first; of the first 32, the highest bit means one."""
        for sent, right in ((32, False), (33, True)):
            client, server = channels()
            for _ in range(sent):
                client.seal(DatagramKind.ACK)
            server.newest, server.seen = sent, 0x1FFFFFFFF
            datagram = server.seal(DatagramKind.ACK)
            if right:
                self.assertTrue(client.open(datagram).arrivals.covers(1))
            else:
                self.assertRaises(BadDatagram, client.open, datagram)

    def test_another_connection(self) -> None:
        stranger, _ = channels(1)
        error = self.assertRaises(BadDatagram, self.server.open, stranger.seal(DatagramKind.ACK))
        self.assertEqual(error.outcome, "unknown_connection")

    def test_a_datagram_comes_once(self) -> None:
        datagram = self.client.seal(DatagramKind.ACK)
        self.server.open(datagram)
        self.assertEqual(self.assertRaises(BadDatagram, self.server.open, datagram).outcome, "replayed")

    def test_a_datagram_that_comes_very_late(self) -> None:
        late = self.client.seal(DatagramKind.ACK)
        self.client.sent += 300
        self.server.open(self.client.seal(DatagramKind.ACK))
        self.assertEqual(self.assertRaises(BadDatagram, self.server.open, late).outcome, "stale")
