"""Server and client that have agreed on compression."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.protocols.udp.client.connection import Event
from craftnet.protocols.udp.client.received_state import MaterialsChanged
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.negotiation import MAX_DATAGRAM, PATH_SIZE
from craftnet.protocols.udp.server.tickets import TOKEN_RENEWAL
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.samples import NOW, SESSION, running
from craftnet.tests.support.udp_lab import MESSAGE, Lab, datagrams, mixed

STATE = codec.first_byte(DatagramKind.STATE)

quick = settings(deadline=None, max_examples=60, derandomize=True)


def kind(datagram: bytes) -> int:
    """Its first byte in key phase 0."""
    return datagram[0] & ~codec.PHASE


def repetitive(rows: int, version: int = 1) -> MaterialsState:
    """A table that is much shorter when packed."""
    return MaterialsState(SESSION, version, tuple(Material(UUID(int=row % 3), row % 5) for row in range(rows)))


class MessageTests(SynchronousTestCase):
    def connect(self, compression: str = "lz4", packet_size: int = 4096, path: int = PATH_SIZE) -> None:
        """A client and its peer."""
        self.lab = Lab()
        ticket = self.lab.ticket(packet_size=packet_size, compression=compression, path=path)
        self.client, self.peer = self.lab.connect(ticket)

    def setUp(self) -> None:
        self.connect()

    def deliver(self, state: SessionState | MaterialsState, now: float = NOW) -> list[bytes]:
        """The datagrams to the client."""
        return datagrams(self.lab.update(self.peer, state, now))

    def take(self, sent: list[bytes], now: float = NOW) -> list[Event]:
        """The client's view of it."""
        return [event for datagram in sent for event in self.client.receive(datagram, now).events]

    def test_there_and_back(self) -> None:
        for compression in COMPRESSIONS:
            self.connect(compression)
            sent = self.deliver(repetitive(150))
            self.assertEqual([kind(datagram) for datagram in sent], [MESSAGE])
            (event,) = self.take(sent)
            assert isinstance(event, MaterialsChanged)
            self.assertEqual(event.materials, repetitive(150))

    def test_fragments(self) -> None:
        sent = self.deliver(mixed(190))
        self.assertEqual([kind(datagram) for datagram in sent], [MESSAGE] * 3)
        self.assertEqual(self.take(sent[1:]), [])
        (event,) = self.take(sent[:1])
        assert isinstance(event, MaterialsChanged)
        self.assertEqual(event.materials, mixed(190))

    def test_parts_are_acknowledged_and_nothing_is_sent_again(self) -> None:
        self.take(self.deliver(mixed(190)))
        for datagram in self.client.tick(self.client.deadline).datagrams:
            self.lab.send(datagram, NOW + 0.1)
        self.assertEqual(datagrams(self.lab.endpoint.tick(NOW + 1.5)), [])

    def test_a_lost_part(self) -> None:
        """All of it is sent again, as another message."""
        self.assertEqual(self.take(self.deliver(mixed(190))[1:]), [])
        for datagram in self.client.tick(self.client.deadline).datagrams:
            self.lab.send(datagram, NOW + 0.1)
        again = datagrams(self.lab.endpoint.tick(self.peer.deadline))
        self.assertEqual([kind(datagram) for datagram in again], [MESSAGE] * 3)
        (event,) = self.take(again, NOW + 1.5)
        assert isinstance(event, MaterialsChanged)
        self.assertEqual(event.materials, mixed(190))

    def test_what_a_message_says_is_as_old_as_its_first_part(self) -> None:
        """A newer state that overtakes it is not undone."""
        sent = self.deliver(mixed(190))
        newer = self.deliver(mixed(30, version=2))
        (event,) = self.take([*newer, *sent])
        assert isinstance(event, MaterialsChanged)
        self.assertEqual(event.materials, mixed(30, version=2))

    def test_a_progress_stays_as_it_is(self) -> None:
        self.assertEqual([kind(datagram) for datagram in self.deliver(running())], [STATE])

    def test_a_table_that_does_not_get_shorter_stays_as_it_is(self) -> None:
        random = Random(1)
        rows = tuple(Material(UUID(int=random.getrandbits(128)), random.getrandbits(30)) for _ in range(190))
        sent = self.deliver(MaterialsState(SESSION, 1, rows))
        self.assertEqual({kind(datagram) for datagram in sent}, {STATE})
        self.assertEqual(len(self.take(sent)), 1)

    def test_a_fresh_secret_is_in_no_message(self) -> None:
        self.lab.update(self.peer, repetitive(150), NOW + TOKEN_RENEWAL - 1)
        for at in (NOW + 4.0 * step for step in range(int(TOKEN_RENEWAL / 4) + 3)):
            for datagram in (*datagrams(self.lab.endpoint.tick(at)), *self.deliver(repetitive(150, int(at)), at)):
                before = self.client.token
                for answer in self.client.receive(datagram, at).datagrams:
                    self.lab.send(answer, at)
                if self.client.token != before:
                    self.assertEqual(kind(datagram), STATE)
                    return
        self.fail("no fresh secret came")

    def test_without_agreed_compression_no_message_is_sent(self) -> None:
        self.connect("none")
        self.assertEqual({kind(datagram) for datagram in self.deliver(repetitive(150))}, {STATE})

    def test_without_agreed_compression_no_message_is_accepted(self) -> None:
        counted: list[str] = []
        self.connect("none")
        self.client.count = counted.append
        body = bytes.fromhex("000003") + COMPRESSIONS["lz4"].compress(b"\1" * 4)
        self.take([self.peer.channel.seal(DatagramKind.MESSAGE, body)])
        self.assertEqual(counted, ["type", "accepted"])

    @quick
    @given(
        st.integers(64, 65_536),
        st.sampled_from([64, 300, PATH_SIZE, 9000, MAX_DATAGRAM]),
        st.sampled_from(["none", *COMPRESSIONS]),
        st.sampled_from([repetitive, mixed]),
        st.lists(st.integers(1, 200), min_size=1, max_size=4),
        st.text(max_size=300),
    )
    def test_no_datagram_is_longer_than_the_path(
        self,
        packet_size: int,
        path: int,
        compression: str,
        table: Callable[[int, int], MaterialsState],
        sizes: list[int],
        reason: str,
    ) -> None:
        """Any state, with any negotiation."""
        self.connect(compression, packet_size, path)
        longest = min(packet_size, path)
        now = NOW
        over = Progress(Status.FAILED, 5.0, NOW, 0.0, failure_reason=reason)
        for version, rows in enumerate(sizes, 1):
            sent = self.deliver(table(rows, version), now) + self.deliver(
                replace(running(), version=version, progress=over)
            )
            while self.peer.deadline < now + 2.0:
                sent += datagrams(self.lab.endpoint.tick(self.peer.deadline))
            self.assertLessEqual(max(map(len, sent)), longest)
            self.take(sent, now)
            now += 2.0
        self.assertEqual(self.client.copies.sessions, {0: SESSION})
        copy = self.client.copies.get(0)
        assert copy is not None
        self.assertEqual(copy.materials.materials, table(sizes[-1], len(sizes)))
