"""WebSocket connections per second of server CPU: a token checked with RS256 and a feed joined, against a bare Autobahn
handshake.

The server runs in this process; another process connects, waits for the answer and closes, several connections at a
time. The variants alternate, so that other work on the machine affects all of them. The RS256 check alone is measured,
too; with --redis, also the query for the session and for the player's connections on other nodes.

    python bench/connects.py --connections 1000 --rounds 5 --redis
"""

from __future__ import annotations

import argparse
import selectors
import socket
import subprocess
import sys
import time
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import jwt
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from redis_floor import redis_server
from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater, react

from craftnet.access.authorization import Authorization
from craftnet.access.jwt import JwtVerifier
from craftnet.access.revocation.enforcement import Enforcement, RevocationCheckingVerifier
from craftnet.access.revocation.revocations import Revocations
from craftnet.access.verification_keys import SingleKey, key_from_pem
from craftnet.clocks import moment, steady
from craftnet.contract.events import Event, SessionStart
from craftnet.contract.routes import BasePaths
from craftnet.crafting.progress import Tolerance
from craftnet.feeds.hub import Hub
from craftnet.feeds.ingest import Ingest
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.sniffer import SnifferFactory
from craftnet.http.routes.site import site
from craftnet.interfaces import IBackend, ISharedConnectionSlots
from craftnet.limits.connection_limits import Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.websocket.server.factory import FeedFactory
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.server.gc_tuning import GcTuner

if TYPE_CHECKING:
    from craftnet.providers.redis.backend import RedisBackend

PLAYER, SESSION = UUID(int=1), UUID(int=2)
AT_ONCE = 50
"""Concurrent handshakes."""

REQUEST = (
    f"GET /ws/crafting/{SESSION}?player_id={PLAYER} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    "Authorization: Bearer {token}\r\n\r\n"
)


def handshake(port: int, token: str, number: int) -> None:
    """Connects that often, and waits each time for the 101 answer."""
    request, selector = REQUEST.replace("{token}", token).encode(), selectors.DefaultSelector()
    begun = 0
    while begun < number or selector.get_map():
        while begun < number and len(selector.get_map()) < AT_ONCE:
            connection = socket.create_connection(("127.0.0.1", port))
            connection.sendall(request)
            selector.register(connection, selectors.EVENT_READ)
            begun += 1
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            if not key.fileobj.recv(65536).startswith(b"HTTP/1.1 101 "):
                raise SystemExit("a handshake was refused")
            selector.unregister(key.fileobj)
            key.fileobj.close()


def bare() -> Factory:
    """A bare Autobahn factory."""
    factory = WebSocketServerFactory()
    factory.protocol = WebSocketServerProtocol
    return factory


async def craftnet(pem: bytes, backend: IBackend, slots: ISharedConnectionSlots | None = None) -> Factory:
    """Everything behind craftnet's port, with one session; with `slots`, the player's connections are counted."""
    metrics = Metrics()
    sources = Sources.of(backend)
    steady(reactor)
    monitor = Monitor({}, {}, reactor, version="bench")
    revocations = Revocations()
    authority = RevocationCheckingVerifier(JwtVerifier(SingleKey(key_from_pem(pem)), reactor), revocations)
    admission = Authorization(authority, sources.sessions, sources.queues)
    subscriptions = Subscriptions(admission, Hub(sources, reactor, metrics), HealthFeed(monitor, reactor, metrics))
    limits = Limits(per_player=0 if slots is None else 1_000_000, per_session=0)
    feeds = FeedConnections(subscriptions, metrics, reactor, HandshakeGuard(limits, shared=slots))
    now = time.time()
    start = SessionStart(session_id=SESSION, recipe_id=SESSION, player_id=PLAYER, estimated_duration_seconds=3600)
    await sources.apply([Event(uuid4(), now, now, start, SESSION)])
    routes = site(
        admission=admission,
        sources=sources,
        ingest=Ingest(sources, metrics),
        subscriptions=subscriptions,
        guard=feeds.gate,
        enforcement=Enforcement(revocations, [feeds.enforce], partial(moment, reactor)),
        gateway=None,
        monitor=monitor,
        metrics=metrics,
        clock=reactor,
        protocols=(),
        tolerance=Tolerance(),
        bases=BasePaths(),
    )
    return SnifferFactory(routes, FeedFactory(feeds), reactor, HalfOpenConnections(metrics, limits))


async def cost(port: int, token: str, number: int) -> float:
    """µs of this process's CPU for one connection, from its acceptance to its end."""
    arguments = [sys.executable, __file__, "--handshake", str(port), "--connections", str(number)]
    child = subprocess.Popen(arguments, stdin=subprocess.PIPE)
    assert child.stdin is not None
    before = time.process_time()
    child.stdin.write(token.encode())
    child.stdin.close()
    while child.poll() is None:
        await deferLater(reactor, 0.02, lambda: None)
    if child.returncode:
        raise SystemExit(child.returncode)
    await deferLater(reactor, 0.1, lambda: None)
    return (time.process_time() - before) / number * 1e6


async def redis_backend(port: int) -> RedisBackend:
    """A running back end that has its lease."""
    # Importing its client installs a reactor.
    from craftnet.providers.redis.backend import RedisBackend
    from craftnet.providers.redis.settings import RedisSettings

    steady(reactor)
    backend = RedisBackend(reactor, RedisSettings(port=port), None)
    backend.service.startService()
    await backend.connection_slots.renew()
    return backend


async def measure(number: int, rounds: int, redis: int | None) -> None:
    """Measures the variants in turn and prints the medians."""
    key = generate_private_key(65537, 2048)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    now = int(time.time())
    claims = {"sub": str(PLAYER), "iat": now, "exp": now + 3600, "jti": str(uuid4())}
    token = jwt.encode(claims, key, "RS256")
    memory = MemoryBackend(reactor, MemorySettings())
    factories = {
        "bare Autobahn handshake (floor)": bare(),
        "craftnet: RS256, feed, snapshot": await craftnet(pem, memory),
    }
    shared = None if redis is None else await redis_backend(redis)
    if shared is not None:
        factories["… on Redis"] = await craftnet(pem, shared)
        factories["… and counted on all nodes"] = await craftnet(pem, shared, shared.connection_slots)
    collector = GcTuner(reactor)  # as in a server, for all variants.
    collector.startService()
    ports = [reactor.listenTCP(0, factory, interface="127.0.0.1", backlog=1024) for factory in factories.values()]
    costs: list[list[float]] = [[] for _ in ports]
    for _ in range(rounds):
        for port, taken in zip(ports, costs, strict=True):
            taken.append(await cost(port.getHost().port, token, number))  # type: ignore[attr-defined]  # it is a TCP port.
    for port in ports:
        await port.stopListening()
    await maybeDeferred(collector.stopService)
    authority = JwtVerifier(SingleKey(key_from_pem(pem)), reactor)
    checks: list[float] = []
    for _ in range(rounds):
        before = time.process_time()
        for _ in range(number):
            authority.authenticate(token)
        checks.append((time.process_time() - before) / number * 1e6)
    if shared is not None:
        await shared.service.stopService()
    medians = [sorted(each)[rounds // 2] for each in (*costs, checks)]
    floor = medians[0]
    print(f"{number} connections a round, {AT_ONCE} at once; medians of {rounds} rounds; CPU of the server process")
    for name, taken_by in zip((*factories, "… of it, checking the token"), medians, strict=True):
        print(
            f"  {name:32} {taken_by:7.1f} µs   {1e6 / taken_by:8,.0f}/s   {floor / taken_by:5.2f} of the floor's rate"
        )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--redis", action="store_true", help="also measure with Redis")
    parser.add_argument("--handshake", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.handshake is not None:
        handshake(arguments.handshake, sys.stdin.read(), arguments.connections)
    else:
        with redis_server() if arguments.redis else nullcontext() as redis:
            react(lambda _: Deferred.fromCoroutine(measure(arguments.connections, arguments.rounds, redis)))


if __name__ == "__main__":
    main()
