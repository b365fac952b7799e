"""What a region costs in latency: a simulated network between players, nodes and Redis, and both ends of the protocol.

    python bench/regions.py
    python bench/regions.py --loss 0.05 --player asia-pacific

The round trips between regions are assumptions, usual ones between large data centres, and a player is 20 ms away from
the nearest region. Handshakes over HTTP are counted in round trips, three of them: TCP, TLS 1.3, and the request. Over
UDP, the client and the server run as they are, with simulated time, delay and loss: from HELLO to the first state, and
from a change to its arrival, repetitions included. No sockets.
"""

from __future__ import annotations

import argparse
from itertools import count
from random import Random
from statistics import median
from typing import NamedTuple
from uuid import UUID

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.negotiation import PLAIN
from craftnet.protocols.udp.server.connection import Send, ServerConnection, Terms
from craftnet.protocols.udp.server.dispatcher import ConnectionOpened, Dispatcher, Effect
from craftnet.protocols.udp.server.ticket_store import TicketStore

NOW = 1.8e9
SESSION, PLAYER = UUID(int=1), UUID(int=2)
CLIENT = ("192.0.2.1", 4000)

REGIONS = ("us-east", "us-west", "eu-central", "asia-pacific")
ROUND_TRIPS = {
    frozenset(("us-east", "us-west")): 65.0,
    frozenset(("us-east", "eu-central")): 90.0,
    frozenset(("us-east", "asia-pacific")): 170.0,
    frozenset(("us-west", "eu-central")): 145.0,
    frozenset(("us-west", "asia-pacific")): 110.0,
    frozenset(("eu-central", "asia-pacific")): 220.0,
}
"""Milliseconds between regions."""

LAST_MILE = 20.0
"""Milliseconds of round trip between a player and the nearest region."""

WITHIN_REGION = 1.0
"""Milliseconds of round trip between a node and Redis in one region."""

UPDATE_INTERVAL = 1.0
"""Seconds between two changes of the craft."""

HTTP_TRIPS = 3
"""Round trips of a request on a new connection: TCP, TLS 1.3, and the request itself."""


def between(one: str, other: str) -> float:
    """Milliseconds of round trip between two regions, or within one."""
    return WITHIN_REGION if one == other else ROUND_TRIPS[frozenset((one, other))]


def to_player(node: str, player: str) -> float:
    """Milliseconds of round trip between a node and a player of a region."""
    return LAST_MILE + (0.0 if node == player else between(node, player))


class Path:
    """Both ends of one connection, and the network between them.

    Arguments:
        round_trip: milliseconds.
        loss: share of the datagrams that are lost, 0 to 1, in each direction.
    """

    def __init__(self, round_trip: float, loss: float, seed: int) -> None:
        self.random = random = Random(seed)
        self.delay, self.loss, self.now = round_trip / 2000, loss, NOW
        self.tickets = TicketStore(random.randbytes)
        self.server = Dispatcher(
            self.tickets, secret=bytes(32), random=random.randbytes, terms=Terms(), count=lambda outcome: None
        )
        ticket = self.tickets.issue(SESSION, PLAYER, PLAIN, NOW + 36_000, NOW)
        self.client = ClientConnection(ticket.token, {0: SESSION}, heartbeat=5.0, random=random.randbytes)
        self.peer: ServerConnection | None = None
        self.arrived: dict[int, float] = {}
        self._wire: list[tuple[float, int, bool, bytes]] = []
        self._order = count()
        self.version = 1

    def state(self) -> SessionState:
        """The craft as it is now; every version differs from the client's extrapolation."""
        remaining = 3000.0 + 10.0 * (self.version % 2)
        return SessionState(SESSION, PLAYER, self.version, Progress(Status.ACTIVE, 1.0, self.now, remaining))

    def change(self) -> None:
        """The craft changes."""
        self.version += 1
        if self.peer is not None:
            self._perform(self.server.update(self.peer, self.state(), self.now))

    def run(self, until: float) -> None:
        """Lets time pass."""
        while True:
            arrival = min(self._wire)[0] if self._wire else until
            server = self.server.deadline
            upcoming = min(arrival, self.client.deadline, until if server is None else server)
            if upcoming >= until:
                self.now = until
                return
            self.now = max(self.now, upcoming)
            if self._wire and min(self._wire)[0] <= self.now:
                self._wire.remove(first := min(self._wire))
                self._arrive(to_server=first[2], datagram=first[3])
            elif server is not None and server <= self.now:
                self._perform(self.server.tick(self.now))
            else:
                self._send(self.client.tick(self.now).datagrams, to_server=True)

    def _arrive(self, *, to_server: bool, datagram: bytes) -> None:
        if to_server:
            self._perform(self.server.receive(datagram, CLIENT, self.now))
            return
        self._send(self.client.receive(datagram, self.now).datagrams, to_server=True)
        copy = self.client.copies.get(0)
        for version in range(
            0 if copy is None else copy.progress.version, 0, -1
        ):  # a newer state says all of an older.
            if version in self.arrived:
                break
            self.arrived[version] = self.now

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._send([effect.datagram], to_server=False)
            elif isinstance(effect, ConnectionOpened):
                self.peer = effect.peer
                self._perform(self.server.update(effect.peer, self.state(), self.now))

    def _send(self, datagrams: list[bytes], *, to_server: bool) -> None:
        for datagram in datagrams:
            if self.random.random() >= self.loss:
                self._wire.append((self.now + self.delay, next(self._order), to_server, datagram))

    def start(self) -> None:
        """The client sends its HELLO."""
        self._send(self.client.start(self.now).datagrams, to_server=True)


class Measured(NamedTuple):
    """Milliseconds over UDP, without what happens behind the node."""

    opening: float
    opening_p99: float
    update: float
    update_p99: float


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of them is."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(round_trip: float, loss: float, runs: int, updates: int) -> Measured:
    """Opens connections, and changes the craft over each."""
    openings, delays = [], []
    for seed in range(runs):
        path = Path(round_trip, loss, seed)
        path.start()
        while 1 not in path.arrived and path.now < NOW + 60:
            path.run(path.now + 0.001)
        openings.append((path.now - NOW) * 1000)
        path.run(path.now + 2.0)
        for _ in range(updates):
            path.change()
            changed, version = path.now, path.version
            path.run(path.now + UPDATE_INTERVAL)
            delays.append((path.arrived.get(version, path.now) - changed) * 1000)
    return Measured(median(openings), percentile(openings, 0.99), median(delays), percentile(delays, 0.99))


class Placement(NamedTuple):
    """Where a player's requests and datagrams go.

    Attributes:
        name: what brings them there.
        http: the region of the node that answers HTTP and WebSocket.
        udp: the region of the node behind the UDP endpoint.
    """

    name: str
    http: str
    udp: str


def placements(player: str, redis: str) -> list[Placement]:
    """From everything in the region of Redis to everything near the player."""
    return [
        Placement("one region for all", redis, redis),
        Placement("preferred_region", redis, player),
        Placement("DNS or anycast", player, player),
        Placement("DNS or anycast, UDP back", player, redis),
    ]


def report(player: str, redis: str, loss: float, runs: int, updates: int) -> None:
    """Prints the table of one player."""
    print(f"player in {player}, Redis and authority in {redis}, {loss:.1%} loss each way, milliseconds")
    print(f"  {'':<26}{'…/connect':>10}{'first state':>13}{'p99':>7}{'update':>8}{'p99':>7}{'WebSocket':>11}")
    known: dict[float, Measured] = {}
    for name, http, udp in placements(player, redis):
        http_trip, udp_trip = to_player(http, player), to_player(udp, player)
        # The node asks a node of the other region through Redis, both ways; and looks for the session there.
        asking = between(http, redis) + (0.0 if http == udp else between(http, redis) + between(udp, redis))
        connect = HTTP_TRIPS * http_trip + asking
        if udp_trip not in known:
            known[udp_trip] = measure(udp_trip, loss, runs, updates)
        measured = known[udp_trip]
        behind = between(udp, redis) / 2  # an event comes from Redis one way.
        subscribed = between(udp, redis)  # the first watcher of a session: its node asks Redis for the state.
        websocket = HTTP_TRIPS * http_trip + between(http, redis)
        first, first_p99 = measured.opening + subscribed, measured.opening_p99 + subscribed
        update, update_p99 = measured.update + behind, measured.update_p99 + behind
        print(
            f"  {name:<26}{connect:>10.0f}{first:>13.0f}{first_p99:>7.0f}{update:>8.0f}{update_p99:>7.0f}"
            f"{websocket:>11.0f}"
        )


def main() -> None:
    """Prints one table for each region of players."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--player", choices=REGIONS, help="one region of players only")
    parser.add_argument("--redis", choices=REGIONS, default="us-east", help="the region of Redis and of the authority")
    parser.add_argument("--loss", type=float, default=0.02, help="share of datagrams lost, each way (default: 0.02)")
    parser.add_argument("--runs", type=int, default=100, help="connections for each path")
    parser.add_argument("--updates", type=int, default=20, help="changes over each connection")
    options = parser.parse_args()
    players = [options.player] if options.player else [region for region in REGIONS if region != options.redis]
    for player in players:
        report(player, options.redis, options.loss, options.runs, options.updates)


if __name__ == "__main__":
    main()
