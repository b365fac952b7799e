"""Cost of one event from the authority's JSON to the frame for one watcher, without HTTP and system calls.

Each event of the NDJSON bodies changes one session with one WebSocket, whose transport discards the bytes. Each stage
adds one step to the stage before, so that the differences are the costs of the steps. The stages are measured in turn,
in short rounds. Figures are CPU time: the median of the rounds, and the minimum, which other programs affect least.

    python bench/event_to_frame.py --sessions 1000 --events 100 --rounds 100
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from craftnet.access.authorization import Authorization
from craftnet.access.principal import ADMIN, Principal
from craftnet.clocks import IClock, moment
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import rfc3339
from craftnet.crafting.updates import Update
from craftnet.feeds.hub import Hub
from craftnet.feeds.ingest import Ingest
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.request_head import parse_head
from craftnet.interfaces import ISubscriber, ITokenVerifier
from craftnet.limits.connection_limits import Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.websocket.core.encodings import encoding
from craftnet.protocols.websocket.server.factory import FeedFactory
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources

START = 1_800_000_000.0
PERIOD = 1.0
"""Seconds between two events of a session."""

_json = encoding(None)


@implementer(IClock)
class StandingClock(Clock):
    """Both clocks, which agree and advance only by the benchmark."""

    def wall(self) -> float:
        """As in `IClock`."""
        return self.rightNow


@implementer(ITokenVerifier)
class AdminForAll:
    """Accepts every token as an administrator's."""

    def authenticate(self, token: str) -> Deferred[Principal]:
        """As in `ITokenVerifier`."""
        answered: Deferred[Principal] = Deferred()
        answered.callback(Principal(None, frozenset({ADMIN}), START * 2))
        return answered


@implementer(ISubscriber)
class IdleWatcher:
    """Watches, and ignores its updates."""

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""

    def ended(self, code: CloseCode) -> None:
        """As in `ISubscriber`."""


class Encoder(IdleWatcher):
    """Encodes each update as a frame and drops it."""

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        update.encoded(_json)


class Sink(StringTransport):
    """A transport that discards everything."""

    written = 0

    def write(self, data: bytes) -> None:
        """As in `ITransport`."""
        self.written += 1


class Stage:
    """A service whose sessions have one watcher each, or none.

    Attributes:
        sinks: the transports of the watchers that are WebSockets.
    """

    def __init__(self, sessions: int, watch: Callable[[Stage, UUID], None] | None) -> None:
        self.clock = StandingClock()
        self.clock.advance(START)
        self.metrics = Metrics()
        self.sources = Sources.of(MemoryBackend(self.clock, MemorySettings()))
        self.hub = Hub(self.sources, self.clock, self.metrics)
        self.ingest = Ingest(self.sources, self.metrics)
        monitor = Monitor({}, {}, self.clock, version="bench")
        admission = Authorization(AdminForAll(), self.sources.sessions, self.sources.queues)
        connections = FeedConnections(
            Subscriptions(admission, self.hub, HealthFeed(monitor, self.clock, self.metrics)),
            self.metrics,
            self.clock,
            HandshakeGuard(Limits(connections=0, per_player=0, per_session=0)),
        )
        self.factory = FeedFactory(connections)
        self.sinks: list[Sink] = []
        self.sessions = [uuid4() for _ in range(sessions)]
        self.publish(b"\n".join(start(session, self.clock.wall()) for session in self.sessions))
        for session in self.sessions:
            if watch is not None:
                watch(self, session)

    def publish(self, body: bytes) -> None:
        """Publishes a body of events."""
        published = Deferred.fromCoroutine(self.ingest.publish(body, newline_delimited=True, now=moment(self.clock)))
        published.addErrback(lambda failure: failure.raiseException())

    def bodies(self, number: int, size: int) -> Iterator[bytes]:
        """Bodies of progress that every watcher receives, one event per session."""
        events = [progress(session, number, self.clock.wall()) for session in self.sessions]
        for index in range(0, len(events), size):
            yield b"\n".join(events[index : index + size])


def watch_by(kind: type[IdleWatcher]) -> Callable[[Stage, UUID], None]:
    """Subscribes a watcher of this kind to each session."""

    def watch(stage: Stage, session: UUID) -> None:
        stage.hub.subscribe_session(session, kind())

    return watch


def watch_by_websocket(stage: Stage, session: UUID) -> None:
    """Opens a real WebSocket by its handshake."""
    sink = Sink(peerAddress=IPv4Address("TCP", "127.0.0.1", 4711))
    protocol = stage.factory.buildProtocol(sink.getPeer())
    assert protocol is not None
    protocol.makeConnection(sink)
    head = parse_head(
        f"GET /ws/crafting/{session}?player_id={session} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Authorization: Bearer x".encode()
    )
    protocol.handshake(head)
    assert stage.hub.session_subscribers(session), "no subscription followed the handshake"
    sink.written = 0
    stage.sinks.append(sink)


def envelope(event_type: str, data: dict[str, object], at: float) -> bytes:
    """One event as JSON."""
    event = {"event_id": uuid4(), "event_type": event_type, "timestamp": rfc3339(at), "version": "1.0.0"}
    return msgspec.json.encode({**event, "source": "crafting.session", "data": data})


def start(session: UUID, at: float) -> bytes:
    """A session's start."""
    data = {"session_id": session, "recipe_id": session, "player_id": session, "estimated_duration_seconds": 3600}
    return envelope("crafting.session.start", data, at)


def progress(session: UUID, number: int, at: float) -> bytes:
    """A session's progress, which differs from the previous one by more than any tolerance."""
    percent, remaining = (12.5, 3000.0) if number % 2 else (42.0, 2000.0)
    data = {"session_id": session, "progress_percentage": percent, "status": "active"}
    return envelope("crafting.session.progress", {**data, "remaining_time_seconds": remaining}, at)


class Way(NamedTuple):
    """A stage and the function to measure."""

    name: str
    stage: Stage
    run: Callable[[Stage, bytes], object]


def calls(run: Callable[[], object]) -> int:
    """The number of Python functions that it calls."""
    count = 0

    def profile(_: object, what: str, __: object) -> None:
        nonlocal count
        count += what == "call"

    sys.setprofile(profile)
    try:
        run()
    finally:
        sys.setprofile(None)
    return count


def measure(ways: list[Way], rounds: int, size: int) -> tuple[list[list[float]], list[float]]:
    """µs of CPU in each round, and calls of Python functions, for one event; for each way."""
    costs: list[list[float]] = [[] for _ in ways]
    for number in range(rounds):
        for way, measured in zip(ways, costs, strict=True):
            way.stage.clock.advance(PERIOD)
            bodies = list(way.stage.bodies(number, size))
            before = time.process_time()
            for body in bodies:
                way.run(way.stage, body)
            measured.append((time.process_time() - before) / len(way.stage.sessions) * 1e6)
    counted = []
    for way in ways:
        way.stage.clock.advance(PERIOD)
        (body, *_) = way.stage.bodies(rounds, size)
        counted.append(calls(lambda way=way, body=body: way.run(way.stage, body)) / size)  # type: ignore[misc]
    return costs, counted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--events", type=int, default=100, help="events in a body")
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()

    def read(stage: Stage, body: bytes) -> object:
        return stage.ingest.read(body, newline_delimited=True, now=moment(stage.clock))

    publish = Stage.publish
    ways = [
        Way("JSON decoded by msgspec, untyped (floor)", Stage(arguments.sessions, None), lambda _, body: floor(body)),
        Way("events read", Stage(arguments.sessions, None), read),
        Way("… and applied, without watchers", Stage(arguments.sessions, None), publish),
        Way("… with a feed that makes updates", Stage(arguments.sessions, watch_by(IdleWatcher)), publish),
        Way("… and frames of them", Stage(arguments.sessions, watch_by(Encoder)), publish),
        Way("… and a WebSocket: event → frame", Stage(arguments.sessions, watch_by_websocket), publish),
    ]
    gc.collect()
    gc.freeze()
    costs, counted = measure(ways, arguments.rounds, arguments.events)
    assert {sink.written for sink in ways[-1].stage.sinks} <= {arguments.rounds, arguments.rounds + 1}
    print(f"{arguments.sessions} sessions, {arguments.events} events in a body; {arguments.rounds} rounds")
    print(f"  {'for one event':42}{'median':>8}{'least':>8}{'step':>7} µs{'calls':>8}{'step':>7}")
    before = before_calls = 0.0
    for way, measured, number in zip(ways, costs, counted, strict=True):
        least = min(measured)
        steps = f"{least - before:7.1f}   {number:8.1f}{number - before_calls:7.1f}"
        print(f"  {way.name:42}{median(measured):8.1f}{least:8.1f}{steps}")
        before, before_calls = least, number


def floor(body: bytes) -> None:
    """Decodes every line."""
    for line in body.splitlines():
        msgspec.json.decode(line)


if __name__ == "__main__":
    main()
