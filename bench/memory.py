"""Memory of an idle, subscribed session: the growth of the server's PSS with its connections, through the public port.

Starts the service in its own process, makes a session for each connection (as the crafting authority, over HTTP),
watches each over a WebSocket or, with --udp, over UDP, and reads /proc/PID/smaps_rollup. Over UDP a second connection
then watches each open feed. Linux only.

    python bench/memory.py --connections 10000
    python bench/memory.py --udp
"""

from __future__ import annotations

import argparse
import http.client
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
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from craftnet.access.development import SECRET_VARIABLE, sign_token
from craftnet.access.principal import ADMIN, PUBLISH
from craftnet.protocols.udp.client.connection import ACK_DELAY, ClientConnection
from craftnet.protocols.udp.client.received_state import ProgressChanged
from craftnet.protocols.udp.core.keys import SessionToken

SECRET = "only for this measurement, worthless elsewhere"
PLAYER = UUID(int=1)
BATCH = 500
"""Events in one request."""

RECENT_EVENTS = 5000
"""Events that the server keeps for its administrators. It has them before its memory is read for the first time."""

SETTLE = 3.0
"""Seconds in which the server comes to rest before its memory is read."""

HEARTBEAT = 30.0
"""Seconds between heartbeats over UDP, the maximum: all clients must connect within three of them."""


def pss(pid: int) -> int:
    """The PSS of a process, bytes."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    match = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
    assert match is not None
    return int(match[1]) * 1024


def token(*scopes: str) -> str:
    """A token that the service accepts."""
    return sign_token(SECRET.encode(), None if scopes else PLAYER, scopes, 3600, time.time())


def start(connections: int, tls: Path | None, udp: bool) -> tuple[subprocess.Popen[str], int]:
    """Starts the service; returns it and its port."""
    probe = socket.create_server(("127.0.0.1", 0))
    port = probe.getsockname()[1]
    probe.close()
    http = f"tcp:{port}:interface=127.0.0.1"
    if tls is not None:
        http = f"ssl:{port}:interface=127.0.0.1:privateKey={tls}:certKey={tls}"
    command = [
        *(str(Path(sys.executable).with_name("twistd")), "--nodaemon", "--pidfile=", "craftnet"),
        *("--http", http, "--udp", "127.0.0.1:0" if udp else "off", "--max-connections", str(connections + 1000)),
        *("--udp-heartbeat", str(round(HEARTBEAT * 1000)), "--udp-full-sync", "600"),
        # All sessions are of one player here.
        *("--refresh", "600", "--max-per-player", "0", "--connect-rate-per-player", "0"),
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


def publish(base: str, sessions: list[str], context: ssl.SSLContext | None, *, again: bool = False) -> None:
    """Starts these sessions.

    Arguments:
        again: they were started before, so the server refuses the events.
    """
    for first in range(0, len(sessions), BATCH):
        events = [
            {
                "event_id": str(uuid4()),
                "event_type": "crafting.session.start",
                "timestamp": datetime.now(UTC).isoformat(),
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
            assert json.load(response)["accepted"] == (0 if again else len(events))


def watch(port: int, session: str, bearer: str, context: ssl.SSLContext | None) -> socket.socket:
    """Opens a connection and reads its snapshot."""
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


def watch_over_udp(port: int, sessions: list[str], bearer: str) -> None:
    """Opens a connection for each of these sessions and acknowledges its state."""
    api = http.client.HTTPConnection("127.0.0.1", port)
    line = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    line.settimeout(5.0)
    headers = {"Authorization": f"Bearer {bearer}", "Content-Type": "application/json"}
    clients: dict[bytes, ClientConnection] = {}
    for session in sessions:
        body = json.dumps({"player_id": str(PLAYER), "client_version": "1.0.0"})
        api.request("POST", f"/udp/sessions/{session}/connect", body, headers)
        answer = json.load(api.getresponse())
        token = SessionToken.parse(answer["session_token"])
        host, _, udp_port = answer["server_endpoint"].rpartition(":")
        line.connect((host, int(udp_port)))
        client = ClientConnection(token, {0: UUID(session)}, heartbeat=HEARTBEAT)
        clients[token.connection_id.to_bytes(4, "big")] = client
        output = client.start(time.time())
        while not any(isinstance(event, ProgressChanged) for event in output.events):
            for datagram in output.datagrams:
                line.send(datagram)
            datagram = line.recv(2048)
            output = clients[datagram[1:5]].receive(datagram, time.time())
        for datagram in [*output.datagrams, *client.tick(time.time() + ACK_DELAY).datagrams]:
            line.send(datagram)


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


def measure(connections: int, tls: Path | None, udp: bool) -> None:
    """Measures and prints."""
    context = None
    if tls is not None:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server, port = start(connections, tls, udp)

    def connect(sessions: list[str]) -> list[socket.socket]:
        bearer = token()
        if udp:
            watch_over_udp(port, sessions, bearer)
            return []
        return [watch(port, session, bearer, context) for session in sessions]

    try:
        base = f"http{'s' if tls else ''}://127.0.0.1:{port}"
        sessions = [str(uuid4()) for _ in range(connections + 200)]
        # Imports and caches of the first connection are not counted.
        publish(base, sessions[:200], context)
        for _ in range(RECENT_EVENTS // 200):
            publish(base, sessions[:200], context, again=True)
        kept = connect(sessions[:200])
        time.sleep(SETTLE)
        empty = pss(server.pid)
        publish(base, sessions[200:], context)
        time.sleep(SETTLE)
        published = pss(server.pid)
        kept += connect(sessions[200:])
        time.sleep(SETTLE)
        watched = pss(server.pid)
        if udp:
            connect(sessions[200:])
            time.sleep(SETTLE)
        again = pss(server.pid)
        request = urllib.request.Request(f"{base}/metrics", headers={"Authorization": f"Bearer {token(ADMIN)}"})
        with urllib.request.urlopen(request, context=context) as response:
            watchers = 200 + connections * (2 if udp else 1)
            found = re.search(r'^craftnet_watchers\{feed="crafting"\} (.+)$', response.read().decode(), re.MULTILINE)
        if found is None or float(found[1]) != watchers:
            raise SystemExit(f"{found and found[1]} connections are left, not {watchers}: use fewer --connections")
        del kept
    finally:
        server.kill()
        server.wait()
    line = "UDP" if udp else "TLS" if tls else "TCP"
    print(f"{connections} sessions, each watched by one idle connection over {line}; growth of PSS")
    print(f"  the session's state      {(published - empty) / connections:8,.0f} bytes each")
    print(f"  connection and feed      {(watched - published) / connections:8,.0f} bytes each")
    print(f"  in all                   {(watched - empty) / connections:8,.0f} bytes each")
    if udp:
        print(f"  another connection       {(again - watched) / connections:8,.0f} bytes each")


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=9_000)
    line = parser.add_mutually_exclusive_group()
    line.add_argument("--tls", action="store_true", help="WebSockets over TLS")
    line.add_argument("--udp", action="store_true", help="UDP instead of WebSockets")
    arguments = parser.parse_args()
    needed = arguments.connections + 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
    with tempfile.TemporaryDirectory() as folder:
        measure(arguments.connections, certificate(folder) if arguments.tls else None, arguments.udp)


if __name__ == "__main__":
    main()
