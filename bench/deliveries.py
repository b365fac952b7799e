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
from collections.abc import Callable, Sequence
from statistics import median
from typing import NamedTuple
from uuid import UUID, uuid4

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from craftnet.access.admission import Admission
from craftnet.access.development import key_source, mint, random_secret
from craftnet.access.gate import Gate
from craftnet.access.limits import Limits
from craftnet.access.tokens import JwtAuthority
from craftnet.events import Event, SessionPause, SessionResume, SessionStart
from craftnet.hub import Hub
from craftnet.messages import Status
from craftnet.model import Progress
from craftnet.observe.healthfeed import HealthFeed
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.protocols import frames
from craftnet.protocols.websocket import FeedFactory, FeedProtocol
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.sources import Sources
from craftnet.state import SessionState
from craftnet.subscriptions import Subscriptions
from craftnet.updates import Update, progress_update

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


class Way(NamedTuple):
    """One way of telling every watcher. `prepare` is not measured. Both get the number of the round."""

    name: str
    deliver: Callable[[int], None]
    prepare: Callable[[int], None] = lambda _: None


async def rounds(ways: Sequence[Way], count: int, deliveries: int) -> list[float]:
    """Measure the ways in turn, `count` times, so that whatever else the machine does disturbs all of them alike.

    Returns:
        µs of this process's CPU for one delivery, the median of the rounds, for each way. The pause after it is
        measured with it: what was only buffered is written then.
    """
    costs: list[list[float]] = [[] for _ in ways]
    for number in range(count):
        for way, measured in zip(ways, costs, strict=True):
            way.prepare(number)
            before = time.process_time()
            way.deliver(number)
            await deferLater(reactor, PAUSE, lambda: None)
            measured.append((time.process_time() - before) / deliveries * 1e6)
    return [median(measured) for measured in costs]


async def measure(watchers: int, count: int) -> None:
    """Set up, measure, print."""
    secret = random_secret()
    metrics, backend = Metrics(), MemoryBackend(reactor, MemorySettings())
    sources = Sources.of(backend)
    monitor = Monitor({}, {}, reactor, version="bench")
    admission = Admission(JwtAuthority(key_source(secret), reactor), sources.sessions, sources.queues)
    hub = Hub(sources, reactor, metrics)
    subscriptions = Subscriptions(admission, hub, HealthFeed(monitor, reactor, metrics))
    factory = FeedFactory(subscriptions, metrics, reactor, Gate(Limits(connections=watchers, per_player=0)))
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

    def make_updates(_: int) -> None:
        updates[:] = [progress_update(state, now, now) for state in states]

    def delivery(_: int) -> None:
        for protocol, update in zip(opened, updates, strict=True):
            protocol.deliver(update)

    def send_message(_: int) -> None:
        for protocol in opened:
            protocol.sendMessage(payload)

    def bare_send(_: int) -> None:
        for connection in sockets:
            connection.send(frame)

    now = reactor.seconds()
    states = [
        SessionState(session, PLAYER, 1, Progress(Status.ACTIVE, 10.0, now, 3600.0), session, now)
        for session in sessions
    ]
    updates: list[Update] = []
    (payload,) = progress_update(states[0], now, now).json
    frame = frames.text(payload)
    sockets = [protocol.transport.getHandle() for protocol in opened]
    ways = (
        Way("event applied → frame written", whole_path),
        Way("update encoded, framed, sent", delivery, make_updates),
        Way("Autobahn sendMessage alone", send_message),
        Way("bare socket.send (floor)", bare_send),
    )
    try:
        costs = await rounds(ways, count, watchers)
    finally:
        child.kill()
        child.wait()
        await port.stopListening()
    print(f"{watchers} watchers, {len(frame)} bytes each; medians of {count} rounds; CPU of the server process")
    for way, cost in zip(ways, costs, strict=True):
        print(f"  {way.name:32} {cost:6.1f} µs   {1e6 / cost:9,.0f}/s   {costs[-1] / cost:5.2f} of the floor's rate")


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
