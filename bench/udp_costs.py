"""Cost of the UDP path without sockets: a state sent to a client, and its acknowledgement received.

    python bench/udp_costs.py [--profile]

One dispatcher with 500 connections; the clients' work is not counted. Each figure is the minimum of all rounds, which
other programs affect least, in microseconds of CPU time. *Rate by delay*: with --udp-congestion delay.
"""

from __future__ import annotations

import cProfile
import os
import pstats
import sys
from collections.abc import Callable, Iterable
from itertools import repeat
from time import process_time
from typing import TypeVar
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.protocols.udp.client.connection import ACK_DELAY, ClientConnection
from craftnet.protocols.udp.core.delay_pacing import Congestion
from craftnet.protocols.udp.core.negotiation import PATH_SIZE, agree
from craftnet.protocols.udp.server.connection import Send, ServerConnection, Terms
from craftnet.protocols.udp.server.dispatcher import ConnectionOpened, Dispatcher
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.server.gc_tuning import collect_seldom

PEERS = 500
ROUNDS = 40
HEARTBEAT = 1000.0
NOW = 1.8e9
SESSION, PLAYER = UUID(int=1), UUID(int=2)
AGREEMENT = agree(["lz4"], 4096, PATH_SIZE)  # the agreement with a client's default request.
CLIENT = ("192.0.2.1", 4000)

Result = TypeVar("Result")


class Costs:
    """The minimum of each step."""

    def __init__(self, profile: cProfile.Profile | None) -> None:
        self._least: dict[str, float] = {}
        self._profile = profile

    def of(self, step: str, work: Callable[..., Result], *arguments: Iterable[object]) -> list[Result]:
        """Does the work for all arguments, as `map` does, and notes the time per argument."""
        calls = list(zip(*arguments, strict=False))
        if self._profile is not None:
            self._profile.enable()
        began = process_time()
        results = [work(*call) for call in calls]
        took = (process_time() - began) / len(calls) * 1e6
        if self._profile is not None:
            self._profile.disable()
        self._least[step] = min(took, self._least.get(step, took))
        return results

    def print(self) -> None:
        """Prints all figures."""
        for step, took in self._least.items():
            print(f"{step:44}{took:8.2f} µs")


def connect(endpoint: Dispatcher, tickets: TicketStore, now: float) -> tuple[ClientConnection, ServerConnection]:
    """Connects a client."""
    ticket = tickets.issue(SESSION, PLAYER, AGREEMENT, now + 3600, now)
    client = ClientConnection(ticket.token, {0: SESSION}, heartbeat=HEARTBEAT)
    peers: list[ServerConnection] = []
    waiting = client.start(now).datagrams
    while waiting:
        for effect in endpoint.receive(waiting.pop(0), CLIENT, now):
            if isinstance(effect, ConnectionOpened):
                peers.append(effect.peer)
            elif isinstance(effect, Send):
                waiting += client.receive(effect.datagram, now).datagrams
    return client, peers[0]


def measure(costs: Costs, congestion: Congestion, suffix: str = "") -> None:
    """Measures a server; the suffix is that of its steps."""
    tickets = TicketStore(os.urandom, per_player=PEERS)
    terms = Terms(HEARTBEAT, HEARTBEAT, congestion=congestion)
    endpoint = Dispatcher(tickets, secret=bytes(32), random=os.urandom, terms=terms, count=lambda outcome: None)
    clients, peers = zip(*(connect(endpoint, tickets, NOW) for _ in range(PEERS)), strict=True)
    aead, nonces = AESGCM(bytes(16)), [bytes(12)] * PEERS
    for number in range(ROUNDS):
        now = NOW + number
        state = SessionState(SESSION, PLAYER, number, Progress(Status.ACTIVE, number / 2, NOW, 60.0))
        step = f"state update: a datagram out{suffix}"
        nothing = repeat(None)  # no position.
        if number:
            sent = costs.of(step, endpoint.update_progress, peers, repeat(state), repeat(now), repeat(0), nothing)
        else:  # the first state of a connection is none that `update_progress` sends.
            firsts = [endpoint.update(peer, state, now) for peer in peers]
            sent = [effect.datagram for (effect,) in firsts if isinstance(effect, Send)]
        answers = []
        for client, datagram in zip(clients, sent, strict=True):
            assert datagram
            client.receive(datagram, now)
            answers += client.tick(now + ACK_DELAY).datagrams
        assert len(answers) == PEERS
        later = repeat(now + ACK_DELAY)
        costs.of(f"acknowledgement: a datagram in{suffix}", endpoint.receive, answers, repeat(CLIENT), later)
        sealed = costs.of("AES-GCM alone: seal", aead.encrypt, nonces, repeat(bytes(29)), repeat(b"header "))
        costs.of("AES-GCM alone: open", aead.decrypt, nonces, sealed, repeat(b"header "))


def main() -> None:
    """Measure and print."""
    collect_seldom()  # as the service does.
    profile = cProfile.Profile() if "--profile" in sys.argv else None
    costs = Costs(profile)
    measure(costs, Congestion.LOSS)
    measure(costs, Congestion.DELAY, ", rate by delay")
    costs.print()
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


if __name__ == "__main__":
    main()
