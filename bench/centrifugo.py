"""craftnet compared with Centrifugo, a real-time messaging server in Go: the same load on both, in turns.

Every watcher has its own WebSocket, HS256 token and channel or session, and receives one update a second. Batches are
posted over HTTP at even intervals; both servers deliver the same JSON. craftnet builds it from an authority's event
(order, life cycle, progress model); Centrifugo forwards the payload. One process drives either server with the receiver
of `craftnet load`: latency runs from posting a batch to the kernel's arrival timestamp, on one machine. CPU and memory
are those of the server's processes.

    python bench/centrifugo.py --watchers 10000 --seconds 10 --rounds 2
    python bench/centrifugo.py --install       # builds Centrifugo into build/bin; Go and some minutes

Looks for Centrifugo in build/bin and on the PATH; without it, the benchmark is skipped.
"""

from __future__ import annotations

import argparse
import http.client
import os
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from centrifugo_servers import TICK, TIMEOUT, Centrifugo, Craftnet, Server
from lab import room_for

from craftnet.client.load.measurement import Deliveries, Histogram
from craftnet.client.load.plan import EVENTS_PER_POST
from craftnet.client.load.process import ServerProcesses, Use
from craftnet.client.load.watchers import receive, stamp_arrivals
from craftnet.client.load.websockets import QUALITY
from craftnet.protocols.websocket.core import frames

VERSION = "v6.9.1"
BUILT = Path(__file__).parents[1] / "build" / "bin"

AT_ONCE = 50
"""Concurrent handshakes."""


class Watcher:
    """One connection."""

    __slots__ = ("accepted", "connection", "number", "octets", "open")

    def __init__(self, number: int, connection: socket.socket) -> None:
        self.number = number
        self.connection = connection
        self.octets = b""
        self.accepted = self.open = False


class Driver:
    """Connects watchers and posts updates, in one loop."""

    def __init__(self, server: Server, port: int, watchers: int) -> None:
        self._server = server
        self._port = port
        self._count = watchers
        self._selector = selectors.DefaultSelector()
        self._api = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
        self._idle_since = 0.0
        self._watchers: list[Watcher] = []
        self._opening = 0
        self.deliveries = Deliveries(watchers)

    def send(self, body: bytes) -> None:
        """Post a body and wait for the answer."""
        self._request(body)
        self._answer()

    def connect(self) -> None:
        """Connects all watchers."""
        until = time.time() + TIMEOUT
        while len(self._watchers) < self._count or self._opening:
            while self._opening < AT_ONCE and len(self._watchers) < self._count:
                self._open(len(self._watchers))
            self._turn(0.1)
            if time.time() > until:
                raise SystemExit(f"{self._server.name}: {self._opening} watchers do not get connected")

    def update(self, seconds: float) -> None:
        """Post an update a second for each watcher, for a number of seconds, and wait for the last to arrive."""
        begin, done, total = time.time(), 0, int(seconds * self._count)
        waiting = False
        while done < total or waiting:
            now = time.time()
            due = min(total, int((now - begin) // TICK * TICK * self._count))
            if due > done and not waiting:
                updates = [
                    (number % self._count, number // self._count)
                    for number in range(done, min(due, done + EVENTS_PER_POST))
                ]
                body, now = self._server.batch(updates, now), time.time()
                for number, (watcher, turn) in enumerate(updates, done):
                    # An update that waited for an answer counts from the end of its tick.
                    due_at = begin + ((number + 1) / self._count // TICK + 1) * TICK
                    self.deliveries.post(watcher, turn, due_at if due_at < self._idle_since else now)
                done += len(updates)
                self._request(body)
                self._selector.register(self._api.sock, selectors.EVENT_READ, None)
                waiting = True
            waiting = not self._turn(TICK) and waiting
        until = time.time() + 2
        while self.deliveries.pending and time.time() < until:
            self._turn(0.05)

    def close(self) -> None:
        """Closes all connections."""
        for watcher in self._watchers:
            watcher.connection.close()
        self._api.close()

    def _request(self, body: bytes) -> None:
        path, headers = self._server.post
        self._api.request("POST", path, body, headers)

    def _answer(self) -> None:
        response = self._api.getresponse()
        octets = response.read()
        if response.status >= 300:
            raise SystemExit(f"{self._server.name}: {response.status} {octets[:200]!r}")
        self._idle_since = time.time()

    def _open(self, number: int) -> None:
        connection = socket.create_connection(("127.0.0.1", self._port))
        stamp_arrivals(connection)
        connection.sendall(
            f"{self._server.handshake(number)}Host: 127.0.0.1:{self._port}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        connection.setblocking(False)
        watcher = Watcher(number, connection)
        self._watchers.append(watcher)
        self._opening += 1
        self._selector.register(connection, selectors.EVENT_READ, watcher)

    def _turn(self, timeout: float) -> bool:
        """Waits and reads; returns whether the answer to a batch arrived."""
        answered = False
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                self._selector.unregister(key.fileobj)
                self._answer()
                answered = True
            else:
                self._read(key.data)
        return answered

    def _read(self, watcher: Watcher) -> None:
        octets, when = receive(watcher.connection)
        if not octets:
            raise SystemExit(f"{self._server.name} hung up: {watcher.octets[:200]!r}")
        octets = watcher.octets + octets
        if not watcher.accepted:
            head, found, octets = octets.partition(b"\r\n\r\n")
            if not found or not head.startswith(b"HTTP/1.1 101 "):
                raise SystemExit(f"{self._server.name} refused: {head + octets!r}")
            watcher.accepted = True
            if first_message := self._server.first_message(watcher.number):
                _send(watcher.connection, first_message)
        found_frames, watcher.octets = frames.split(octets)
        for opcode, payload in found_frames:
            if opcode != 1 or payload == b"{}":  # RFC 6455's ping, and Centrifugo's.
                _send(watcher.connection, payload, 0x8A if opcode == 9 else 0x81)
                continue
            if not watcher.open:
                watcher.open = True
                self._opening -= 1
            quality = QUALITY.search(payload)
            if quality is not None:
                self.deliveries.arrive(watcher.number, int(quality[1]), when)


def _send(connection: socket.socket, payload: bytes, first: int = 0x81) -> None:
    """A client's frame, masked with a mask that changes nothing."""
    size = len(payload)
    length = bytes((0x80 | size,)) if size < 126 else bytes((0x80 | 126,)) + size.to_bytes(2, "big")
    connection.send(bytes((first,)) + length + bytes(4) + payload)


class Costs(NamedTuple):
    """Costs of a server: µs of CPU, bytes and seconds."""

    connect: float
    delivery: float
    memory: float
    latencies: Histogram
    lost: int


@contextmanager
def running(server: Server) -> Iterator[tuple[int, int]]:
    """Starts a server; yields its pid and port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command, more = server.command(port, Path(folder))
        process = subprocess.Popen(
            command, env={**os.environ, **more}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.time() + TIMEOUT
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                except ConnectionRefusedError:
                    if process.poll() is not None or time.time() > until:
                        raise SystemExit(f"{server.name} did not start") from None
                    time.sleep(0.1)
            yield process.pid, port
        finally:
            process.kill()
            process.wait()


def drive(server: Server, watchers: int, seconds: float) -> Costs:
    """Runs the load on one server once."""
    with running(server) as (pid, port):
        driver, processes = Driver(server, port, watchers), ServerProcesses(pid)
        server.prepare(driver.send)
        time.sleep(1.0)
        uses: list[Use] = [processes.use()]
        driver.connect()
        time.sleep(1.0)
        uses.append(processes.use())
        driver.update(seconds)
        uses.append(processes.use())
        driver.close()
    before, connected, after = uses
    delivered = driver.deliveries.latencies.count
    return Costs(
        (connected.cpu - before.cpu) / watchers * 1e6,
        (after.cpu - connected.cpu) / delivered * 1e6,
        (connected.memory - before.memory) / watchers,
        driver.deliveries.latencies,
        driver.deliveries.pending,
    )


def find() -> str:
    """Centrifugo's program.

    Raises:
        SystemExit: Centrifugo is not installed; the exit code is 0.
    """
    found = shutil.which("centrifugo", path=os.pathsep.join([str(BUILT), os.environ.get("PATH", "")]))
    if found is None:
        go = "" if shutil.which("go") else "; Go is not installed either (Debian: golang-go)"
        print(f"skipped: there is no centrifugo; `python bench/centrifugo.py --install` builds {VERSION}{go}")
        raise SystemExit(0)
    return found


def install() -> None:
    """Build Centrifugo."""
    if not shutil.which("go"):
        raise SystemExit("Go is not installed (Debian: golang-go)")
    command = ["go", "install", f"github.com/centrifugal/centrifugo/v6@{VERSION}"]
    raise SystemExit(subprocess.run(command, env={**os.environ, "GOBIN": str(BUILT)}).returncode)


def report(runs: dict[str, list[Costs]]) -> Iterator[str]:
    """A table of both servers."""
    first, second = runs
    yield f"  {'':34}{first:>14} {second:>14}   {first} to {second}"
    rows: list[tuple[str, str, Callable[[Costs], float]]] = [
        ("CPU per delivery", "µs", lambda costs: costs.delivery),
        ("CPU per connection", "µs", lambda costs: costs.connect),
        ("p50", "ms", lambda costs: costs.latencies.percentile(50) * 1e3),
        ("p99", "ms", lambda costs: costs.latencies.percentile(99) * 1e3),
        ("memory per connection", "bytes", lambda costs: costs.memory),
    ]
    for name, unit, value in rows:
        one, other = (median(map(value, runs[server])) for server in runs)
        yield f"  {name:34} {one:10,.1f} {unit:5} {other:8,.1f} {unit:5}   {one / other:5.2f} of the other's"
    for name, costs in runs.items():
        lost = sum(each.lost for each in costs)
        if lost:
            yield f"  {name} lost {lost} updates"


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--install", action="store_true", help="build Centrifugo, and do nothing else")
    arguments = parser.parse_args()
    if arguments.install:
        install()
    program = find()
    room_for(arguments.watchers)
    runs: dict[str, list[Costs]] = {Craftnet.name: [], Centrifugo.name: []}
    for number in range(arguments.rounds):
        servers: list[Server] = [Craftnet(arguments.watchers), Centrifugo(arguments.watchers, program)]
        for server in servers if number % 2 == 0 else reversed(servers):
            print(f"round {number + 1}: {server.name}", file=sys.stderr, flush=True)
            runs[server.name].append(drive(server, arguments.watchers, arguments.seconds))
    print(
        f"{arguments.watchers} watchers, one update a second each, for {arguments.seconds:g} s, batches of "
        f"{TICK * 1e3:g} ms over HTTP; medians of {arguments.rounds} rounds"
    )
    for line in report(runs):
        print(line)


if __name__ == "__main__":
    main()
