"""Both ends of the UDP protocol without sockets, and the bad network between them. Everything is seeded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from itertools import count
from random import Random
from uuid import UUID

from msgspec.structs import replace
from twisted.internet.testing import FakeDatagramTransport
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.contract.messages import MaterialNotification, MaterialProblem
from craftnet.contract.position import Position
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.errors import BadDatagram
from craftnet.observe.audit.recorder import NoAudit
from craftnet.observe.metrics.hot_counters import DatagramCounts
from craftnet.observe.metrics.store import Number
from craftnet.protocols.udp.client.connection import ClientConnection, Output
from craftnet.protocols.udp.client.connection import Event as ClientEvent
from craftnet.protocols.udp.client.received_state import ReceivedSession
from craftnet.protocols.udp.core.cookie import Address
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.key_update import KEY_UPDATE_PERIOD
from craftnet.protocols.udp.core.keys import SessionToken, client_key, server_key
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, agree
from craftnet.protocols.udp.core.packet_protection import OVERHEAD, PacketProtection, ReceivedDatagram
from craftnet.protocols.udp.core.replay_window import expand
from craftnet.protocols.udp.core.table_delta import MAX_QUANTITY
from craftnet.protocols.udp.server import dispatcher
from craftnet.protocols.udp.server.connection import Send, ServerConnection, Terms
from craftnet.protocols.udp.server.datagram_port import Sender
from craftnet.protocols.udp.server.dispatcher import ConnectionGone, ConnectionOpened, Dispatcher, Effect, SessionJoined
from craftnet.protocols.udp.server.key_log import KeyLog
from craftnet.protocols.udp.server.security_events import ConnectionAudit
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.protocols.udp.server.tickets import SessionPermit, Ticket
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind
from craftnet.tests.support.samples import COPPER, IRON, NOW, PLAYER, SESSION

CLIENT: Address = ("192.0.2.1", 40_000)
OTHER_ADDRESS: Address = ("198.51.100.9", 40_000)
HEARTBEAT = 5.0
MESSAGE = codec.first_byte(DatagramKind.MESSAGE)
State = SessionState | MaterialsState
BEARER = Principal(PLAYER, frozenset(), NOW + 3600)


def table(version: int = 1, *, iron: int = 10) -> MaterialsState:
    """Two materials, one of which is short."""
    short = MaterialNotification(
        material_id=COPPER,
        notification_type=MaterialProblem.INSUFFICIENT_QUANTITY,
        required_quantity=5,
        available_quantity=1,
    )
    return MaterialsState(SESSION, version, (Material(IRON, iron, 50), Material(COPPER, 1, None, short)))


NO_AUDIT = ConnectionAudit(NoAudit())
"""Records nothing."""


class _Accepted(Number):
    """Counts accepted datagrams with the other outcomes."""

    def __init__(self, counted: Counter[str]) -> None:
        self._counted = counted

    @property
    def value(self) -> float:
        """How many there were."""
        return self._counted["accepted"]

    @value.setter
    def value(self, number: float) -> None:
        self._counted["accepted"] = int(number)


class Lab:
    """A server, its tickets, and clients of it."""

    def __init__(
        self,
        *,
        seed: int = 1,
        full_sync: float = 10.0,
        key_rotation: float = KEY_UPDATE_PERIOD,
        congestion: Congestion = Congestion.LOSS,
        log_keys: KeyLog | None = None,
        audit: ConnectionAudit = NO_AUDIT,
    ) -> None:
        self.random = Random(seed)
        self.counts = DatagramCounts()
        self.counted: Counter[str] = Counter()
        self.counts.accepted = _Accepted(self.counted)
        self.tickets = TicketStore(self.random.randbytes)
        self.endpoint = Dispatcher(
            self.tickets,
            secret=self.random.randbytes(32),
            random=self.random.randbytes,
            terms=Terms(HEARTBEAT, full_sync, key_rotation, congestion),
            count=lambda outcome: self.counted.update([outcome]),
            log_keys=log_keys,
            counts=self.counts,
            measured=audit.heartbeat,
            forged=audit.forged,
        )

    def ticket(
        self,
        *,
        packet_size: int = PATH_SIZE,
        compression: str = "none",
        path: int = PATH_SIZE,
        expires: float = NOW + 3600,
        now: float = NOW,
    ) -> Ticket:
        """A ticket of `PLAYER` for `SESSION`."""
        return self.tickets.issue(SESSION, PLAYER, agree([compression], packet_size, path), expires, now, BEARER)

    def join(
        self, ticket: Ticket, session_id: UUID, *, expires: float = NOW + 3600, now: float = NOW
    ) -> tuple[SessionPermit, list[Effect]]:
        """Another session for the holder of the ticket."""
        joined = self.endpoint.join(ticket, session_id, expires, BEARER, now)
        assert joined is not None
        return joined

    def client_connection(self, ticket: Ticket) -> ClientConnection:
        """A client with this ticket."""
        token = SessionToken.parse(ticket.token.text)
        sessions = {permit.index: permit.session_id for permit in ticket.permits}
        return ClientConnection(
            token, sessions, heartbeat=HEARTBEAT, agreement=ticket.agreement, random=self.random.randbytes
        )

    def send(self, datagram: bytes, now: float = NOW, address: Address = CLIENT) -> list[Effect]:
        """A datagram reaches the server."""
        return self.endpoint.receive(datagram, address, now)

    def update(
        self, peer: ServerConnection, state: State, now: float, index: int = 0, at: Position | None = None
    ) -> list[Effect]:
        """A session or its materials change: the effects, as the shell asks for them."""
        if isinstance(state, SessionState):
            datagram = self.endpoint.update_progress(peer, state, now, index, at)
            if datagram is not None:
                return [Send(datagram, peer.address)] if datagram else []
        return self.endpoint.update(peer, state, now, index, at)

    def connect(
        self, ticket: Ticket, now: float = NOW, address: Address = CLIENT
    ) -> tuple[ClientConnection, ServerConnection]:
        """A client and its peer after the handshake, with nothing on the way."""
        client = self.client_connection(ticket)
        (hello,) = client.start(now).datagrams
        (challenge,) = datagrams(self.send(hello, now, address))
        (response,) = client.receive(challenge, now).datagrams
        effects = self.send(response, now, address)
        (peer,) = (effect.peer for effect in effects if isinstance(effect, ConnectionOpened))
        for datagram in datagrams(effects):
            for answer in client.receive(datagram, now).datagrams:
                self.send(answer, now, address)
        return client, peer


def held(client: ClientConnection, index: int = 0) -> ReceivedSession:
    """A client's copy of a session."""
    copy = client.copies.get(index)
    assert copy is not None
    return copy


def datagrams(effects: list[Effect]) -> list[bytes]:
    """Datagrams to send."""
    return [effect.datagram for effect in effects if isinstance(effect, Send)]


class GeneralChannel(PacketProtection):
    """Packet protection that asks the replay window and all the keys about every datagram."""

    def open(self, datagram: bytes) -> ReceivedDatagram:
        """As in `PacketProtection`."""
        if len(datagram) < OVERHEAD:
            raise BadDatagram("truncated")
        phase, kind, connection_id, low = codec.decode_sealed_header(datagram)
        if connection_id != self.connection_id:
            raise BadDatagram("unknown_connection")
        size = codec.SEALED_HEADER_SIZE
        sequence = expand(low, 16, self.newest)
        self.check(sequence)
        content = self.incoming.open_in(phase, sequence, datagram[:size], datagram[size:])
        self.advance(sequence)
        arrivals = self._noted(*codec.decode_acknowledgement(content))
        return ReceivedDatagram(kind, sequence, arrivals, content[codec.ACKNOWLEDGEMENT_SIZE :])


@contextmanager
def general_path_only(case: SynchronousTestCase) -> Iterator[None]:
    """Meanwhile nothing takes a fast path."""
    patches = [
        case.patch(dispatcher, "lone_progress", lambda *arguments: None),
        case.patch(dispatcher, "take_acknowledgement", lambda *arguments: None),
        case.patch(dispatcher, "PacketProtection", GeneralChannel),
    ]
    try:
        yield
    finally:
        for patch in patches:
            patch.restore()


class BadNetwork:
    """One client and the server, with delay, loss, duplication, reordering and flipped bits in between.

    Time is the server's; the client's clock is `ahead` of it by that many seconds.
    """

    def __init__(
        self,
        lab: Lab,
        client: ClientConnection,
        *,
        seed: int,
        loss: float,
        noise: float = 0.05,
        latency: float = 0.01,
        jitter: float = 0.08,
        ahead: float = 0.0,
    ) -> None:
        self.lab = lab
        self.client = client
        self.now = NOW
        self.events: list[ClientEvent] = []
        self.peers: list[ServerConnection] = []
        self.gone: list[ServerConnection] = []
        self.address = CLIENT
        self.overheard: list[tuple[float, bool, bytes]] = []  # when each datagram was sent, and whether to the server.
        self.carried: Counter[int] = Counter()  # to the client, by their first bytes in key phase 0.
        # the updates of a session that a connection has just begun to watch.
        self.snapshot: Callable[[ServerConnection, int], list[Effect]] = lambda peer, index: []
        self.look: Callable[[], None] = lambda: None  # before every event and after every arrival: checks the client.
        self._ahead = ahead
        self._random = Random(seed)
        self._loss = loss
        self._noise = noise
        self._latency = latency
        self._jitter = jitter
        self._order = count()
        self._wire: list[tuple[float, int, bool, bytes]] = []

    @property
    def client_now(self) -> float:
        """The time on the client's clock."""
        return self.now + self._ahead

    def lose(self, share: float) -> None:
        """From now on so much is lost."""
        self._loss = share

    def heal(self) -> None:
        """From now on nothing is lost or changed."""
        self._loss = self._noise = 0.0

    def start(self) -> None:
        """The client sends its HELLO."""
        self.take(self.client.start(self.client_now))

    def take(self, output: Output) -> None:
        """The events of the client."""
        self.events += output.events
        for datagram in output.datagrams:
            self._carry(datagram, to_server=True)

    def perform(self, effects: list[Effect]) -> None:
        """The effects of the server."""
        for effect in effects:
            match effect:
                case Send(datagram, _):
                    self.carried[datagram[0] & ~codec.PHASE] += 1
                    self._carry(datagram, to_server=False)
                case ConnectionOpened(peer):
                    self.peers.append(peer)
                case SessionJoined(peer, session):
                    self.perform(self.snapshot(peer, session.index))
                case ConnectionGone(peer):
                    self.gone.append(peer)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while True:
            arrival = self._wire[0][0] if self._wire else end
            server = self.lab.endpoint.deadline
            upcoming = min(arrival, self.client.deadline - self._ahead, end if server is None else server)
            if upcoming >= end:
                self.now = end
                self.look()
                return
            self.now = max(self.now, upcoming)
            self.look()
            if self._wire and self._wire[0][0] <= self.now:
                _, _, to_server, datagram = heappop(self._wire)
                if to_server:
                    self.perform(self.lab.send(datagram, self.now, self.address))
                else:
                    self.take(self.client.receive(datagram, self.client_now))
                    self.look()
            elif server is not None and server <= self.now:
                self.perform(self.lab.endpoint.tick(self.now))
            else:
                self.take(self.client.tick(self.client_now))

    def _carry(self, datagram: bytes, *, to_server: bool) -> None:
        random = self._random
        self.overheard.append((self.now, to_server, datagram))
        copies = 2 if random.random() < self._noise else 1
        for _ in range(copies):
            if random.random() < self._loss:
                continue
            carried = datagram
            if random.random() < self._noise:
                flipped = random.randrange(len(datagram) * 8)
                mask = bytearray(datagram)
                mask[flipped // 8] ^= 1 << flipped % 8
                carried = bytes(mask)
            delay = self._latency + random.random() * self._jitter
            heappush(self._wire, (self.now + delay, next(self._order), to_server, carried))


def mixed(rows: int, version: int = 1) -> MaterialsState:
    """A table of materials that compresses to about half its length."""
    random = Random(rows)
    ids = [UUID(int=random.getrandbits(128)) for _ in range(rows // 2 + 1)]
    return MaterialsState(SESSION, version, tuple(Material(ids[row // 2], row % 5) for row in range(rows)))


def changed(state: MaterialsState, random: Random) -> MaterialsState:
    """The next version of a table: the same materials, any of their fields changed."""

    def one(material: Material) -> Material:
        match random.randrange(6):
            case 0:
                return replace(material, quantity=random.choice([0, 1, 900, MAX_QUANTITY, MAX_QUANTITY + 5]))
            case 1:
                return replace(material, quality=random.choice([None, 1, 100]))
            case 2:
                return replace(material, problem=None)
            case 3:
                problem = MaterialNotification(
                    material_id=material.material_id,
                    notification_type=random.choice(list(MaterialProblem)),
                    required_quantity=random.choice([None, 1, 70_000]),
                    available_quality=random.choice([None, 50]),
                )
                return replace(material, problem=problem)
        return material

    return replace(state, version=state.version + 1, materials=tuple(map(one, state.materials)))


SECRET = bytes(range(32))
CONNECTION = 0xDEADBEEF


def channels(connection_id: int = CONNECTION) -> tuple[PacketProtection, PacketProtection]:
    """The client's and the server's end."""
    ours, theirs = (key(SECRET, b"c" * 16, b"s" * 16) for key in (client_key, server_key))
    return PacketProtection.of(connection_id, ours, theirs), PacketProtection.of(connection_id, theirs, ours)


class FakeTransport(FakeDatagramTransport):
    """Records what is sent, or fails."""

    error: Exception | None = None

    def sender(self) -> Sender:
        """The transport that records, or fails."""

        def send(packet: bytes, address: Address) -> None:
            if self.error is not None:
                raise self.error
            self.write(packet, address)

        return send

    def taken(self) -> list[bytes]:
        """The datagrams written since the last call."""
        written = [packet for packet, _ in self.written]
        self.written.clear()
        return written
