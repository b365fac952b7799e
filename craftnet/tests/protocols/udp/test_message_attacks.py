"""Attacks with compressed and split records: on a client, by a misbehaving server, and on the server."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from random import Random
from typing import Any
from unittest import skipIf

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core import compression
from craftnet.protocols.udp.core.compression import COMPRESSIONS, MAX_CONTENT
from craftnet.protocols.udp.core.packet_protection import PacketProtection
from craftnet.protocols.udp.core.reassembly import MAX_PARTS
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind, Fragment, FreshSecret
from craftnet.tests.support.samples import NOW, running
from craftnet.tests.support.udp_lab import Lab, datagrams, mixed

AGREED = 4096
"""Octets of content at most."""

LZ4 = COMPRESSIONS["lz4"]

zstd: Any = vars(compression)["zstd"]  # which of its homes it came from does not matter here.


class MessageAttackCase(SynchronousTestCase):
    """A client that negotiated compression, and what a server could send it."""

    compression = "lz4"

    def setUp(self) -> None:
        self.lab = Lab()
        ticket = self.lab.ticket(packet_size=AGREED, compression=self.compression)
        self.client, self.peer = self.lab.connect(ticket)
        self.counted: Counter[str] = Counter()
        self.client.count = lambda outcome: self.counted.update([outcome])
        self.lab.counted.clear()

    @property
    def server(self) -> PacketProtection:
        """With its keys one may seal anything."""
        return self.peer.channel

    def part(self, part: int, last: int, size: int, octets: bytes) -> bytes:
        """A MESSAGE."""
        return self.server.seal(DatagramKind.MESSAGE, codec.encode_fragment(Fragment(part, last, size, octets)))

    def take(self, *sent: bytes) -> None:
        """It reaches the client, and nothing comes of it but an acknowledgement."""
        for datagram in sent:
            self.assertEqual(self.client.receive(datagram, NOW).events, [])

    def assert_well(self) -> None:
        """The connection lives: an update arrives, in several parts as well."""
        self.assertIsNone(self.client.over)
        for state in (running(percent=50.0), mixed(190)):
            received = [event for sent in self.deliver(state) for event in self.client.receive(sent, NOW).events]
            self.assertEqual(len(received), 1)

    def deliver(self, state: Any) -> list[bytes]:
        """The datagrams to the client."""
        return datagrams(self.lab.update(self.peer, state, NOW))

    def cost(self, *sent: bytes) -> int:
        """Octets of memory that the client takes at most for these."""
        self.take(*sent[:1])
        tracemalloc.start()
        try:
            self.take(*sent[1:])
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()


class DecompressionBombTests(MessageAttackCase):
    """Little that claims to be, or is, much."""

    def test_one_that_says_so(self) -> None:
        """Refused by its declared size, before it is decompressed."""
        bomb = LZ4.compress(bytes(MAX_CONTENT))
        cost = self.cost(*(self.part(0, 0, MAX_CONTENT, bomb) for _ in range(50)))
        self.assertEqual(self.counted["overlong"], 50)
        self.assertLess(cost, 20_000)
        self.assert_well()

    def test_one_that_lies(self) -> None:
        """Unpacked as far as it declared, and no further."""
        bomb = LZ4.compress(bytes(MAX_CONTENT))
        cost = self.cost(*(self.part(0, 0, AGREED, bomb) for _ in range(50)))
        self.assertEqual(self.counted["garbled"], 50)
        self.assertLess(cost, 20_000)
        self.assert_well()

    def test_one_that_says_too_much_of_itself(self) -> None:
        self.take(self.part(0, 0, AGREED, LZ4.compress(bytes(AGREED - 1))))
        self.assertEqual(self.counted["garbled"], 1)
        self.assert_well()

    def test_the_most_that_was_agreed_on(self) -> None:
        """It is no state; it costs no more than the negotiated size."""
        cost = self.cost(*(self.part(0, 0, AGREED, LZ4.compress(bytes(AGREED))) for _ in range(50)))
        self.assertEqual(self.counted["type"], 50)
        self.assertLess(cost, 20_000)
        self.assert_well()

    def test_one_within_the_other(self) -> None:
        """The result is the body of a STATE, and is not decompressed again."""
        inner = codec.encode_fragment(Fragment(0, 0, AGREED, LZ4.compress(bytes(AGREED))))
        self.take(self.part(0, 0, 20 * len(inner), LZ4.compress(20 * inner)))
        self.assertEqual(self.counted["type"], 1)

    def test_junk(self) -> None:
        random = Random(1)
        for _ in range(300):
            self.take(self.part(0, 0, random.randrange(60, AGREED), random.randbytes(50)))
        self.assertEqual(self.counted["accepted"], 300)
        self.assertEqual(self.counted["garbled"], 300)
        self.assert_well()


@skipIf(zstd is None, "zstd is an extra")
class ZstdBombTests(MessageAttackCase):
    """The same with zstd, which has more ways to lie."""

    compression = "zstd"

    def test_one_that_lies(self) -> None:
        bomb = zstd.compress(bytes(30_000_000))
        self.take(self.part(0, 0, AGREED, bomb))
        self.assertEqual(self.counted["garbled"], 1)
        self.assert_well()

    def test_a_window_larger_than_anything(self) -> None:
        """A frame that wants 128 MiB to be set aside for it is refused by its header."""
        wide = zstd.ZstdCompressor(
            options={zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
        )
        self.take(self.part(0, 0, 300, wide.compress(bytes(300)) + wide.flush()))
        self.assertEqual(self.counted["garbled"], 1)
        self.assert_well()

    def test_frames_behind_each_other(self) -> None:
        self.take(self.part(0, 0, 200, zstd.compress(bytes(100)) * 2))
        self.take(self.part(0, 0, 200, zstd.compress(bytes(200)) + b"\x50\x2a\x4d\x18\x00\x00\x00\x00"))
        self.assertEqual(self.counted["garbled"], 2)
        self.assert_well()


class FragmentAbuseTests(MessageAttackCase):
    """Parts of nothing, of everything, and of each other."""

    def kept(self) -> int:
        """Octets that the client keeps of messages that are not whole."""
        return self.client.reassembly.kept

    def test_messages_that_are_never_finished(self) -> None:
        for _ in range(500):
            self.take(self.part(0, MAX_PARTS - 1, AGREED, bytes(1000)))
            self.assertLessEqual(self.kept(), 1000)
        self.assert_well()

    def test_parts_that_are_longer_together_than_what_they_say(self) -> None:
        self.take(*(self.part(part, 3, AGREED, bytes(1100)) for part in range(4)))
        self.assertEqual(self.counted["out_of_range"], 1)
        self.assertEqual(self.kept(), 0)
        self.assert_well()

    def test_parts_that_contradict_each_other(self) -> None:
        self.take(self.part(0, 2, AGREED, b"a"), self.part(1, 3, AGREED, b"b"), self.part(2, 2, AGREED - 1, b"c"))
        self.assertEqual(self.counted["contradictory"], 2)
        self.assert_well()

    def test_a_part_behind_the_last(self) -> None:
        for body in ("90ffff00", "d0ffff00", "e0ffff00"):
            self.take(self.server.seal(DatagramKind.MESSAGE, bytes.fromhex(body)))
        self.assertEqual(self.counted["out_of_range"], 3)
        self.assert_well()

    def test_the_same_part_twice(self) -> None:
        """A copy of a datagram does not get as far as the parts."""
        part = self.part(0, 1, AGREED, b"a")
        self.take(part, part)
        self.assertEqual(self.counted["replayed"], 1)
        self.assert_well()

    def test_an_overlap(self) -> None:
        """Messages that share sequences: the one that begins later is taken for the newer."""
        self.take(self.part(0, 3, AGREED, b"a"), self.part(0, 3, AGREED, b"b"), self.part(2, 3, AGREED, b"c"))
        self.assertEqual(self.counted["stale"], 1)
        self.assertEqual(self.kept(), 1)
        self.assert_well()

    def test_a_secret_in_a_message(self) -> None:
        """Its length would reveal it; and the rest is refused as well."""
        content = codec.encode_state_record(FreshSecret(bytes(32)))
        before = self.client.token
        self.take(self.part(0, 0, len(content), LZ4.compress(content)))
        self.assertEqual((self.client.token, self.counted["type"]), (before, 1))
        self.assert_well()

    def test_parts_of_nothing(self) -> None:
        for body in ("", "00", "0000ff", "10ffff"):
            self.take(self.server.seal(DatagramKind.MESSAGE, bytes.fromhex(body)))
        self.assertEqual(self.counted["truncated"], 4)
        self.assert_well()

    def test_reserved_bits(self) -> None:
        for bit in range(4):
            self.take(self.server.seal(DatagramKind.MESSAGE, bytes([1 << bit]) + b"\0\xff" + LZ4.compress(bytes(256))))
        self.assertEqual(self.counted["reserved"], 4)
        self.assert_well()

    def test_parts_that_a_stranger_made(self) -> None:
        """Without the keys nothing gets as far as the parts, and nothing under way is disturbed."""
        parts = self.deliver(mixed(190))
        self.take(*parts[:-1])
        before = self.kept()
        for part in parts:
            self.take(part[:-1] + bytes([part[-1] ^ 1]), part[:6] + bytes([part[6] ^ 1]) + part[7:])
        self.assertEqual(self.kept(), before)
        self.assertGreater(self.counted["forged"], 0)
        self.assertEqual(len(self.client.receive(parts[-1], NOW).events), 1)

    def test_messages_to_the_server(self) -> None:
        """No client may send one: refused by the first byte, before anything is decrypted."""
        channel = self.client.channel
        assert channel is not None
        body = codec.encode_fragment(Fragment(0, 1, AGREED, bytes(1000)))
        for _ in range(100):
            self.assertEqual(self.lab.send(channel.seal(DatagramKind.MESSAGE, body)), [])
        self.assertEqual(self.lab.counted, {"type": 100})
        self.assert_well()
