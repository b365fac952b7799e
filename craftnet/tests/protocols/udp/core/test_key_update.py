from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import BadDatagram
from craftnet.protocols.udp.core.key_update import KEY_UPDATE_PERIOD, MAX_DATAGRAMS_PER_KEY
from craftnet.protocols.udp.core.packet_protection import PacketProtection
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.samples import NOW
from craftnet.tests.support.udp_lab import channels


class RotationTests(SynchronousTestCase):
    """Two channels whose keys change under way."""

    def setUp(self) -> None:
        self.client, self.server = channels()
        self.now = NOW
        self.client.renew(NOW)

    def _exchange(self) -> None:
        """A datagram there, and one back that acknowledges it."""
        self.server.open(self.client.seal(DatagramKind.ACK))
        self.client.open(self.server.seal(DatagramKind.ACK))

    def _rotate(self) -> None:
        self.now += KEY_UPDATE_PERIOD
        self.client.renew(self.now)

    def test_in_time(self) -> None:
        self._exchange()
        self.client.renew(NOW + KEY_UPDATE_PERIOD - 1)
        self.assertEqual(self.client.seal(DatagramKind.ACK)[0], 0x45)
        self._rotate()
        datagram = self.client.seal(DatagramKind.ACK)
        self.assertEqual(datagram[0], 0x65)
        self.server.open(datagram)

    def test_in_count(self) -> None:
        self._exchange()
        while self.client.sent < MAX_DATAGRAMS_PER_KEY:
            self.client.sent += 30_000
            self._exchange()
        self.client.renew(NOW + 1)
        self.assertEqual(self.client.seal(DatagramKind.ACK)[0], 0x65)

    def test_again_and_again(self) -> None:
        phases = []
        for _ in range(5):
            self._exchange()
            self._rotate()
            phases.append(self.client.seal(DatagramKind.ACK)[0] >> 5 & 1)
        self.assertEqual(phases, [1, 0, 1, 0, 1])

    def test_never_before_the_other_side_follows(self) -> None:
        self._exchange()
        self._rotate()
        self._rotate()
        self.assertEqual(self.client.seal(DatagramKind.ACK)[0], 0x65)

    def test_late_datagrams_of_the_old_keys_are_taken(self) -> None:
        self._exchange()
        late = self.client.seal(DatagramKind.ACK)
        self._rotate()
        first, second = self.client.seal(DatagramKind.ACK), self.client.seal(DatagramKind.ACK)
        self.server.open(second)
        self.server.open(late)
        self.server.open(first)

    def test_the_other_direction_keeps_its_keys(self) -> None:
        self._exchange()
        self._rotate()
        self.server.open(self.client.seal(DatagramKind.ACK))
        self.assertEqual(self.server.seal(DatagramKind.ACK)[0], 0x45)

    def test_a_flipped_phase_moves_nothing(self) -> None:
        self._exchange()
        datagram = self.client.seal(DatagramKind.ACK)
        forged = bytes([datagram[0] ^ 0x20]) + datagram[1:]
        for _ in range(3):
            self.assertEqual(self.assertRaises(BadDatagram, self.server.open, forged).outcome, "forged")
        self.server.open(datagram)
        self._rotate()
        self._exchange()

    def test_old_keys_do_not_follow_from_new_ones(self) -> None:
        """The secret of the next generation differs from that of this one."""
        self._exchange()
        late = self.client.seal(DatagramKind.ACK)
        for _ in range(2):  # the phase is as before, the keys are not.
            self._rotate()
            self._exchange()
        self.assertEqual(self.assertRaises(BadDatagram, self.server.open, late).outcome, "forged")


class LossTests(SynchronousTestCase):
    """Key updates on a path that loses most datagrams."""

    def test_both_sides_go_on(self) -> None:
        client, server = channels()
        for number in range(200):
            now = NOW + number * KEY_UPDATE_PERIOD / 4
            self._send(client, server, now, lost=number % 3 != 0)
            self._send(server, client, now, lost=number % 5 != 0)
        client.open(server.seal(DatagramKind.ACK))
        server.open(client.seal(DatagramKind.ACK))

    def _send(self, sender: PacketProtection, receiver: PacketProtection, now: float, *, lost: bool) -> None:
        sender.renew(now)
        datagram = sender.seal(DatagramKind.ACK)
        if not lost:
            receiver.open(datagram)
