"""Tests that `craftnet.protocols.udp.server.dispatcher` ignores invalid datagrams."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.server.dispatcher import MAX_RECEIVED_SIZE
from craftnet.tests.support.samples import NOW, running
from craftnet.tests.support.udp_lab import HEARTBEAT, Lab, datagrams


class JunkTests(SynchronousTestCase):
    """Nothing but real datagrams has any effect."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.client, self.peer = self.lab.connect(self.lab.ticket())

    def test_all_lengths(self) -> None:
        for size in range(MAX_RECEIVED_SIZE + 100):
            for byte in (b"\0", b"\x41", b"\x43", b"\x45", b"\xff"):
                self.assertEqual(self.lab.send(byte * size), [])

    @settings(deadline=None, max_examples=200, derandomize=True)
    @given(
        st.binary(max_size=1300), st.sampled_from([b"", b"\x41", b"\x43", b"\x44", b"\x45", b"\x46", b"\x47", b"\x48"])
    )
    def test_random_datagrams(self, octets: bytes, start: bytes) -> None:
        known = start and start + self.peer.connection_id.to_bytes(4, "big")
        for datagram in (octets, start + octets, known + octets):
            self.assertEqual(self.lab.send(datagram), [])
        self.assertIsNone(self.peer.finished)

    def test_another_version_is_said_so(self) -> None:
        """Of a kind that there is, and of one that there is not."""
        for first in (0x01, 0x06, 0x86, 0xC6, 0xFF):
            self.lab.send(bytes([first]) + bytes(54))
        self.lab.send(bytes([0x5F]) + bytes(54))
        self.assertEqual((self.lab.counted["reserved"], self.lab.counted["type"]), (5, 1))

    def test_too_long_is_said_so(self) -> None:
        self.lab.send(bytes(MAX_RECEIVED_SIZE + 1))
        self.assertEqual(self.lab.counted["overlong"], 1)

    def test_every_flipped_bit_is_fatal_to_a_datagram(self) -> None:
        (datagram,) = self.client.resync(NOW).datagrams
        for index in range(len(datagram) * 8):
            forged = bytearray(datagram)
            forged[index // 8] ^= 1 << index % 8
            self.assertEqual(self.lab.send(bytes(forged)), [])
        before = self.lab.counted["accepted"]
        self.lab.send(datagram)
        self.assertEqual(self.lab.counted["accepted"], before + 1)

    def test_forged_sequences_do_not_move_the_window(self) -> None:
        (datagram,) = self.client.resync(NOW).datagrams
        for low in range(0, 65536, 977):
            self.lab.send(datagram[:5] + low.to_bytes(2, "big") + datagram[7:])
        before = self.lab.counted["accepted"]
        self.lab.send(datagram)
        self.assertEqual(self.lab.counted["accepted"], before + 1)

    def test_a_replayed_datagram_is_counted_and_nothing_else(self) -> None:
        (datagram,) = self.client.resync(NOW).datagrams
        self.lab.send(datagram)
        self.assertEqual(self.lab.send(datagram), [])
        self.assertEqual(self.lab.counted["replayed"], 1)

    def test_the_server_own_datagrams_do_not_come_back(self) -> None:
        (datagram,) = datagrams(self.lab.update(self.peer, running(), NOW))
        self.assertEqual(self.lab.send(datagram), [])
        for datagram in datagrams(self.lab.endpoint.tick(NOW + HEARTBEAT)):
            self.assertEqual(self.lab.send(datagram, NOW + HEARTBEAT), [])
