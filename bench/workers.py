"""CPU per delivery of one worker against several that divide the players, and how evenly they share the load.

Starts servers on free ports of 127.0.0.1, with `--workers 1` and `--workers N`, in memory. Each player watches one
session by WebSocket; each event is one frame. Batches of several sizes are posted over kept-alive connections to the
servers in turn, so that other work on the machine affects all of them. CPU is that of the workers, user and system; the
watchers and the publisher are in this process and are not counted.

The floor is N independent servers of one worker, each with its share of the players and of every batch: the cost of
smaller batches, and of running at the same time. The rest is the cost of forwarding events between workers.

    python bench/workers.py --watchers 2000 --rounds 15 --batch 100 500 1000
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
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

import msgspec
from ingest import pause_or_resume, start
from lab import room_for

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import PUBLISH
from craftnet.tests.support.ports import ReservedPort


class Server:
    """A server, its watchers and the publishing connections."""

    def __init__(self, port: int, pids: Sequence[int], secret: str, watchers: int, publishers: int) -> None:
        self.pids = pids
        self._rounds = self._batches = 0
        self._selector = selectors.DefaultSelector()
        self._sessions = [uuid4() for _ in range(watchers)]
        self._token = sign_token(secret.encode(), None, [PUBLISH], 3600, time.time())
        self._publishers = [http.client.HTTPConnection("127.0.0.1", port) for _ in range(publishers)]
        players = [uuid4() for _ in range(watchers)]
        for _ in self._posting([start(*each) for each in zip(self._sessions, players, strict=True)], 100):
            pass
        for session, player in zip(self._sessions, players, strict=True):
            self._watch(port, session, player, sign_token(secret.encode(), player, [], 3600, time.time()))
        self._read(watchers)
        for publisher in self._publishers:
            publisher.close()  # it connects again when it is used, however long other servers take to start.

    def publishing(self, batch: int) -> Iterator[None]:
        """Posts an event for every watcher; one step sends a batch, the next one reads its answer."""
        self._rounds += 1
        return self._posting([pause_or_resume(session, self._rounds - 1) for session in self._sessions], batch)

    def read(self) -> None:
        """Waits until every watcher has received its update."""
        self._read(len(self._sessions))

    def _watch(self, port: int, session: UUID, player: UUID, token: str) -> None:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(
            f"GET /ws/crafting/{session}?player_id={player} HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            f"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            f"Authorization: Bearer {token}\r\n\r\n".encode()
        )
        self._selector.register(connection, selectors.EVENT_READ)

    def _posting(self, events: Sequence[bytes], size: int) -> Iterator[None]:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/x-ndjson"}
        for batch in (events[index : index + size] for index in range(0, len(events), size)):
            publisher = self._publishers[self._batches % len(self._publishers)]
            self._batches += 1
            publisher.request("POST", "/events", b"\n".join(batch), headers)
            yield
            answer = msgspec.json.decode(publisher.getresponse().read())
            assert answer["accepted"] == len(batch), answer
            yield

    def _read(self, frames: int) -> None:
        """Waits for this number of updates; refreshes have another status and do not count."""
        while frames > 0:
            for key, _ in self._selector.select():
                octets = key.fileobj.recv(65536)  # type: ignore[union-attr]  # they are sockets.
                assert octets, "the server hung up"
                frames -= octets.count(b'"type"')


def play(servers: Sequence[Server], batch: int) -> list[float]:
    """Publishes an event for every watcher of these servers at the same time; returns each worker's seconds of CPU."""
    pids = [pid for each in servers for pid in each.pids]
    before = [_cpu(pid) for pid in pids]
    for _ in zip(*(each.publishing(batch) for each in servers), strict=True):
        pass
    for each in servers:
        each.read()
    return [_cpu(pid) - earlier for pid, earlier in zip(pids, before, strict=True)]


def _cpu(pid: int) -> float:
    """CPU seconds of a process from the scheduler's statistics, which are finer than times(2)."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def server(workers: int, secret: str) -> Iterator[tuple[int, list[int]]]:
    """Starts a service; yields its port and the process ids of its workers."""
    reserved = ReservedPort()
    port = reserved.number
    process = subprocess.Popen(
        [
            *(Path(sysconfig.get_path("scripts")) / "twistd", "--nodaemon", "--pidfile=", "craftnet"),
            *("--http", f"tcp:{port}:interface=127.0.0.1", "--udp", "off", "--workers", str(workers)),
            *("--refresh", "3600", "--drain-time", "0", "--max-connections", "0", "--ping-interval", "3600"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, SECRET_VARIABLE: secret, "TMPDIR": tempfile.gettempdir()},
    )
    assert process.stdout is not None
    try:
        listening = 0
        while listening < workers:
            listening += bool(re.search(r"HTTP and WebSocket: ", process.stdout.readline()))
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield port, [int(child) for child in children] if workers > 1 else [process.pid]
    finally:
        process.terminate()
        process.communicate()
        reserved.close()


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--watchers", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch", type=int, nargs="+", default=[100, 500, 1000], help="events in one POST")
    parser.add_argument("--publishers", type=int, default=8, help="connections that post events, in turn")
    arguments = parser.parse_args()
    room_for(3 * arguments.watchers)
    secret, watchers, several = secrets.token_hex(32), arguments.watchers, arguments.workers

    def started(workers: int, share: int) -> Server:
        running = stack.enter_context(server(workers, secret))
        return Server(*running, secret, watchers // share, arguments.publishers)

    with ExitStack() as stack:
        alone, together, apart = [started(1, 1)], [started(several, 1)], [started(1, several) for _ in range(several)]
        rounds = [
            [(play(alone, batch), play(together, batch), play(apart, batch // several)) for batch in arguments.batch]
            for _ in range(arguments.rounds)
        ]
    print(f"{watchers} watchers, medians of {arguments.rounds} rounds, CPU of the workers")
    for batch, played in zip(arguments.batch, zip(*rounds, strict=True), strict=True):
        costs = [[sum(used) for used in each] for each in played]
        used = [sum(each[1][number] for each in played) for number in range(several)]
        one = median(each[0] for each in costs) / watchers * 1e6
        print(f"{batch} events a batch")
        print(f"  {'1 worker':26} {one:6.1f} µs a delivery")
        for lot, name in ((2, f"{several} servers apart (floor)"), (1, f"{several} workers")):
            cost, ratio = median(each[lot] for each in costs), median(each[lot] / each[0] for each in costs)
            print(f"  {name:26} {cost / watchers * 1e6:6.1f} µs a delivery   {ratio:5.2f} of one worker's")
        to_floor = median(each[1] / each[2] for each in costs)
        print(f"  {several} workers, to the floor      {to_floor:4.2f} of the floor")
        print(f"  shares of the load         {'  '.join(f'{each / sum(used):.1%}' for each in used)}")


if __name__ == "__main__":
    main()
