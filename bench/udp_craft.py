"""Traffic of one craft over UDP, compared with JSON at 10 Hz.

    python bench/udp_craft.py

The craft takes 60 s with a pause of 5 s, and its five materials change ten times. Bytes are those of the datagrams plus
28 each for IPv4 and UDP; for JSON, a WebSocket progress message ten times a second plus 46 bytes each for its frame,
TCP and IPv4. TCP acknowledgements are not counted. No sockets, simulated time.
"""

from __future__ import annotations

from itertools import count
from random import Random
from uuid import UUID

from msgspec.structs import replace

from craftnet.clocks import Moment
from craftnet.contract.messages import Status
from craftnet.contract.position import Position, Versions
from craftnet.crafting.progress import Progress, rebase
from craftnet.crafting.state import Material, MaterialsState, SessionState
from craftnet.crafting.updates import progress_update
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.negotiation import PLAIN
from craftnet.protocols.udp.server.connection import Send, ServerConnection, Terms
from craftnet.protocols.udp.server.dispatcher import ConnectionOpened, Dispatcher, Effect
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.protocols.wire.records import CloseReason

NOW = 1.8e9
SESSION, PLAYER = UUID(int=1), UUID(int=2)
CLIENT = ("192.0.2.1", 4000)
SECONDS = 60
UDP_IP = 28
FRAME_TCP_IP = 46


def state(version: int, progress: Progress) -> SessionState:
    """The session."""
    return SessionState(SESSION, PLAYER, version, progress)


class Craft:
    """A dispatcher and its clients on a perfect path."""

    def __init__(self) -> None:
        random = Random(1)
        self.random = random
        self.tickets = TicketStore(random.randbytes)
        self.endpoint = Dispatcher(
            self.tickets, secret=bytes(32), random=random.randbytes, terms=Terms(), count=lambda outcome: None
        )
        self.counts = Versions()
        self.down = self.up = self.down_count = self.up_count = 0

    def connect(self, now: float) -> tuple[ClientConnection, ServerConnection]:
        """Connects a client."""
        ticket = self.tickets.issue(SESSION, PLAYER, PLAIN, now + 3600, now)
        client = ClientConnection(ticket.token, {0: SESSION}, heartbeat=5.0, random=self.random.randbytes)
        peers: list[ServerConnection] = []
        outgoing = client.start(now).datagrams
        while outgoing:
            effects = self.endpoint.receive(outgoing.pop(0), CLIENT, now)
            peers += [effect.peer for effect in effects if isinstance(effect, ConnectionOpened)]
            for effect in effects:
                if isinstance(effect, Send):
                    outgoing += client.receive(effect.datagram, now).datagrams
        return client, peers[0]

    def send_update(
        self, client: ClientConnection, peer: ServerConnection, update: SessionState | MaterialsState, now: float
    ) -> None:
        """The hub delivers a change and the feed's position."""
        counts = self.counts = (
            replace(self.counts, materials=update.version)
            if isinstance(update, MaterialsState)
            else replace(self.counts, session=update.version)
        )
        at = Position("6c0ffee01234", counts.encoded)
        self.deliver(client, self.endpoint.update(peer, update, now, at=at), now)

    def deliver(self, client: ClientConnection, effects: list[Effect], now: float) -> None:
        """Delivers to the client, and its answers to the server."""
        for effect in effects:
            if isinstance(effect, Send):
                self.down += len(effect.datagram) + UDP_IP
                self.down_count += 1
                self.answer(client, client.receive(effect.datagram, now).datagrams, now)

    def answer(self, client: ClientConnection, datagrams: list[bytes], now: float) -> None:
        """Delivers to the server."""
        for datagram in datagrams:
            self.up += len(datagram) + UDP_IP
            self.up_count += 1
            self.deliver(client, self.endpoint.receive(datagram, CLIENT, now), now)


def bytes_of_a_craft() -> None:
    """Counts both directions, and the same in JSON."""
    craft, versions = Craft(), count(2)
    client, peer = craft.connect(NOW)
    materials = MaterialsState(SESSION, 1, tuple(Material(UUID(int=100 + n), 50, 80) for n in range(5)))
    session = state(1, Progress(Status.ACTIVE, 0.0, NOW, float(SECONDS - 5)))
    events: list[tuple[float, str]] = [(20.0, "pause"), (25.0, "resume")]
    events += [(3.0 + 5.5 * number, "material") for number in range(10)]
    events += [(5.0 * number, "refresh") for number in range(1, 12)]
    events.sort()
    json = 0
    for update in (session, materials):
        craft.send_update(client, peer, update, NOW)
    tick = 0
    now = NOW
    while now < NOW + SECONDS:
        due = [craft.endpoint.deadline or NOW + SECONDS, client.deadline, NOW + SECONDS, NOW + tick / 10]
        if events:
            due.append(NOW + events[0][0])
        now = max(now, min(due))
        if now >= NOW + tick / 10:
            (message,) = progress_update(session, Moment.agreed(now)).json
            json += len(message) + FRAME_TCP_IP
            tick += 1
        if events and now >= NOW + events[0][0]:
            _, what = events.pop(0)
            if what == "material":
                version = next(versions)
                row = version % 5
                rows = list(materials.materials)
                rows[row] = replace(rows[row], quantity=rows[row].quantity - 3)
                materials = replace(materials, version=version, materials=tuple(rows))
                craft.send_update(client, peer, materials, now)
            else:
                status = {"pause": Status.PAUSED, "resume": Status.ACTIVE}.get(what, session.progress.status)
                session = state(next(versions), replace(rebase(session.progress, now), status=status))
                craft.send_update(client, peer, session, now)
        if (craft.endpoint.deadline or now + 1) <= now:
            craft.deliver(client, craft.endpoint.tick(now), now)
        if client.deadline <= now:
            craft.answer(client, client.tick(now).datagrams, now)
    done = state(next(versions), Progress(Status.COMPLETED, 100.0, now, 0.0))
    craft.send_update(client, peer, done, now)
    craft.deliver(client, craft.endpoint.close(peer, CloseReason.ENDED, now), now)
    print(f"JSON, 10 Hz            {json:9,} bytes, {tick} messages")
    print(
        f"UDP, to the client     {craft.down:9,} bytes, {craft.down_count} datagrams: {craft.down / json:.1%} of JSON"
    )
    print(f"UDP, to the server     {craft.up:9,} bytes, {craft.up_count} datagrams")
    print(f"UDP, both ways         {craft.down + craft.up:9,} bytes: {(craft.down + craft.up) / json:.1%} of JSON")


if __name__ == "__main__":
    bytes_of_a_craft()
