"""Structs that are written often are written as the interpreter writes the attributes of other classes."""

from __future__ import annotations

import dis

from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.core.delay_pacing import DelayPacer
from craftnet.protocols.udp.core.heartbeat import Heartbeats
from craftnet.protocols.udp.core.pacing import Pacer
from craftnet.protocols.udp.core.packet_protection import PacketProtection
from craftnet.protocols.udp.core.path_stats import DeliveryRecord
from craftnet.protocols.udp.core.written_often import written_often
from craftnet.protocols.udp.server.sessions import SentState


class Tracked(Struct):
    """What the garbage collector may have to track."""

    number: int = 0


class Frozen(Struct, frozen=True, gc=False):
    """What cannot be written."""

    number: int = 0


class WrittenOftenTests(SynchronousTestCase):
    def test_the_quick_way_is_taken(self) -> None:
        def write(record: DeliveryRecord) -> None:
            for number in range(100):
                record.newest = number

        write(DeliveryRecord())
        write(DeliveryRecord())
        ways = [each.opname for each in dis.get_instructions(write, adaptive=True) if "STORE_ATTR" in each.opname]
        self.assertEqual(ways, ["STORE_ATTR_SLOT"])

    def test_all_that_a_datagram_writes(self) -> None:
        for kind in (PacketProtection, DeliveryRecord, Pacer, DelayPacer, Heartbeats, SentState):
            with self.subTest(kind=kind.__name__):
                self.assertIs(kind.__setattr__, object.__setattr__)

    def test_only_where_the_garbage_collector_has_nothing_to_track(self) -> None:
        for kind in (Tracked, Frozen):
            with self.subTest(kind=kind.__name__):
                self.assertRaisesRegex(TypeError, kind.__name__, written_often, kind)
