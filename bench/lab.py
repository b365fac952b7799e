"""A server in this process and its watchers in another, for the WebSocket benchmarks."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import subprocess
import sys
import time
from collections import deque
from functools import partial
from itertools import count
from typing import NamedTuple
from uuid import UUID, uuid4

from twisted.internet import reactor
from twisted.internet.task import deferLater

from craftnet.access.authorization import Authorization
from craftnet.access.development import key_source, random_secret, sign_token
from craftnet.access.jwt import JwtVerifier
from craftnet.access.principal import ADMIN
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import Revocations
from craftnet.admin.actions import OperatorActions
from craftnet.admin.feed import AdminFeed
from craftnet.admin.this_node import ThisNode
from craftnet.admin.tracing import Traces
from craftnet.admin.views import Views
from craftnet.clocks import moment, steady
from craftnet.contract.admin.overview import DashboardMode
from craftnet.contract.events import Event, SessionPause, SessionResume, SessionStart
from craftnet.contract.routes import BasePaths, FeedRoutes
from craftnet.feeds.hub import Hub
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.connection.sniffer import SnifferFactory
from craftnet.http.resource import Router, RouteTable
from craftnet.http.routes.site import IDLE_TIMEOUT
from craftnet.limits.connection_limits import Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.nodes.node_group import NodeGroup
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.feed.server.inspection import FeedConnectionTable
from craftnet.protocols.websocket.server.autobahn_base import configured
from craftnet.protocols.websocket.server.connection import FeedProtocol
from craftnet.protocols.websocket.server.factory import FeedFactory
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.server.gc_tuning import GcTuner

PLAYER = UUID(int=1)


class Lab(NamedTuple):
    """A server, and one watcher for each of its sessions.

    Attributes:
        opened: the server's ends of the connections, in the order of the sessions.
        watchers: the process of the watchers. It ends with its connections, and prints the result of `watch`.
        passers: the process with short-lived connections, or None; the caller kills it.
        administrator: the process that follows the admin feed, or None; it ends with its connection.
    """

    sources: Sources
    sessions: list[UUID]
    opened: list[FeedProtocol]
    watchers: subprocess.Popen[bytes]
    passers: subprocess.Popen[bytes] | None
    administrator: subprocess.Popen[bytes] | None


def event(data: SessionStart | SessionPause | SessionResume) -> Event:
    """An event of this moment."""
    now = time.time()
    return Event(uuid4(), now, now, data, data.session_id)


def pause_or_resume(session: UUID, number: int) -> Event:
    """A change that every watcher receives."""
    if number % 2:
        return event(SessionResume(session_id=session))
    return event(SessionPause(session_id=session, pause_reason="player_afk"))


def room_for(connections: int) -> None:
    """Raises the limit of open files of this process and its children."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (connections + 100, hard))


def administer(hub: Hub, sources: Sources, metrics: Metrics, monitor: Monitor, factory: FeedFactory) -> None:
    """Serves the admin feed, as the service does."""
    clock = steady(reactor)
    tables = [FeedConnectionTable(factory.connections.open)]
    node = ThisNode(
        *("bench", sources, hub, metrics, monitor, tables, clock),
        backend="memory",
        shared=True,
        version="bench",
        security=lambda _: [],
    )
    group = NodeGroup("bench", None, clock)
    views, traces = Views(node, group), Traces(node, group)
    enforcement = Enforcement(Revocations(), [], partial(moment, clock))
    actions = OperatorActions(node, group, enforcement, DashboardMode.ON, "bench")
    factory.subscriptions.admin = AdminFeed(views, traces, actions, clock)
    for service in (node, group, traces):
        service.startService()


async def lab(connections: int, passing: int = 0, *, administrators: bool = False) -> Lab:
    """Starts the server and its watchers.

    Arguments:
        connections: the number of watchers.
        passing: further connections per second, each closed after a second, once all watchers are connected.
        administrators: whether one client follows the admin feed, with every view and a trace.
    """
    room_for(connections + 2 * passing)
    secret = random_secret()
    GcTuner(steady(reactor)).startService()  # as the service does.
    metrics, backend = Metrics(), MemoryBackend(reactor, MemorySettings())
    sources = Sources.of(backend)
    monitor = Monitor({}, {}, reactor, version="bench")
    admission = Authorization(JwtVerifier(key_source(secret), reactor), sources.sessions, sources.queues)
    hub = Hub(sources, reactor, metrics)
    subscriptions = Subscriptions(admission, hub, HealthFeed(monitor, reactor, metrics))
    limits = Limits(connections=connections + 2 * passing + administrators, per_player=0, per_session=0)
    routes = FeedRoutes.ALL if administrators else FeedRoutes.PLAYERS
    factory = FeedFactory(FeedConnections(subscriptions, metrics, reactor, HandshakeGuard(limits)), routes=routes)
    if administrators:
        administer(hub, sources, metrics, monitor, factory)
    opened: list[FeedProtocol] = []

    class Protocol(FeedProtocol):
        def onOpen(self) -> None:
            super().onOpen()
            if len(opened) < connections:
                opened.append(self)

    factory.protocol = configured(Protocol, factory)
    port = reactor.listenTCP(0, sniffer(factory, metrics, limits), interface="127.0.0.1", backlog=1000)
    sessions = [uuid4() for _ in range(connections)]
    others = [uuid4() for _ in range(passing)]
    await sources.apply(
        [
            event(SessionStart(session_id=each, recipe_id=each, player_id=PLAYER, estimated_duration_seconds=3600))
            for each in (*sessions, *others)
        ]
    )
    token = sign_token(secret, PLAYER, (), 3600, time.time())
    number = port.getHost().port  # type: ignore[attr-defined]  # it is a TCP port.
    watchers = process("watch", number, token, sessions)
    while len(opened) < connections:
        if watchers.poll() is not None:
            raise SystemExit("the watchers ended while they connected")
        await deferLater(reactor, 0.1, lambda: None)
    administrator = None
    if administrators:
        admin_token = sign_token(secret, None, (ADMIN,), 3600, time.time())
        administrator = process("follow", number, admin_token, sessions[:1])
        await connected(factory, connections + 1, administrator)
    if not passing:
        port.stopListening()
        return Lab(sources, sessions, opened, watchers, None, administrator)
    return Lab(sources, sessions, opened, watchers, process("pass_by", number, token, others), administrator)


def sniffer(factory: FeedFactory, metrics: Metrics, limits: Limits) -> SnifferFactory:
    """Listens for WebSockets, and answers nothing else."""
    router = Router(RouteTable(BasePaths(), {}), metrics, reactor)
    routes = HttpSite(router, reactor, metrics, body_limit=0, idle=IDLE_TIMEOUT)
    return SnifferFactory(routes, factory, reactor, HalfOpenConnections(metrics, limits))


async def connected(factory: FeedFactory, number: int, client: subprocess.Popen[bytes]) -> None:
    """Wait until this many connections are open, the last of them another process's."""
    while len(factory.connections.open) < number:
        if client.poll() is not None:
            raise SystemExit("the client ended while it connected")
        await deferLater(reactor, 0.1, lambda: None)


def process(role: str, port: int, token: str, sessions: list[UUID]) -> subprocess.Popen[bytes]:
    """Runs a function of this module in another process."""
    command = [sys.executable, __file__, role, str(port)]
    made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert made.stdin is not None
    made.stdin.write("\n".join([token, *map(str, sessions)]).encode())
    made.stdin.close()
    return made


def connect(port: int, token: str, session: str) -> socket.socket:
    """A watcher of a session that has read its snapshot."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        f"GET /ws/crafting/{session}?player_id={PLAYER} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
        f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    octets = b""
    while b'"type"' not in octets:
        more = connection.recv(65536)
        if not more:
            raise SystemExit(f"the server hung up after {octets!r}")
        octets += more
    return connection


def follow(port: int, token: str, session: str) -> int:
    """Follow the admin feed with every view and a trace, until the server closes; return the bytes that came."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(
        "GET /ws/admin HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {token}\r\n\r\n".encode()
    )
    for request in (
        {"type": "subscribe", "id": "a", "view": "sessions"},
        {"type": "subscribe", "id": "b", "view": "slow-consumers"},
        {"type": "subscribe", "id": "c", "view": "session", "session_id": session},
        {"type": "subscribe", "id": "d", "view": "player", "player_id": session},
        {"type": "trace", "id": "e", "session_id": session},
    ):
        payload = json.dumps(request, separators=(",", ":")).encode()
        connection.sendall(bytes([0x81, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        time.sleep(0.3)  # slower than the server allows.
    received = 0
    while octets := connection.recv(65536):
        received += len(octets)
    return received


def pass_by(port: int, token: str, sessions: list[str]) -> None:
    """Watches each session for a second, again and again, spread over the second."""
    connections: deque[socket.socket] = deque()
    begin = time.monotonic()
    for number in count():
        time.sleep(max(0.0, begin + number / len(sessions) - time.monotonic()))
        if len(connections) >= len(sessions):
            connections.popleft().close()
        connections.append(connect(port, token, sessions[number % len(sessions)]))


def watch(port: int, token: str, sessions: list[str]) -> list[list[float]]:
    """Connect once for each session, in order, and read until the server closes.

    Returns:
        For each session, the times at which its messages were read, Unix seconds; the first is the snapshot.
    """
    selector = selectors.DefaultSelector()
    arrivals: list[list[float]] = [[] for _ in sessions]
    for index, session in enumerate(sessions):
        connection = connect(port, token, session)
        arrivals[index].append(time.time())
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ, (connection, arrivals[index]))
    while selector.get_map():
        for key, _ in selector.select():
            connection, times = key.data
            try:
                octets = connection.recv(65536)
            except ConnectionError:
                octets = b""
            now = time.time()
            times.extend([now] * octets.count(b'"type"'))
            if not octets:
                selector.unregister(connection)
                connection.close()
    return arrivals


def main() -> None:
    """The entry point of the other process."""
    token, *sessions = sys.stdin.read().split()
    room_for(len(sessions))
    if sys.argv[1] == "pass_by":
        pass_by(int(sys.argv[2]), token, sessions)
    elif sys.argv[1] == "follow":
        print(follow(int(sys.argv[2]), token, sessions[0]))
    else:
        json.dump(watch(int(sys.argv[2]), token, sessions), sys.stdout)


if __name__ == "__main__":
    main()
