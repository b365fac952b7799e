"""Traffic of eight crafts of one player over one UDP connection, compared with eight connections.

    python bench/udp_sessions.py

Each craft takes 60 s with a pause of 5 s, is refreshed every 5 s, and its five materials change ten times. *Apart*,
they begin one after another; *together*, everything happens to all of them at the same times. Bytes are those of the
datagrams plus 28 each for IPv4 and UDP, without handshakes. Materials have random uuids, different in each craft. No
sockets, simulated time.
"""

from __future__ import annotations

from math import inf
from random import Random
from uuid import UUID

from msgspec.structs import replace

from craftnet.access.principal import Principal
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress, rebase
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.compression import COMPRESSIONS
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, PLAIN, Agreement, agree
from craftnet.protocols.udp.server.connection import Send, ServerConnection, Terms
from craftnet.protocols.udp.server.dispatcher import ConnectionOpened, Dispatcher, Effect
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.protocols.udp.server.tickets import Ticket
from craftnet.protocols.wire.records import CloseReason

NOW = 1.8e9
PLAYER = UUID(int=2)
BEARER = Principal(PLAYER, frozenset(), NOW + 3600)
CLIENT = ("192.0.2.1", 4000)
SECONDS = 60
SESSIONS = 8
APART = 0.73
UDP_IP = 28


class Craft:
    """One session and its timed events."""

    def __init__(self, number: int, begins: float) -> None:
        self.session_id = UUID(int=100 + number)
        random = Random(number)
        rows = tuple(Material(UUID(int=random.getrandbits(128), version=4), 50, 80) for _ in range(5))
        self.materials = MaterialsState(self.session_id, 1, rows)
        progress = Progress(Status.ACTIVE, 0.0, begins, float(SECONDS - 5))
        self.session = SessionState(self.session_id, PLAYER, 1, progress)
        events = [(20.0, "pause"), (25.0, "resume"), (float(SECONDS), "end")]
        events += [(3.0 + 5.5 * number, "material") for number in range(10)]
        events += [(5.0 * number, "refresh") for number in range(1, 12)]
        self.events = sorted((begins + when, what) for when, what in events)

    def advance(self) -> SessionState | MaterialsState:
        """Applies the next event."""
        now, what = self.events.pop(0)
        if what == "material":
            version, rows = self.materials.version + 1, list(self.materials.materials)
            row = version % len(rows)
            rows[row] = replace(rows[row], quantity=rows[row].quantity - 3)
            self.materials = replace(self.materials, version=version, materials=tuple(rows))
            return self.materials
        if what == "end":
            progress = Progress(Status.COMPLETED, 100.0, now, 0.0)
        else:
            status = {"pause": Status.PAUSED, "resume": Status.ACTIVE}.get(what, self.session.progress.status)
            progress = replace(rebase(self.session.progress, now), status=status)
        self.session = replace(self.session, version=self.session.version + 1, progress=progress)
        return self.session


class Line:
    """A connection and its crafts, by index."""

    def __init__(self, crafts: list[Craft], client: ClientConnection, peer: ServerConnection) -> None:
        self.crafts = dict(enumerate(crafts))
        self.client = client
        self.peer = peer


class World:
    """A server and its connections on a perfect network."""

    def __init__(self, connections: list[list[Craft]], agreement: Agreement) -> None:
        self.random = Random(1)
        self.tickets = TicketStore(self.random.randbytes)
        self.endpoint = Dispatcher(
            self.tickets, secret=bytes(32), random=self.random.randbytes, terms=Terms(), count=lambda outcome: None
        )
        self.down = self.up = self.down_count = self.up_count = 0
        self.lines = [self._connect(crafts, agreement) for crafts in connections]
        self.by_id = {line.peer.connection_id: line for line in self.lines}
        self.down = self.up = self.down_count = self.up_count = 0

    def _connect(self, crafts: list[Craft], agreement: Agreement) -> Line:
        first, *others = crafts
        ticket = self.tickets.issue(first.session_id, PLAYER, agreement, NOW + 3600, NOW, BEARER)
        for craft in others:
            self.endpoint.join(ticket, craft.session_id, NOW + 3600, BEARER, NOW)
        client, peer = self._shake_hands(ticket, crafts, agreement)
        return Line(crafts, client, peer)

    def _shake_hands(
        self, ticket: Ticket, crafts: list[Craft], agreement: Agreement
    ) -> tuple[ClientConnection, ServerConnection]:
        sessions = {index: craft.session_id for index, craft in enumerate(crafts)}
        client = ClientConnection(
            ticket.token, sessions, heartbeat=5.0, agreement=agreement, random=self.random.randbytes
        )
        peers: list[ServerConnection] = []
        outgoing = client.start(NOW).datagrams
        while outgoing:
            for effect in self.endpoint.receive(outgoing.pop(0), CLIENT, NOW):
                if isinstance(effect, ConnectionOpened):
                    peers.append(effect.peer)
                elif isinstance(effect, Send):
                    outgoing += client.receive(effect.datagram, NOW).datagrams
        return client, peers[0]

    def deliver(self, effects: list[Effect], now: float) -> None:
        """Delivers to the clients, and their answers to the server."""
        for effect in effects:
            if isinstance(effect, Send):
                self.down += len(effect.datagram) + UDP_IP
                self.down_count += 1
                client = self.by_id[int.from_bytes(effect.datagram[1:5], "big")].client
                self.answer(client.receive(effect.datagram, now).datagrams, now)

    def answer(self, datagrams: list[bytes], now: float) -> None:
        """Delivers to the server."""
        for datagram in datagrams:
            self.up += len(datagram) + UDP_IP
            self.up_count += 1
            self.deliver(self.endpoint.receive(datagram, CLIENT, now), now)

    def play(self) -> None:
        """Runs all crafts to their ends."""
        now = NOW
        for line in self.lines:
            for index, craft in line.crafts.items():
                self.deliver(self.endpoint.update(line.peer, craft.session, now, index), now)
                self.deliver(self.endpoint.update(line.peer, craft.materials, now, index), now)
        while len(self.endpoint):
            due = [line.client.deadline for line in self.lines]
            due += [craft.events[0][0] for line in self.lines for craft in line.crafts.values() if craft.events]
            now = max(now, min([*due, self.endpoint.deadline or inf]))
            self._happen(now)
            if (self.endpoint.deadline or inf) <= now:
                self.deliver(self.endpoint.tick(now), now)
            for line in self.lines:
                if line.client.deadline <= now:
                    self.answer(line.client.tick(now).datagrams, now)

    def _happen(self, now: float) -> None:
        for line in self.lines:
            for index, craft in line.crafts.items():
                while craft.events and craft.events[0][0] <= now:
                    self.deliver(self.endpoint.update(line.peer, craft.advance(), now, index), now)
                    if not craft.events:
                        self.deliver(self.endpoint.end(line.peer, index, CloseReason.ENDED, now), now)


def main() -> None:
    """Print a table."""
    print(f"{SESSIONS} crafts, 60 s each        bytes down  datagrams   bytes up  datagrams")
    compressed = [(f", {name}", agree([name], 65_536, PATH_SIZE)) for name in COMPRESSIONS]
    for how, agreement in [("", PLAIN), *compressed]:
        for when, apart in (("apart", APART), ("together", 0.0)):
            totals = []
            for shared in (False, True):
                crafts = [Craft(number, NOW + apart * number) for number in range(SESSIONS)]
                world = World([crafts] if shared else [[craft] for craft in crafts], agreement)
                world.play()
                totals.append((world.down, world.down_count, world.up, world.up_count))
                name = f"{when}, {'1 connection' if shared else f'{SESSIONS} connections'}{how}"
                print(f"{name:27}{world.down:13,}{world.down_count:11,}{world.up:11,}{world.up_count:11,}")
            ratios = [f"{one / many:.0%}" for many, one in zip(*totals, strict=True)]
            print(f"{'':27}{ratios[0]:>13}{ratios[1]:>11}{ratios[2]:>11}{ratios[3]:>11}")


if __name__ == "__main__":
    main()
