"""Attacks with invalid, replayed, reordered and altered datagrams."""

from __future__ import annotations

from craftnet.protocols.udp.core.keys import HandshakeKey
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.core.replay_window import WINDOW_SIZE
from craftnet.protocols.udp.server.dispatcher import MAX_RECEIVED_SIZE
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import CloseReason, DatagramKind
from craftnet.tests.support.attack_case import AttackCase, gone, opened
from craftnet.tests.support.samples import NOW, running
from craftnet.tests.support.udp_lab import HEARTBEAT, OTHER_ADDRESS, datagrams, held, table


class JunkTests(AttackCase):
    """Datagrams that are none."""

    def test_zero_length_flood(self) -> None:
        for _ in range(1000):
            self.assertEqual(self.lab.send(b""), [])
        self.assertEqual(self.lab.counted, {"truncated": 1000})
        self.assert_well()

    def test_short_flood(self) -> None:
        for size in range(1, OVERHEAD):
            self.assert_refused("truncated", b"\x45" * size)
        self.assert_well()

    def test_oversize(self) -> None:
        self.assert_refused("overlong", b"\x45" * (MAX_RECEIVED_SIZE + 1))

    def test_unknown_type(self) -> None:
        for first in (0x40, 0x42, 0x44, 0x49, 0x5E, 0x5F):
            self.assert_refused("type", bytes([first]) + bytes(60))

    def test_unknown_version(self) -> None:
        for first in (0x05, 0x85, 0xC5):
            self.assert_refused("reserved", bytes([first]) + self.heartbeat()[1:])

    def test_random_ids(self) -> None:
        for number in range(500):
            self.assert_refused("unknown_connection", b"\x46" + number.to_bytes(4, "big") + bytes(60))

    def test_valid_id_with_a_bad_tag(self) -> None:
        datagram = self.heartbeat()
        self.assert_refused("forged", datagram[:-1] + bytes([datagram[-1] ^ 1]))
        self.assert_well()


class SequenceTests(AttackCase):
    """Sequences that are not as they should be."""

    def test_forged_maximum_sequence(self) -> None:
        for low in (0xFFFF, 0x8000, 0x7FFF):
            self.assert_refused("forged", self.heartbeat()[:5] + low.to_bytes(2, "big") + bytes(48))
        self.lab.send(self.heartbeat())
        self.assertEqual(self.lab.counted["accepted"], 1)

    def test_replay_at_the_edges_of_the_window(self) -> None:
        channel = self._channel(self.client)
        sealed = {number: self.heartbeat() for number in range(channel.sent + 1, channel.sent + WINDOW_SIZE + 2)}
        newest = max(sealed)
        self.lab.send(sealed[newest])
        self.lab.send(sealed[newest - WINDOW_SIZE + 1])
        self.assert_refused("replayed", sealed[newest])
        self.assert_refused("replayed", sealed[newest - WINDOW_SIZE + 1])
        self.assert_refused("stale", sealed[newest - WINDOW_SIZE])

    def test_wrap_around(self) -> None:
        """The 16 bits on the wire wrap; datagrams recorded before are refused afterwards."""
        first = self.heartbeat()
        self.lab.send(first)
        for _ in range(4):
            self._channel(self.client).sent += 0x4000
            self.lab.send(self.heartbeat(), NOW + 1)
        self.assert_refused("forged", first)
        self.assert_well(NOW + 1)

    def test_acknowledgement_of_a_state_that_was_never_sent(self) -> None:
        self.lab.update(self.peer, running(), NOW)
        channel = self._channel(self.client)
        channel.newest += 5
        self.assert_refused("out_of_range", self.forge(DatagramKind.RESYNC, b""))

    def test_acknowledgement_of_a_table_that_was_never_sent(self) -> None:
        self.assert_refused("out_of_range", self.forge(DatagramKind.ACK, codec.encode_held({0: 1})))
        self.lab.update(self.peer, table(3), NOW)
        self.assert_refused("out_of_range", self.forge(DatagramKind.ACK, codec.encode_held({0: 4})))


class MixTests(AttackCase):
    """Something real in a place where it does not belong."""

    def test_reflection_to_the_sender(self) -> None:
        (datagram,) = datagrams(self.lab.update(self.peer, running(), NOW))
        self.assert_refused("type", datagram)
        for reflected in datagrams(self.lab.endpoint.tick(NOW + HEARTBEAT)):
            self.assertEqual(self.lab.send(reflected, NOW + HEARTBEAT), [])
        own = self.heartbeat(NOW + HEARTBEAT)
        self.assertEqual(self.client.receive(own, NOW + HEARTBEAT).events, [])
        self.assertEqual(gone(self.lab.endpoint.tick(NOW + HEARTBEAT)), 0)

    def test_one_layout_replayed_as_the_other(self) -> None:
        """A sealed datagram under another kind, a handshake as a sealed one, a posted record as a datagram."""
        (request,) = self.client.resync(NOW).datagrams
        for first in (0x45, 0x46, 0x48, 0x4A):
            self.assert_refused("forged", bytes([first]) + request[1:])
        (hello,) = self.lab.client_connection(self.ticket).start(NOW).datagrams
        self.assert_refused("forged", b"\x46" + hello[1:])
        self.assert_refused("reserved", bytes.fromhex("01100030") + bytes(44))

    def test_packet_of_another_session(self) -> None:
        other, _ = self.lab.connect(self.lab.ticket(), address=OTHER_ADDRESS)
        channel = self._channel(other)
        stranger = channel.seal(DatagramKind.CLOSE, codec.encode_close(CloseReason.LEFT))
        self.assert_refused("forged", stranger[:1] + self.peer.connection_id.to_bytes(4, "big") + stranger[5:])
        self.assert_well()

    def test_kinds_that_only_the_server_may_send(self) -> None:
        self.assert_refused("type", self.forge(DatagramKind.STATE, b""))
        self.assert_refused("type", self.forge(DatagramKind.PATH_CHALLENGE, bytes(8)))

    def test_values_out_of_range_and_wrong_lengths(self) -> None:
        for outcome, kind, body in (
            ("out_of_range", DatagramKind.CLOSE, b"\x00"),
            ("out_of_range", DatagramKind.CLOSE, b"\x80"),
            ("trailing", DatagramKind.CLOSE, b"\x01\x01"),
            ("trailing", DatagramKind.RESYNC, bytes(1)),
            ("truncated", DatagramKind.ACK, bytes(3)),
            ("trailing", DatagramKind.ACK, bytes(8)),
            ("out_of_range", DatagramKind.ACK, bytes(9)),
            ("truncated", DatagramKind.HEARTBEAT, bytes(23)),
            ("trailing", DatagramKind.HEARTBEAT, bytes(25)),
            ("truncated", DatagramKind.PATH_RESPONSE, bytes(7)),
            ("truncated", DatagramKind.LEAVE, b""),
            ("out_of_range", DatagramKind.LEAVE, bytes(2)),
        ):
            self.assert_refused(outcome, self.forge(kind, body))
        self.assertEqual(self.lab.counted["accepted"], 0)
        self.assert_well()

    def test_set_padding_bits(self) -> None:
        """Every reserved bit of a client's datagrams: the padding of its handshake, here under a valid MAC."""
        now, client = NOW + 1, self.lab.client_connection(self.ticket)
        (hello,) = client.start(now).datagrams
        (challenge,) = datagrams(self.lab.send(hello, now))
        (response,) = client.receive(challenge, now).datagrams
        key = HandshakeKey.of(self.ticket.token.secret)
        for datagram, begin in ((hello, 21), (response, 61)):
            for position in (begin, (begin + 496) // 2, 495):
                for bit in range(8):
                    octets = bytearray(datagram[:496])
                    octets[position] ^= 1 << bit
                    self.assert_refused("reserved", key.sign(bytes(octets)), now)
        self.assertEqual(opened(self.lab.send(key.sign(response[:496]), now)), 1)

    def test_unknown_material_index(self) -> None:
        """To the client, which holds a table of two: row 2, and row 3 of three."""
        (full,) = datagrams(self.lab.update(self.peer, table(), NOW))
        self.client.receive(full, NOW)
        server = self.peer.channel
        for delta in ("05 00000002 01 0003 01 a030", "05 00000002 01 0003 01 e030"):
            output = self.client.receive(server.seal(DatagramKind.STATE, bytes.fromhex(delta)), NOW)
            self.assertEqual(output.events, [])
        self.assertEqual(held(self.client).materials.materials, table())
        self.assert_well()
