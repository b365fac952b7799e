"""Deliveries per second of server CPU: event applied → frame written, against the floor of a bare socket.send loop.

Every watcher watches a session of its own, so that nothing is encoded once for many. A second process connects and
throws away what it reads. All on 127.0.0.1; ends by itself.

    python bench/deliveries.py --watchers 1000 --rounds 30
"""

from __future__ import annotations

import argparse
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from uuid import UUID, uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from craftnet.access.admission import Admission
from craftnet.access.development import key_source, mint, random_secret
from craftnet.access.tokens import JwtAuthority
from craftnet.events import Event, SessionPause, SessionResume, SessionStart
from craftnet.hub import Hub
from craftnet.observe.healthfeed import HealthFeed
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.protocols.websocket import FeedFactory, FeedProtocol
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.sources import Sources
from craftnet.subscriptions import Subscriptions

PLAYER = UUID(int=1)
PAUSE = 0.2
"""Seconds between rounds, for the other process to read."""


def drain(port: int, token: str, sessions: list[str]) -> None:
    """Connect once for each session, and read until the server closes."""
    selector = selectors.DefaultSelector()
    for session in sessions:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(
            f"GET /ws/crafting/{session}?player_id={PLAYER} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        connection.setblocking(False)
        selector.register(connection, selectors.EVENT_READ)
    while selector.get_map():
        for key, _ in selector.select():
            if not key.fileobj.recv(65536):  # type: ignore[union-attr]  # it is a socket.
                selector.unregister(key.fileobj)


def event(data: SessionStart | SessionPause | SessionResume) -> Event:
    """An event of this moment."""
    now = time.time()
    return Event(uuid4(), now, now, data, data.session_id)


def pause_or_resume(session: UUID, number: int) -> Event:
    """Something that every watcher must be told."""
    if number % 2:
        return event(SessionResume(session_id=session))
    return event(SessionPause(session_id=session, pause_reason="player_afk"))


async def rounds(count: int, deliver: Callable[[int], None], deliveries: int) -> float:
    """Run `deliver` `count` times; answers µs of this process's CPU for one delivery, the median of the rounds."""
    costs = []
    for number in range(count):
        before = time.process_time()
        deliver(number)
        costs.append((time.process_time() - before) / deliveries * 1e6)
        await deferLater(reactor, PAUSE, lambda: None)
    return sorted(costs)[len(costs) // 2]


async def measure(watchers: int, count: int) -> None:
    """Set up, measure the three ways, print."""
    secret = random_secret()
    metrics, backend = Metrics(), MemoryBackend(reactor, MemorySettings())
    sources = Sources.of(backend)
    monitor = Monitor({}, {}, reactor, version="bench")
    admission = Admission(JwtAuthority(key_source(secret), reactor), sources.sessions, sources.queues)
    hub = Hub(sources, reactor, metrics)
    subscriptions = Subscriptions(admission, hub, HealthFeed(monitor, reactor, metrics))
    factory = FeedFactory(subscriptions, metrics, reactor, max_connections=watchers)
    opened: list[FeedProtocol] = []

    class Protocol(FeedProtocol):
        def onOpen(self) -> None:
            super().onOpen()
            opened.append(self)

    factory.protocol = Protocol
    port = reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=watchers)
    sessions = [uuid4() for _ in range(watchers)]
    await sources.apply(
        [
            event(SessionStart(session_id=each, recipe_id=each, player_id=PLAYER, estimated_duration_seconds=3600))
            for each in sessions
        ]
    )
    token = mint(secret, PLAYER, (), 3600, time.time())
    child = subprocess.Popen([sys.executable, __file__, "--drain", str(port.getHost().port)], stdin=subprocess.PIPE)
    assert child.stdin is not None
    child.stdin.write("\n".join([token, *map(str, sessions)]).encode())
    child.stdin.close()
    while len(opened) < watchers:
        await deferLater(reactor, 0.1, lambda: None)

    def whole_path(number: int) -> None:
        Deferred.fromCoroutine(sources.apply([pause_or_resume(session, number) for session in sessions]))

    def send_message(_: int) -> None:
        for protocol in opened:
            protocol.sendMessage(payload)

    def bare_send(_: int) -> None:
        for connection in sockets:
            connection.send(frame)

    try:
        whole = await rounds(count, whole_path, watchers)
        payload = b"x" * 300  # as long as a progress message
        frame = b"\x81\x7e" + len(payload).to_bytes(2, "big") + payload
        sockets = [protocol.transport.getHandle() for protocol in opened]
        library = await rounds(count, send_message, watchers)
        floor = await rounds(count, bare_send, watchers)
    finally:
        child.kill()
        child.wait()
        await port.stopListening()
    print(f"{watchers} watchers, an update each; medians of {count} rounds; CPU of the server process")
    for name, cost in (
        ("event applied → frame written", whole),
        ("Autobahn sendMessage alone", library),
        ("bare socket.send (floor)", floor),
    ):
        print(f"  {name:32} {cost:6.1f} µs   {1e6 / cost:9,.0f}/s   {floor / cost:5.2f} of the floor's rate")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--drain", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.drain is not None:
        token, *sessions = sys.stdin.read().split()
        drain(arguments.drain, token, sessions)
    else:
        react(lambda _: Deferred.fromCoroutine(measure(arguments.watchers, arguments.rounds)))


if __name__ == "__main__":
    main()
