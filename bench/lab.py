"""What the WebSocket benchmarks share: a server in this process, and another process that watches it."""

from __future__ import annotations

import json
import resource
import selectors
import socket
import subprocess
import sys
import time
from typing import NamedTuple
from uuid import UUID, uuid4

from twisted.internet import reactor
from twisted.internet.task import deferLater

from craftnet.access.admission import Admission
from craftnet.access.development import key_source, mint, random_secret
from craftnet.access.gate import Gate
from craftnet.access.limits import Limits
from craftnet.access.tokens import JwtAuthority
from craftnet.clocks import steady
from craftnet.collector import collect_seldom
from craftnet.events import Event, SessionPause, SessionResume, SessionStart
from craftnet.hub import Hub
from craftnet.observe.healthfeed import HealthFeed
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.protocols.websocket.connection import FeedProtocol
from craftnet.protocols.websocket.engine import configured
from craftnet.protocols.websocket.factory import FeedFactory
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.sources import Sources
from craftnet.subscriptions import Subscriptions

PLAYER = UUID(int=1)


class Lab(NamedTuple):
    """A server, and one watcher for each of its sessions.

    Attributes:
        opened: the server's ends of the connections, in the order of the sessions.
        watchers: the process that watches. It ends when the connections do, and then says what `watch` returns.
    """

    sources: Sources
    sessions: list[UUID]
    opened: list[FeedProtocol]
    watchers: subprocess.Popen[bytes]


def event(data: SessionStart | SessionPause | SessionResume) -> Event:
    """An event of this moment."""
    now = time.time()
    return Event(uuid4(), now, now, data, data.session_id)


def pause_or_resume(session: UUID, number: int) -> Event:
    """Something that every watcher must be told."""
    if number % 2:
        return event(SessionResume(session_id=session))
    return event(SessionPause(session_id=session, pause_reason="player_afk"))


def room_for(connections: int) -> None:
    """Let this process have so many, and its children too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < connections + 100:
        resource.setrlimit(resource.RLIMIT_NOFILE, (connections + 100, hard))


async def lab(connections: int) -> Lab:
    """Set everything up."""
    room_for(connections)
    collect_seldom()  # as the service does.
    secret = random_secret()
    steady(reactor)
    metrics, backend = Metrics(), MemoryBackend(reactor, MemorySettings())
    sources = Sources.of(backend)
    monitor = Monitor({}, {}, reactor, version="bench")
    admission = Admission(JwtAuthority(key_source(secret), reactor), sources.sessions, sources.queues)
    hub = Hub(sources, reactor, metrics)
    subscriptions = Subscriptions(admission, hub, HealthFeed(monitor, reactor, metrics))
    factory = FeedFactory(
        subscriptions, metrics, reactor, Gate(Limits(connections=connections, per_player=0, per_session=0))
    )
    opened: list[FeedProtocol] = []

    class Protocol(FeedProtocol):
        def onOpen(self) -> None:
            super().onOpen()
            opened.append(self)

    factory.protocol = configured(Protocol, factory)
    port = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=1000)
    sessions = [uuid4() for _ in range(connections)]
    await sources.apply(
        [
            event(SessionStart(session_id=each, recipe_id=each, player_id=PLAYER, estimated_duration_seconds=3600))
            for each in sessions
        ]
    )
    token = mint(secret, PLAYER, (), 3600, time.time())
    watchers = subprocess.Popen(
        [sys.executable, __file__, str(port.getHost().port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert watchers.stdin is not None
    watchers.stdin.write("\n".join([token, *map(str, sessions)]).encode())
    watchers.stdin.close()
    while len(opened) < connections:
        await deferLater(reactor, 0.1, lambda: None)
    port.stopListening()
    return Lab(sources, sessions, opened, watchers)


def watch(port: int, token: str, sessions: list[str]) -> list[list[float]]:
    """Connect once for each session, in order, and read until the server closes.

    Returns:
        For each session when each of its messages was read, Unix seconds; the first is the snapshot.
    """
    selector = selectors.DefaultSelector()
    arrivals: list[list[float]] = [[] for _ in sessions]
    for index, session in enumerate(sessions):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(
            f"GET /ws/crafting/{session}?player_id={PLAYER} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        octets = b""
        while b'"type"' not in octets:
            octets += connection.recv(65536)
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
    """The other process."""
    token, *sessions = sys.stdin.read().split()
    room_for(len(sessions))
    json.dump(watch(int(sys.argv[1]), token, sessions), sys.stdout)


if __name__ == "__main__":
    main()
