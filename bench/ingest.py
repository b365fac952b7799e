"""Events per second into one server over one HTTP connection, against two floors.

Starts `twistd craftnet` with the memory back end on a free port of 127.0.0.1, posts the starts of sessions, then their
progress as NDJSON bodies, without watchers. The floors are decoding the same JSON, and a bare Twisted server that reads
the same requests and answers each with as many fixed bytes: the same system calls, without HTTP. Both servers take
turns, so that other work on the machine affects both; figures are the median of the rounds, and the minimum, which
other work affects least. Linux only: CPU time is that of the server's process.

    python bench/ingest.py --sessions 2000 --bodies 50 --events 500
    python bench/ingest.py --bodies 3000 --events 1
"""

from __future__ import annotations

import argparse
import http.client
import os
import random
import re
import secrets
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID, uuid4

import msgspec
from twisted.internet import reactor
from twisted.internet.protocol import Protocol, ServerFactory

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import PUBLISH
from craftnet.contract.messages import rfc3339
from craftnet.runtime.sockets import transmit
from craftnet.server.gc_tuning import collect_seldom

WARM_UP = 20
"""Bodies that are posted before the measurement."""

LENGTH = b"Content-Length: "
ANSWER = (
    b"HTTP/1.1 202 Accepted\r\nServer: craftnet\r\nX-Content-Type-Options: nosniff\r\nCache-Control: no-store\r\n"
    b"Content-Length: 44\r\nContent-Type: application/json\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n"
    b'{"accepted":1,"duplicates":0,"rejected":[]}\n'
)
"""What the bare server answers: craftnet's answer to one event."""


def envelope(event_type: str, data: dict[str, object]) -> bytes:
    """One event as JSON."""
    event = {"event_id": uuid4(), "event_type": event_type, "timestamp": rfc3339(time.time()), "version": "1.0.0"}
    return msgspec.json.encode({**event, "source": "bench", "data": data})


def start(session: UUID, player: UUID | None = None) -> bytes:
    """A session's start; without a player, of one with the session's id."""
    player = player or session
    data = {"session_id": session, "recipe_id": session, "player_id": player, "estimated_duration_seconds": 3600}
    return envelope("crafting.session.start", data)


def pause_or_resume(session: UUID, number: int) -> bytes:
    """A session's resumption in odd rounds, its pause in even ones."""
    if number % 2:
        return envelope("crafting.session.resume", {"session_id": session})
    return envelope("crafting.session.pause", {"session_id": session, "pause_reason": "player_afk"})


def progress(session: UUID) -> bytes:
    """A session's progress. As in a game, not all of them are of the same length."""
    percent = round(random.uniform(0, 100), 2)
    data = {"session_id": session, "progress_percentage": percent, "status": "active", "remaining_time_seconds": 3000}
    return envelope("crafting.session.progress", data)


def batches(events: list[bytes], size: int) -> Iterator[bytes]:
    """NDJSON bodies."""
    for index in range(0, len(events), size):
        yield b"\n".join(events[index : index + size])


def cpu_of(pid: int) -> float:
    """Seconds of CPU time of a process, user and system; as precise as its scheduler (clock_getcpuclockid(3))."""
    return time.clock_gettime((~pid << 3) | 2)


@contextmanager
def running_server(secret: str, *options: str) -> Iterator[tuple[int, int]]:
    """Starts a server; yields its process id and its port."""
    twistd = str(Path(sysconfig.get_path("scripts")) / "twistd")
    command = [twistd, "--nodaemon", "--pidfile=", "craftnet", "--udp", "off"]
    with _running([*command, "--http", "tcp:0:interface=127.0.0.1", *options], {SECRET_VARIABLE: secret}) as found:
        yield found


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Starts a server that prints its port; yields its process id and that port."""
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert server.stdout is not None
    try:
        ports = (re.search(r"127\.0\.0\.1:(\d+)$", line) for line in server.stdout)
        yield server.pid, next(int(found[1]) for found in ports if found)
    finally:
        server.terminate()
        server.wait()


class Floor(Protocol):
    """Reads whole requests, and answers each with the same octets."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def dataReceived(self, data: bytes) -> None:
        """Collects octets until they are a request."""
        self._octets += data
        head, end, body = self._octets.partition(b"\r\n\r\n")
        if end and len(body) >= int(head[head.find(LENGTH) + len(LENGTH) :].split(None, 1)[0]):
            self._octets.clear()
            transmit(self.transport, ANSWER)


def serve_floor() -> None:
    """Runs the bare server until it is ended."""
    port: Any = reactor.listenTCP(0, ServerFactory.forProtocol(Floor), interface="127.0.0.1")
    print(f"127.0.0.1:{port.getHost().port}", flush=True)
    collect_seldom()  # as the service does.
    reactor.run()


class Client:
    """One connection to a server.

    Arguments:
        pid, port: of the server.
        headers: of every request.
    """

    def __init__(self, pid: int, port: int, headers: Mapping[str, str]) -> None:
        self._pid = pid
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._headers = headers
        self.accepted = 0

    def post(self, bodies: Sequence[bytes]) -> tuple[float, float]:
        """Posts bodies one after the other; the seconds that took, and the server's seconds of CPU time."""
        cpu, began = cpu_of(self._pid), time.perf_counter()
        for body in bodies:
            self._connection.request("POST", "/events", body, self._headers)
            answer: dict[str, int] = msgspec.json.decode(self._connection.getresponse().read())
            self.accepted += answer["accepted"]
        return time.perf_counter() - began, cpu_of(self._pid) - cpu


def decoding(bodies: Sequence[bytes]) -> float:
    """The seconds that decoding the JSON takes."""
    began = time.perf_counter()
    for body in bodies:
        for line in body.splitlines():
            msgspec.json.decode(line)
    return time.perf_counter() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--bodies", type=int, default=50)
    parser.add_argument("--events", type=int, default=500, help="events in a body")
    parser.add_argument("--rounds", type=int, default=25, help="turns of both servers (default: 25)")
    parser.add_argument("--floor", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.floor:
        serve_floor()
        return
    secret = secrets.token_hex(32)
    headers = {
        "Authorization": f"Bearer {sign_token(secret.encode(), None, [PUBLISH], 3600, time.time())}",
        "Content-Type": "application/x-ndjson",
    }
    sessions = [uuid4() for _ in range(arguments.sessions)]
    starts = [start(session) for session in sessions]  # first: an event older than one that was applied is refused
    count = (arguments.bodies + WARM_UP) * arguments.events
    events = [progress(sessions[number % len(sessions)]) for number in range(count)]
    bodies = list(batches(events, arguments.events))
    warm_up, bodies = bodies[:WARM_UP], bodies[WARM_UP:]
    size = -(-len(bodies) // arguments.rounds)
    rounds = [bodies[index : index + size] for index in range(0, len(bodies), size)]
    floor_command = [sys.executable, __file__, "--floor"]
    with running_server(secret) as server, _running(floor_command, {}) as bare:
        client, floor_client = Client(*server, headers), Client(*bare, headers)
        client.post([*batches(starts, max(arguments.events, 100)), *warm_up])
        floor_client.post(warm_up)
        client.accepted = 0
        taken = [(floor_client.post(each), client.post(each), decoding(each)) for each in rounds]
    if client.accepted != arguments.bodies * arguments.events:
        parser.exit(1, f"only {client.accepted} of {arguments.bodies * arguments.events} events were accepted\n")
    print(f"{client.accepted} events accepted, {arguments.events} in a body, one connection; {len(rounds)} rounds")
    for line in report(taken, rounds, arguments.events):
        print(line)


def report(
    taken: Sequence[tuple[tuple[float, float], tuple[float, float], float]],
    rounds: Sequence[Sequence[bytes]],
    events: int,
) -> Iterator[str]:
    """A table.

    Arguments:
        taken: of each round, the seconds and CPU seconds of the bare server and of craftnet, and those of decoding.
        events: in a body.
    """
    columns = {
        "post → answer": [seconds for _, (seconds, _), _ in taken],
        "JSON decoding alone (floor)": [json for _, _, json in taken],
        "the bare server's CPU (floor)": [floor_cpu for (_, floor_cpu), _, _ in taken],
        "the server's CPU": [cpu for _, (_, cpu), _ in taken],
    }
    for name, values in columns.items():
        each = sorted(value / len(bodies) / events for value, bodies in zip(values, rounds, strict=True))
        middle = median(each)
        yield f"  {name:30}  {middle * 1e6:7.1f} µs an event  {each[0] * 1e6:7.1f} µs at least  {1 / middle:9,.0f}/s"
    ratio = median(floor_cpu / cpu for (_, floor_cpu), (_, cpu), _ in taken)
    yield f"  {'the server against the bare one':30}  {ratio:7.2f} of the floor's rate"


if __name__ == "__main__":
    main()
