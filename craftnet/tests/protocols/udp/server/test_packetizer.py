from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, Agreement
from craftnet.protocols.udp.core.packet_protection import OVERHEAD
from craftnet.protocols.udp.core.reassembly import MAX_PARTS, CompressedMessage, Reassembly
from craftnet.protocols.udp.server.packetizer import MIN_COMPRESSED_SIZE, NO_SESSION, Key, Packet, compressed, plain
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind

quick = settings(deadline=None, max_examples=150, derandomize=True)

LZ4 = COMPRESSIONS["lz4"]
AGREED = Agreement(PATH_SIZE, 65_536, LZ4)
ROOM = PATH_SIZE - OVERHEAD

records = st.lists(
    st.tuples(
        st.tuples(st.integers(NO_SESSION, 3), st.sampled_from(["progress", "materials"]), st.integers(0, 9)),
        st.binary(min_size=1, max_size=30) | st.builds(lambda part: part * 10, st.binary(min_size=1, max_size=3)),
    ),
    min_size=1,
    max_size=60,
    unique_by=lambda record: record[0],
)


def repetitive(count: int, size: int = 1000) -> list[tuple[Key, bytes]]:
    """Records of which nothing is left when they are packed."""
    return [((0, "t", index), bytes(size)) for index in range(count)]


def wild(count: int, size: int = 1000) -> list[tuple[Key, bytes]]:
    """Records that nothing makes shorter."""
    random = Random(count)
    return [((0, "t", index), random.randbytes(size)) for index in range(count)]


class PlainTests(SynchronousTestCase):
    def test_the_first_that_fit(self) -> None:
        keys = [key for key, _ in wild(4, 400)]
        packet = plain(wild(4, 400), 1000)
        self.assertEqual((packet.keys, packet.kind), (keys[:2], DatagramKind.STATE))
        self.assertEqual(plain(wild(4, 400), 10).keys, keys[:1])

    def test_sessions_are_named(self) -> None:
        waiting = [((2, "p", 0), b"two"), ((0, "p", 0), b"none"), ((1, "p", 0), b"one"), ((2, "m", 0), b"more")]
        self.assertEqual(plain(waiting, 100).bodies, [b"none" + b"\7\1one" + b"\7\2twomore"])

    @quick
    @given(records, st.integers(32, 200))
    def test_never_longer_than_the_room(self, waiting: list[tuple[Key, bytes]], room: int) -> None:
        packet = plain(waiting, room)
        self.assertTrue(len(packet.bodies[0]) <= room)
        self.assertEqual(packet.keys, [key for key, _ in waiting[: len(packet.keys)]])


class CompressedPacketTests(SynchronousTestCase):
    """When records travel packed, and how."""

    def _content(self, packet: Packet, agreement: Agreement) -> bytes:
        """The client's view of it."""
        reassembly, whole = Reassembly(agreement.content), None
        for sequence, body in enumerate(packet.bodies, 9):
            self.assertLessEqual(len(body), agreement.datagram - OVERHEAD)
            whole = reassembly.take(codec.decode_fragment(body), sequence)
        assert isinstance(whole, CompressedMessage) and agreement.compression is not None
        return agreement.compression.decompress(whole.octets, whole.size)

    @quick
    @given(records, st.sampled_from([64, 65, 100, 300, PATH_SIZE]), st.integers(64, 3000), st.booleans())
    def test_compressed_records_decode_to_the_same(
        self, waiting: list[tuple[Key, bytes]], datagram: int, content: int, whole: bool
    ) -> None:
        for algorithm in COMPRESSIONS.values():
            agreement = Agreement(datagram, max(content, datagram), algorithm)
            packet = compressed(waiting, agreement, whole=whole)
            if packet is None:
                continue
            self.assertNotIn(NO_SESSION, [session for session, _, _ in packet.keys])
            said = dict(waiting)
            (wanted,) = plain([(key, said[key]) for key in packet.keys], 10**6).bodies
            self.assertEqual(self._content(packet, agreement), wanted)
            self.assertLessEqual(len(wanted), agreement.content)
            self.assertLessEqual(len(packet.bodies), 1 if whole else MAX_PARTS)
            self.assertLess(sum(map(len, packet.bodies)), len(wanted) + 3 * MAX_PARTS)

    def test_a_repetitive_table_is_compressed(self) -> None:
        packet = compressed(repetitive(9), AGREED, whole=False)
        assert packet is not None
        self.assertEqual((len(packet.keys), len(packet.bodies), packet.kind), (9, 1, DatagramKind.MESSAGE))

    def test_what_does_not_save_is_left_plain(self) -> None:
        self.assertIsNone(compressed(wild(9), AGREED, whole=False))

    def test_what_gets_no_shorter_is_left_plain(self) -> None:
        """Even where parts would take fewer datagrams: a client refuses it."""
        self.assertIsNone(compressed(wild(4, 40), Agreement(100, 4096, LZ4), whole=False))

    def test_nothing_without_an_agreement(self) -> None:
        self.assertIsNone(compressed(repetitive(9), Agreement(PATH_SIZE, PATH_SIZE), whole=False))

    def test_little_is_not_tried(self) -> None:
        class NeverCalled:
            name = LZ4.name
            decompress = LZ4.decompress

            def compress(self, content: bytes) -> bytes:
                raise AssertionError("tried")

        untried = Agreement(PATH_SIZE, 65_536, NeverCalled())
        self.assertIsNone(compressed(repetitive(1, MIN_COMPRESSED_SIZE - 1), untried, whole=False))
        self.assertRaises(AssertionError, compressed, repetitive(1, MIN_COMPRESSED_SIZE), untried, whole=False)

    def test_no_more_than_was_agreed_on(self) -> None:
        packet = compressed(repetitive(9), Agreement(PATH_SIZE, 4096, LZ4), whole=False)
        assert packet is not None
        self.assertEqual(len(packet.keys), 4)

    def test_no_more_than_four_parts(self) -> None:
        """What does not fit into four datagrams waits for the next message."""
        halves = [(key, octets + octets) for key, octets in wild(40, 560)]
        packet = compressed(halves, AGREED, whole=False)
        assert packet is not None
        self.assertEqual((len(packet.keys), len(packet.bodies)), (8, 4))
        packet = compressed(halves, AGREED, whole=True)
        assert packet is not None
        self.assertEqual((len(packet.keys), len(packet.bodies)), (2, 1))
