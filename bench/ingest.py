"""Events per second into one server over one HTTP connection, against the floor of decoding the same JSON.

Starts `twistd craftnet` with the memory back end on a free port of 127.0.0.1, posts the starts of sessions, then their
progress as NDJSON bodies, without watchers. Linux only: the server's CPU time is read from /proc.

    python bench/ingest.py --sessions 2000 --bodies 50 --events 500
    python bench/ingest.py --bodies 5000 --events 1
"""

from __future__ import annotations

import argparse
import http.client
import os
import re
import secrets
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import PUBLISH
from craftnet.contract.messages import rfc3339

WARM_UP = 20
"""Bodies that are posted before the measurement."""


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
    """A session's progress."""
    data = {"session_id": session, "progress_percentage": 12.5, "status": "active", "remaining_time_seconds": 3000}
    return envelope("crafting.session.progress", data)


def batches(events: list[bytes], size: int) -> Iterator[bytes]:
    """NDJSON bodies."""
    for index in range(0, len(events), size):
        yield b"\n".join(events[index : index + size])


def cpu_of(pid: int) -> float:
    """Seconds of CPU time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running_server(secret: str, *options: str) -> Iterator[tuple[int, int]]:
    """Starts a server; yields its process id and its port."""
    command = [
        str(Path(sysconfig.get_path("scripts")) / "twistd"),
        "--nodaemon",
        "--pidfile=",
        "craftnet",
        "--udp",
        "off",
    ]
    server = subprocess.Popen(
        [*command, "--http", "tcp:0:interface=127.0.0.1", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, SECRET_VARIABLE: secret},
    )
    assert server.stdout is not None
    try:
        ports = (re.search(r"127\.0\.0\.1:(\d+)$", line) for line in server.stdout)
        yield server.pid, next(int(found[1]) for found in ports if found)
    finally:
        server.terminate()
        server.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sessions", type=int, default=2000)
    parser.add_argument("--bodies", type=int, default=50)
    parser.add_argument("--events", type=int, default=500, help="events in a body")
    arguments = parser.parse_args()

    secret = secrets.token_hex(32)
    headers = {
        "Authorization": f"Bearer {sign_token(secret.encode(), None, [PUBLISH], 3600, time.time())}",
        "Content-Type": "application/x-ndjson",
    }
    sessions = [uuid4() for _ in range(arguments.sessions)]
    starts = [start(session) for session in sessions]  # first: an event older than one that was applied is refused
    count = arguments.bodies * arguments.events
    events = [progress(sessions[number % len(sessions)]) for number in range(count + WARM_UP * arguments.events)]
    bodies = list(batches(events, arguments.events))
    with running_server(secret) as (pid, port):
        connection = http.client.HTTPConnection("127.0.0.1", port)

        def post(body: bytes) -> int:
            connection.request("POST", "/events", body, headers)
            answer: dict[str, int] = msgspec.json.decode(connection.getresponse().read())
            return answer["accepted"]

        for body in [*batches(starts, arguments.events), *bodies[:WARM_UP]]:
            post(body)
        del bodies[:WARM_UP]
        cpu, before = cpu_of(pid), time.perf_counter()
        accepted = sum(map(post, bodies))
        took = time.perf_counter() - before
        cpu = cpu_of(pid) - cpu
    if accepted != count:
        parser.exit(1, f"only {accepted} of {count} events were accepted\n")
    before = time.perf_counter()
    for body in bodies:
        for line in body.splitlines():
            msgspec.json.decode(line)
    floor = time.perf_counter() - before
    print(f"{accepted} of {count} events accepted, {arguments.events} in a body, one connection")
    print(f"  post → answer        {took / count * 1e6:6.1f} µs an event  {count / took:9,.0f}/s")
    print(f"  JSON decoding alone  {floor / count * 1e6:6.1f} µs an event  {count / floor:9,.0f}/s (floor)")
    per_event, per_body = cpu / count * 1e6, cpu / arguments.bodies * 1e6
    print(f"  the server's CPU     {per_event:6.1f} µs an event  {per_body:9,.0f} µs a body")


if __name__ == "__main__":
    main()
