"""Server CPU per UDP round trip, compared with a bare Twisted echo.

    python bench/udp_path.py

Four servers in one process on 127.0.0.1: a bare Twisted echo; an echo that opens and seals each datagram with AES-GCM;
and the UDP server with handshake, AEAD, replay window, acknowledgements and metrics, bound to one address and to all.
Each has its clients in a process of its own. A round trip is one datagram in and one out: an echo, or a state out and
its acknowledgement in. The figure is the server's CPU time per round trip. Server and clients take turns on one
processor, so that neither wakes another processor, which costs more than a datagram.

The speed of a shared machine changes from second to second, the echo's as well. So the servers run in many short turns,
one after the other, and the ratio to the echo is the median over the rounds of four turns. The ratio of the minima
compares the turns that other programs disturbed least.

Then 2,000 datagrams a second for 10 s: the time of a round trip at that rate, from the update to the end of handling
its acknowledgement, the clients' work included. Takes about 50 s.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from itertools import count, islice, product
from statistics import median
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import DatagramProtocol
from twisted.internet.task import LoopingCall, deferLater

from craftnet.clocks import steady
from craftnet.contract.http_bodies import UdpConnectRequest
from craftnet.contract.messages import Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.client.connection import ACK_DELAY, ClientConnection
from craftnet.protocols.udp.client.received_state import MaterialsChanged, ProgressChanged
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.server.datagram_protocol import UdpServer
from craftnet.protocols.udp.server.service import UdpService
from craftnet.protocols.wire import codec
from craftnet.protocols.wire.records import DatagramKind
from craftnet.runtime.addresses import HostPort
from craftnet.server.gc_tuning import collect_seldom

HOST = "127.0.0.1"
CLIENTS = 500
ROUND_TRIPS = 16 * CLIENTS
"""Round trips in a turn; 16 per client, few enough to stay below the pacing limit (5,000 bytes at once)."""

TURNS = 40
"""Measured turns of each server; one more comes before them, to fill the caches."""

IN_FLIGHT = 16
PACED = 10_000
"""Round trips at 1,000 a second, that is 2,000 datagrams a second."""

HEARTBEAT = 600.0
"""Seconds, longer than the run: nothing but states and acknowledgements is sent while times are taken."""

CIPHER, NONCE = AESGCM(bytes(16)), bytes(12)
NOTHING_HELD = codec.encode_held({})


class Echo(DatagramProtocol):
    """A bare echo: the floor."""

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Sends the datagram back."""
        self.transport.write(datagram, addr)


class SealedEcho(DatagramProtocol):
    """An echo with AES-GCM: the floor of an encrypted protocol."""

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Opens and seals the datagram, and sends it back."""
        header = datagram[:7]
        content = CIPHER.decrypt(NONCE, datagram[7:], header)
        self.transport.write(header + CIPHER.encrypt(NONCE, content, header), addr)


class Feeds:
    """Keeps the watchers, so that the benchmark acts as the hub."""

    def __init__(self) -> None:
        self.watchers: list[ISubscriber] = []

    def subscribe_session(
        self, session_id: UUID, watcher: ISubscriber, resume: object = None, expected: bool = False
    ) -> Deferred[None]:
        """Keeps the watcher."""
        self.watchers.append(watcher)
        return succeed(None)

    def unsubscribe_session(self, session_id: UUID, watcher: ISubscriber) -> None:
        """Does nothing."""


def state(percent: float) -> Update:
    """A session's progress."""
    session = UUID(int=1)
    return Update(SessionState(session, session, 1, Progress(Status.ACTIVE, percent, 1.8e9, 60.0)), ())


class Turn:
    """One turn of the UDP server: each acknowledgement triggers the next state."""

    def __init__(self, feeds: Feeds, server: UdpServer, number: int) -> None:
        self._server = server
        self._receive = server.datagramReceived
        delivers = [watcher.deliver for watcher in feeds.watchers]
        # None is the same function of time as the one before it, so each is sent.
        updates = [state((number % 2 * 16 + each) / 2) for each in range(ROUND_TRIPS // CLIENTS)]
        self._deliveries = product(updates, delivers)
        self._left = IN_FLIGHT
        self.done: Deferred[None] = Deferred()

    def begin(self) -> None:
        """Sends the first states."""
        self._server.datagramReceived = self._received
        for update, deliver in islice(self._deliveries, IN_FLIGHT):
            deliver(update)

    def _received(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """Handles a datagram as the service does, then sends the next state to the next client."""
        self._receive(datagram, addr)
        for update, deliver in self._deliveries:
            deliver(update)
            return
        self._left -= 1  # of the last acknowledgements.
        if not self._left:
            self._server.datagramReceived = self._receive
            self.done.callback(None)


class EchoServer:
    """An echo and its client."""

    def __init__(self, protocol: DatagramProtocol) -> None:
        self._protocol = protocol

    async def start(self) -> None:
        """Opens the socket and starts the client."""
        self._port = reactor.listenUDP(0, self._protocol, interface=HOST)  # type: ignore[attr-defined]  # the installed one has it.
        self._client = _clients("echo", self._port.getHost().port)
        await _line(self._client, "ready")

    async def turn(self) -> float:
        """Server microseconds per round trip."""
        began = time.process_time()
        _say(self._client)
        await _line(self._client, "done")
        return (time.process_time() - began) / ROUND_TRIPS * 1e6

    async def stop(self) -> None:
        """Ends the client and closes the socket."""
        self._client.stdin.close()
        self._client.wait()
        await self._port.stopListening()


class PathServer:
    """The whole UDP path and its clients.

    Arguments:
        host: the address to listen on; "" for all.
    """

    def __init__(self, host: str) -> None:
        self._feeds, self._turns = Feeds(), count()
        self._gateway = UdpService(
            HostPort(host, 0),
            None,
            self._feeds,
            Metrics(),
            reactor,
            heartbeat_ms=int(HEARTBEAT * 1000),
            full_sync=HEARTBEAT * 2,
        )

    async def start(self) -> None:
        """Opens the socket and connects the clients."""
        gateway = self._gateway
        gateway.privilegedStartService()
        gateway.startService()
        self._clients = _clients("players", int(gateway.address.rpartition(":")[2]))
        now = reactor.seconds()
        for number in range(CLIENTS):
            request = UdpConnectRequest(player_id=UUID(int=number + 1), client_version="1.0.0")
            response = gateway.connect(UUID(int=1), UUID(int=number + 1), request, now + 600, now)
            self._clients.stdin.write(response.session_token.encode() + b"\n")
        self._clients.stdin.flush()
        await _line(self._clients, "ready")
        assert len(self._feeds.watchers) == CLIENTS

    async def turn(self) -> float:
        """Server microseconds per round trip."""
        turn = Turn(self._feeds, self._gateway.server, next(self._turns))
        began = time.process_time()
        turn.begin()
        await turn.done
        return (time.process_time() - began) / ROUND_TRIPS * 1e6

    async def paced(self) -> list[float]:
        """The seconds of each round trip at an even rate, in order of length; after all turns."""
        await deferLater(reactor, 1.0)
        return sorted(await _at_an_even_pace(self._gateway, self._feeds))

    async def stop(self) -> None:
        """Ends the clients and closes the socket."""
        self._clients.stdin.close()
        self._clients.kill()
        self._clients.wait()
        await self._gateway.stopService()


async def _at_an_even_pace(gateway: UdpService, feeds: Feeds) -> list[float]:
    """The seconds of each round trip."""
    server = gateway.server
    receive, begun, taken, numbers = server.datagramReceived, {}, [], count()

    def timed(datagram: bytes, addr: tuple[str, int]) -> None:
        receive(datagram, addr)
        began = begun.pop(datagram[1:5], None)
        if began is not None:
            taken.append(time.perf_counter() - began)

    def pace() -> None:
        for number in islice(numbers, 2):  # the reactor has no finer clock.
            watcher = feeds.watchers[number % CLIENTS]
            begun[watcher._peer.connection_id.to_bytes(4, "big")] = time.perf_counter()  # type: ignore[attr-defined]  # the server's own subscriber.
            watcher.deliver(state(50 + number // CLIENTS))

    server.datagramReceived = timed
    pacing = LoopingCall(pace)
    pacing.start(0.002)
    await deferLater(reactor, PACED / 1000)
    pacing.stop()
    await deferLater(reactor, 0.2)
    return taken


def _clients(role: str, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, __file__, role, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _say(clients: subprocess.Popen[bytes]) -> None:
    clients.stdin.write(b"go\n")
    clients.stdin.flush()


def _line(clients: subprocess.Popen[bytes], expected: str) -> Deferred[None]:
    """Fires when the clients print `expected`."""
    from twisted.internet.threads import deferToThread

    def check(line: bytes) -> None:
        if line.strip() != expected.encode():
            raise SystemExit(f"the clients said {line!r}")

    return deferToThread(clients.stdout.readline).addCallback(check)


def echo_client(port: int) -> None:
    """Keeps the echo busy for a turn after each line of standard input."""
    line = _socket(port)
    print("ready", flush=True)
    datagram = bytes(7) + CIPHER.encrypt(NONCE, bytes(32), bytes(7))
    for _ in sys.stdin:
        for _ in range(IN_FLIGHT):
            line.send(datagram)
        for _ in range(ROUND_TRIPS - IN_FLIGHT):
            line.recv(2048)
            line.send(datagram)
        for _ in range(IN_FLIGHT):
            line.recv(2048)
        print("done", flush=True)


def players(port: int) -> None:
    """Connects all clients over one socket, then acknowledges each state at once.

    The states of the turns are only opened and acknowledged. Those at an even rate are applied as by a client.
    """
    line = _socket(port)
    by_id: dict[bytes, ClientConnection] = {}
    for _ in range(CLIENTS):
        token = SessionToken.parse(sys.stdin.readline().strip())
        client_connection = ClientConnection(token, {0: UUID(int=1)}, heartbeat=HEARTBEAT)
        by_id[token.connection_id.to_bytes(4, "big")] = client_connection
        for datagram in client_connection.start(time.time()).datagrams:
            line.send(datagram)
        for _ in range(3):  # CHALLENGE, the first heartbeat, and the answer to ours.
            for datagram in client_connection.receive(line.recv(2048), time.time()).datagrams:
                line.send(datagram)
    print("ready", flush=True)
    channels = {name: client_connection.channel for name, client_connection in by_id.items()}
    for _ in range((1 + TURNS) * ROUND_TRIPS):
        datagram = line.recv(2048)
        channel = channels[datagram[1:5]]
        channel.open(datagram)
        line.send(channel.seal(DatagramKind.ACK, NOTHING_HELD))
    while True:
        datagram = line.recv(2048)
        client_connection, now = by_id[datagram[1:5]], time.time()
        output = client_connection.receive(datagram, now)
        if any(isinstance(event, ProgressChanged | MaterialsChanged) for event in output.events):
            for acknowledgement in client_connection.tick(now + ACK_DELAY).datagrams:
                line.send(acknowledgement)


def _socket(port: int) -> socket.socket:
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    line.connect((HOST, port))
    return line


async def main() -> None:
    """Measures and prints."""
    steady(reactor)
    names = ("bare Twisted echo", "… that opens and seals", "the whole UDP path", "… on every address")
    path = PathServer(HOST)
    servers = (EchoServer(Echo()), EchoServer(SealedEcho()), path, PathServer(""))
    try:
        for server in servers:
            await server.start()
        rounds = [[await server.turn() for server in servers] for _ in range(1 + TURNS)][1:]
        taken = await path.paced()
        for server in servers:
            await server.stop()
    finally:
        reactor.stop()
    print(f"{TURNS} turns of {ROUND_TRIPS} round trips each, {IN_FLIGHT} in flight; the server's CPU time; medians")
    floor = min(costs[0] for costs in rounds)
    for name, costs in zip(names, zip(*rounds, strict=True), strict=True):
        middle, least = median(costs), min(costs)
        ratio = median(costs[0] / cost for costs, cost in zip(rounds, costs, strict=True))
        print(
            f"{name:24}{middle:6.1f} µs per round trip{1e6 / middle:10,.0f} round trips/s{ratio:8.3f} of the echo"
            f"{least:8.1f} µs at least{floor / least:8.3f} of the echo's least"
        )
    at = {share: taken[int(len(taken) * share)] * 1000 for share in (0.5, 0.99)}
    print(f"{len(taken)} round trips at 2,000 datagrams/s: p50 {at[0.5]:.2f} ms, p99 {at[0.99]:.2f} ms")


if __name__ == "__main__":
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    os.sched_setscheduler(
        0, os.SCHED_BATCH, os.sched_param(0)
    )  # a running process continues until it has nothing left to do.
    collect_seldom()  # as the service does.
    if len(sys.argv) > 1:
        {"echo": echo_client, "players": players}[sys.argv[1]](int(sys.argv[2]))
    else:
        reactor.callWhenRunning(lambda: Deferred.fromCoroutine(main()).addErrback(print))
        reactor.callLater(300, lambda: sys.exit("took too long"))
        reactor.run()
