"""Memory of an idle, subscribed session: the growth of the server's PSS with its connections, through the public port.

Starts the whole service in a process of its own, makes a session for each connection (as the crafting authority, over
HTTP), watches each over a WebSocket, and reads /proc/PID/smaps_rollup. Linux only; ends by itself.

    python bench/memory.py --connections 10000
"""

from __future__ import annotations

import argparse
import json
import os
import re
import resource
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from uuid import UUID, uuid4

from craftnet.access.development import SECRET_VARIABLE, mint
from craftnet.access.principal import ADMIN, PUBLISH

SECRET = "only for this measurement, of no value to anybody"
PLAYER = UUID(int=1)
BATCH = 500
"""Events in one request."""

SETTLE = 3.0
"""Seconds for the server to come to rest before it is looked at."""


def pss(pid: int) -> int:
    """Bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def token(*scopes: str) -> str:
    """One that the service takes."""
    return mint(SECRET.encode(), None if scopes else PLAYER, scopes, 3600, time.time())


def start(connections: int, tls: Path | None) -> tuple[subprocess.Popen[str], int]:
    """The service, and its port."""
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    http = f"tcp:{port}:interface=127.0.0.1"
    if tls is not None:
        http = f"ssl:{port}:interface=127.0.0.1:privateKey={tls}:certKey={tls}"
    command = [
        *(str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", "craftnet"),
        *("--http", http, "--udp", "off", "--max-connections", str(connections + 1000)),
        # All sessions are of one player here.
        *("--refresh", "600", "--max-per-player", "0"),
    ]
    environment = {**os.environ, SECRET_VARIABLE: SECRET}
    server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return server, port
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the service did not start")


def publish(base: str, sessions: list[str], context: ssl.SSLContext | None) -> None:
    """Start these sessions."""
    for first in range(0, len(sessions), BATCH):
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        events = [
            {
                "event_id": str(uuid4()),
                "event_type": "crafting.session.start",
                "timestamp": now,
                "version": "1.0.0",
                "source": "bench",
                "data": {
                    "session_id": session,
                    "recipe_id": str(PLAYER),
                    "player_id": str(PLAYER),
                    "estimated_duration_seconds": 3600,
                },
            }
            for session in sessions[first : first + BATCH]
        ]
        headers = {"Authorization": f"Bearer {token(PUBLISH)}", "Content-Type": "application/json"}
        request = urllib.request.Request(f"{base}/events", json.dumps(events).encode(), headers)
        with urllib.request.urlopen(request, context=context) as response:
            assert json.load(response)["accepted"] == len(events)


def watch(port: int, session: str, bearer: str, context: ssl.SSLContext | None) -> socket.socket:
    """One connection that has its snapshot."""
    connection = socket.create_connection(("127.0.0.1", port))
    if context is not None:
        connection = context.wrap_socket(connection)
    connection.sendall(
        f"GET /ws/crafting/{session}?player_id={PLAYER} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        f"Authorization: Bearer {bearer}\r\n\r\n".encode()
    )
    octets = b""
    while b'"progress_update"' not in octets:
        data = connection.recv(65536)
        if not data:
            raise SystemExit(f"refused: {octets.decode(errors='replace')}")
        octets += data
    return connection


def certificate(folder: str) -> Path:
    """A key and a certificate in one file."""
    target = Path(folder) / "tls.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "1",
            ),
            *("-subj", "/CN=bench", "-keyout", str(target), "-out", f"{target}.crt"),
        ],
        check=True,
        stderr=subprocess.DEVNULL,
    )
    target.write_text(target.read_text() + Path(f"{target}.crt").read_text())
    return target


def measure(connections: int, tls: Path | None) -> None:
    """Start, grow, look, print."""
    context = None
    if tls is not None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server, port = start(connections, tls)
    try:
        base = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        sessions = [str(uuid4()) for _ in range(connections + 200)]
        # What is imported and cached with the first of everything is not counted.
        publish(base, sessions[:200], context)
        warm = [watch(port, session, token(), context) for session in sessions[:200]]
        time.sleep(SETTLE)
        empty = pss(server.pid)
        publish(base, sessions[200:], context)
        time.sleep(SETTLE)
        published = pss(server.pid)
        bearer = token()
        kept = [watch(port, session, bearer, context) for session in sessions[200:]]
        time.sleep(SETTLE)
        watched = pss(server.pid)
        request = urllib.request.Request(f"{base}/metrics", headers={"Authorization": f"Bearer {token(ADMIN)}"})
        with urllib.request.urlopen(request, context=context) as response:
            assert f'craftnet_watchers{{feed="crafting"}} {connections + 200}.0' in response.read().decode()
        del warm, kept
    finally:
        server.kill()
        server.wait()
    print(f"{connections} sessions, each watched by one idle connection over {'TLS' if tls else 'TCP'}; growth of PSS")
    print(f"  the session's state      {(published - empty) / connections:8,.0f} bytes each")
    print(f"  connection and feed      {(watched - published) / connections:8,.0f} bytes each")
    print(f"  in all                   {(watched - empty) / connections:8,.0f} bytes each")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    needed = arguments.connections + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments.connections, certificate(folder) if arguments.tls else None)


if __name__ == "__main__":
    main()
