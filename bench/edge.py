"""What an edge saves its core: bytes and CPU with 1, 10 and 100 watchers of each session, through it and directly.

Starts a core in memory and an edge on free ports of 127.0.0.1. The same number of sessions is watched directly at the
core, and others at the edge, over WebSockets with LZ4, as craftnet's own clients do. Each event changes what watchers
see, so that each is one frame for each watcher. Rounds alternate between the two, so that other work on the machine
affects both. CPU is that of the core's process, HTTP of the events included; bytes are those that the core sends about
sessions. The floor is the same core with one watcher of each session at itself.

    python bench/edge.py --sessions 100 --rounds 20
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
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple
from uuid import UUID, uuid4

import msgspec
from ingest import pause_or_resume, start
from lab import room_for

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import PUBLISH, RELAY
from craftnet.providers.upstream.backend import TOKEN_VARIABLE

OPTIONS = (
    *("--udp", "off", "--refresh", "3600", "--ping-interval", "3600", "--drain-time", "0"),
    *("--max-connections", "0", "--max-per-session", "0", "--max-per-player", "0"),
)

UPSTREAM_BYTES = re.compile(rb'^craftnet_upstream_bytes_total\{direction="received"\} (\S+)$', re.MULTILINE)


class Cost(NamedTuple):
    """What one round cost the core: bytes that it sent about sessions, and seconds of CPU."""

    octets: float
    cpu: float


class Process(NamedTuple):
    """A running server."""

    pid: int
    port: int

    @property
    def cpu(self) -> float:
        """Seconds of CPU from the scheduler's statistics, which are finer than times(2)."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


class Watcher:
    """One connection that counts the frames and bytes it receives."""

    def __init__(self, port: int, session: UUID, player: UUID, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.sendall(
            f"GET /ws/crafting/{session}?player_id={player} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Sec-WebSocket-Protocol: craftnet.json.lz4.v1\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
        )
        self._rest = b""
        self._upgraded = False
        self.frames = self.octets = 0

    def receive(self) -> None:
        """Reads what has arrived."""
        octets = self.socket.recv(65536)
        assert octets, "the server hung up"
        self._rest += octets
        if not self._upgraded:
            head, end, rest = self._rest.partition(b"\r\n\r\n")
            if not end:
                return
            assert b" 101 " in head, head
            self._upgraded, self._rest = True, rest
        while len(self._rest) >= 4:  # RFC 6455 section 5.2; a server's frames have no mask.
            length = self._rest[1]
            start = 4 if length == 126 else 2
            size = start + (int.from_bytes(self._rest[2:4], "big") if length == 126 else length)
            if len(self._rest) < size:
                return
            self.frames += self._rest[0] & 15 in (1, 2)
            self.octets += size
            self._rest = self._rest[size:]


class Audience:
    """Sessions and their watchers at one server."""

    def __init__(self, core: Process, at: Process, secret: str, sessions: int, watchers: int) -> None:
        self._core, self._at = core, at
        self._sessions = [uuid4() for _ in range(sessions)]
        self._publisher = http.client.HTTPConnection("127.0.0.1", core.port)
        self._metrics = http.client.HTTPConnection("127.0.0.1", at.port)
        self._token = sign_token(secret.encode(), None, [PUBLISH], 3600, time.time())
        self._selector = selectors.DefaultSelector()
        self.watchers: list[Watcher] = []
        players = [uuid4() for _ in self._sessions]
        self._publish([start(*each) for each in zip(self._sessions, players, strict=True)])
        for session, player in zip(self._sessions, players, strict=True):
            token = sign_token(secret.encode(), player, [], 3600, time.time())
            for _ in range(watchers):
                watcher = Watcher(at.port, session, player, token)
                self._selector.register(watcher.socket, selectors.EVENT_READ, watcher)
                self.watchers.append(watcher)
            self._read(1)

    def play(self, number: int) -> Cost:
        """Publishes an event for every session, and waits until every watcher has it."""
        octets = self._octets()
        cpu = self._core.cpu
        before = self.watchers[0].frames
        self._publish([pause_or_resume(session, number) for session in self._sessions])
        self._read(before + 1)
        cpu = self._core.cpu - cpu  # before the bytes, for which an edge is asked a second later.
        return Cost(self._octets() - octets, cpu)

    def close(self) -> None:
        """Disconnects all watchers."""
        for watcher in self.watchers:
            watcher.socket.close()

    def _octets(self) -> float:
        """Bytes that the core has sent about these sessions."""
        if self._at is self._core:
            return sum(watcher.octets for watcher in self.watchers)
        time.sleep(1.1)  # the edge counts once a second.
        self._metrics.request("GET", "/metrics")
        found = UPSTREAM_BYTES.search(self._metrics.getresponse().read())
        assert found is not None
        return float(found[1])

    def _publish(self, events: Sequence[bytes]) -> None:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/x-ndjson"}
        self._publisher.request("POST", "/events", b"\n".join(events), headers)
        answer = msgspec.json.decode(self._publisher.getresponse().read())
        assert answer["accepted"] == len(events), answer

    def _read(self, frames: int) -> None:
        """Waits until every watcher has received this number of frames."""
        missing = {watcher for watcher in self.watchers if watcher.frames < frames}
        while missing:
            for key, _ in self._selector.select():
                key.data.receive()
                if key.data.frames >= frames:
                    missing.discard(key.data)


@contextmanager
def server(ready: str, *options: str, **environment: str) -> Iterator[Process]:
    """A server that has said `ready`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    twistd = str(Path(sysconfig.get_path("scripts")) / "twistd")
    process = subprocess.Popen(
        [twistd, "--nodaemon", "--pidfile=", "craftnet", "--http", f"tcp:{port}:interface=127.0.0.1", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout is not None
    try:
        while ready not in (line := process.stdout.readline()):
            assert line, "the server ended"
        yield Process(process.pid, port)
    finally:
        process.terminate()
        process.communicate()


def measure(secret: str, sessions: int, watchers: int, rounds: int) -> tuple[list[Cost], list[Cost]]:
    """The costs of each round: with the watchers at the core, and with them at an edge."""
    relay = sign_token(secret.encode(), None, [RELAY], 3600, time.time())
    with ExitStack() as stack:
        core = stack.enter_context(server("HTTP and WebSocket: ", *OPTIONS, **{SECRET_VARIABLE: secret}))
        edge = stack.enter_context(
            server(
                "following the core",
                *OPTIONS,
                "--backend",
                f"upstream:url=http://127.0.0.1:{core.port}",
                **{SECRET_VARIABLE: secret, TOKEN_VARIABLE: relay},
            )
        )
        audiences = [Audience(core, at, secret, sessions, watchers) for at in (core, edge)]
        for audience in audiences:
            stack.callback(audience.close)
        played = [[audience.play(number) for audience in audiences] for number in range(rounds)]
        return [direct for direct, _ in played], [through for _, through in played]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--watchers", type=int, nargs="+", default=[1, 10, 100], help="of each session")
    arguments = parser.parse_args()
    sessions, secret = arguments.sessions, secrets.token_hex(32)
    room_for(2 * sessions * max(arguments.watchers))
    print(f"{sessions} sessions, an event for each in a round; medians of {arguments.rounds} rounds, for one event")
    floor: Cost | None = None
    for watchers in arguments.watchers:
        costs = measure(secret, sessions, watchers, arguments.rounds)
        direct, through = (
            Cost(*(median(each[kind] for each in played) / sessions for kind in range(2))) for played in costs
        )
        floor = floor or direct
        for name, cost in (("at the core", direct), ("at an edge", through)):
            print(
                f"  {f'{name}, watchers: {watchers}':<28}  {cost.octets:6.0f} bytes"
                f"  {cost.cpu * 1e6:7.1f} µs of the core's CPU"
                f"  {cost.octets / floor.octets:7.2f} of the floor's bytes  {cost.cpu / floor.cpu:5.2f} of its CPU"
            )
        print(
            f"  {f'edge to core, watchers: {watchers}':<28}  {through.octets / direct.octets:6.3f} of the bytes"
            f"  {through.cpu / direct.cpu:6.3f} of the CPU"
        )


if __name__ == "__main__":
    main()
