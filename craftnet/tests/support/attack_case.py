"""A connected UDP client, and what an attacker sees and sends."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.packet_protection import PacketProtection
from craftnet.protocols.udp.server.connection import Send
from craftnet.protocols.udp.server.dispatcher import ConnectionGone, ConnectionOpened, Effect
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.samples import NOW, running
from craftnet.tests.support.udp_lab import CLIENT, Lab, datagrams

THIRD: Address = ("203.0.113.7", 5)


def opened(effects: list[Effect]) -> int:
    """How many peers were made."""
    return sum(isinstance(effect, ConnectionOpened) for effect in effects)


def gone(effects: list[Effect]) -> int:
    """How many peers ended."""
    return sum(isinstance(effect, ConnectionGone) for effect in effects)


def sent_to(effects: list[Effect], address: Address) -> list[bytes]:
    """The datagrams to that address."""
    return [effect.datagram for effect in effects if isinstance(effect, Send) and effect.address == address]


class AttackCase(SynchronousTestCase):
    """A connected client, and what an attacker can see and send."""

    def setUp(self) -> None:
        self.lab = Lab()
        self.ticket = self.lab.ticket()
        self.client, self.peer = self.lab.connect(self.ticket)
        self.lab.counted.clear()

    def heartbeat(self, now: float = NOW) -> bytes:
        """A datagram of the client's, long enough to be answered with a challenge."""
        channel = self._channel(self.client)
        return channel.seal(DatagramKind.HEARTBEAT, codec.encode_heartbeat(self.client.pulse.beat(now, now)))

    def forge(self, kind: DatagramKind, body: bytes) -> bytes:
        """A datagram of a misbehaving client with valid keys."""
        return self._channel(self.client).seal(kind, body)

    def _channel(self, client: ClientConnection) -> PacketProtection:
        channel = client.channel
        assert channel is not None
        return channel

    def assert_well(self, now: float = NOW) -> None:
        """The connection lives: an update arrives."""
        self.assertIsNone(self.peer.finished)
        sent = datagrams(self.lab.update(self.peer, running(percent=50.0 + now - NOW), now))
        self.assertTrue(any(self.client.receive(datagram, now).events for datagram in sent))

    def assert_refused(self, outcome: str, datagram: bytes, now: float = NOW, address: Address = CLIENT) -> None:
        """Counted under that word, and not answered."""
        before = self.lab.counted[outcome]
        self.assertEqual(self.lab.send(datagram, now, address), [])
        self.assertEqual(self.lab.counted[outcome], before + 1, self.lab.counted)
