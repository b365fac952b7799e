"""Costs of a node per watcher, by `craftnet load`: CPU, memory, traffic; with Redis, also those of Redis.

Starts a service for each row on free ports of 127.0.0.1: in memory, over WebSockets and over UDP; and on its own Redis
with one worker and with two. Every watcher watches its own session and receives one update a second; events are posted
in batches of 5 ms. CPU is all CPU time of the processes, HTTP included.

    python bench/node_costs.py --watchers 2000 --seconds 10
"""

from __future__ import annotations

import argparse
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from lab import room_for
from redis_floor import command, redis_server

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.client.load.process import ServerProcesses


class Case(NamedTuple):
    """A row of the table."""

    name: str
    transport: str
    redis: bool = False
    workers: int = 1


CASES = (
    Case("memory, WebSocket", "ws"),
    Case("memory, UDP", "udp"),
    Case("Redis, WebSocket", "ws", redis=True),
    Case("Redis, WebSocket, 2 workers", "ws", redis=True, workers=2),
)


class Redis:
    """A Redis server and a connection to it."""

    def __init__(self, port: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port))
        self._answers = self._connection.makefile("rb")
        self._processes = ServerProcesses(int(self._info("server")["process_id"]))

    def _info(self, section: str) -> dict[str, str]:
        self._connection.sendall(command(b"INFO", section.encode()))
        text = self._answers.read(int(self._answers.readline()[1:]) + 2)  # RESP: `$length`, the text, a line end.
        lines = text.decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def use(self) -> tuple[float, int, int]:
        """Seconds of CPU, bytes over its connections, bytes of data."""
        traffic, memory = self._info("stats"), self._info("memory")
        octets = int(traffic["total_net_input_bytes"]) + int(traffic["total_net_output_bytes"])
        return self._processes.use().cpu, octets, int(memory["used_memory"])


@contextmanager
def service(case: Case, redis: int | None, secret: str) -> Iterator[tuple[int, int]]:
    """Starts a service; yields its pid and its port."""
    twistd = [str(Path(sysconfig.get_path("scripts")) / "twistd"), "--nodaemon", "--pidfile=", "craftnet"]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = [
        "--http",
        f"tcp:{port}:interface=127.0.0.1",
        "--udp",
        "127.0.0.1:0" if case.transport == "udp" else "off",
    ]
    options += ["--backend", "memory" if redis is None else f"redis:port={redis}", "--workers", str(case.workers)]
    server = subprocess.Popen(
        [*twistd, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, SECRET_VARIABLE: secret},
    )
    assert server.stdout is not None
    try:
        ready = 0
        while ready < case.workers:
            line = server.stdout.readline()
            if not line:
                raise SystemExit(f"{case.name}: the service did not start")
            ready += re.search(r"HTTP and WebSocket: \S+$", line) is not None
        time.sleep(2.0)
        yield server.pid, port
    finally:
        server.terminate()
        server.communicate()


def load(case: Case, port: int, pid: int, secret: str, watchers: int, seconds: int) -> dict[str, Any]:
    """The report of `craftnet load`."""
    token = sign_token(secret.encode(), None, [PUBLISH, ADMIN], 3600, time.time())
    options = ["--url", f"http://127.0.0.1:{port}", "--watchers", str(watchers), "--seconds", str(seconds)]
    options += ["--transport", case.transport, "--ramp", "2s", "--server-pid", str(pid), "--json"]
    run = subprocess.run(
        [sys.executable, "-m", "craftnet.client.cli", "load", *options],
        capture_output=True,
        text=True,
        env={**os.environ, "CRAFTNET_TOKEN": token},
    )
    if run.returncode not in (0, 3, 4):
        raise SystemExit(f"{case.name}: {run.stderr.splitlines()[-1:]}")
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def measure(case: Case, watchers: int, seconds: int) -> list[str]:
    """The lines of a row."""
    secret = secrets.token_hex(32)
    with ExitStack() as stack:
        port = stack.enter_context(redis_server()) if case.redis else None
        redis = None if port is None else Redis(port)
        pid, http = stack.enter_context(service(case, port, secret))
        before = None if redis is None else redis.use()
        report = load(case, http, pid, secret, watchers, seconds)
        after = None if redis is None else redis.use()
    found, server = report["transports"][case.transport], report["server"]
    delivered, connected = found["delivered"], found["connected"]
    lines = [
        case.name,
        f"  CPU of a delivery           {server['cpu'] / delivered * 1e6:10.1f} µs",
        f"  CPU of a connection         {server['connect_cpu'] / connected * 1e6:10.1f} µs",
        f"  memory of a session         {(server['full'] - server['empty']) / connected:10,.0f} bytes",
        f"  traffic of an update        {found['octets'] / delivered:10,.0f} bytes",
    ]
    if before is not None and after is not None:
        # Includes the start, the connection and the end of each session.
        events = delivered + 2 * connected
        lines.append(f"  CPU of Redis for an event   {(after[0] - before[0]) / events * 1e6:10.1f} µs")
        lines.append(f"  traffic of Redis, an event  {(after[1] - before[1]) / events:10,.0f} bytes")
        lines.append(f"  memory of Redis, a session  {(after[2] - before[2]) / connected:10,.0f} bytes")
    return lines


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=10)
    arguments = parser.parse_args()
    room_for(arguments.watchers)
    print(
        f"{arguments.watchers} watchers, one update a second each, for {arguments.seconds} s, events in batches of 5 ms"
    )
    for case in CASES:
        print("\n".join(measure(case, arguments.watchers, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
