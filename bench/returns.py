"""Cost of a node failure: its watchers reconnect to another node, with a position and without.

Starts a redis-server and two `twistd craftnet` nodes on free ports of 127.0.0.1. Every watcher watches its own session
at the first node and disconnects; shortages are published through the second, and then the watchers reconnect to it, a
few at a time. A watcher with a position receives the notifications that it missed, which the second node must recover.

    python bench/returns.py --watchers 2000
"""

from __future__ import annotations

import argparse
import secrets
import socket
import time
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import msgspec
from redis_floor import redis_server
from redis_path import node, post

from craftnet.access.development import sign_token
from craftnet.contract.messages import rfc3339

MATERIAL = uuid4()

AT_ONCE = 50
"""Handshakes sent before the first answer is read."""


def event(kind: str, data: dict[str, Any]) -> bytes:
    """An event as the authority sends it."""
    envelope = {"event_id": uuid4(), "event_type": f"crafting.{kind}", "timestamp": rfc3339(time.time())}
    return msgspec.json.encode({**envelope, "version": "1.0.0", "source": "bench", "data": data})


def start(session: UUID) -> bytes:
    """The start of a session, whose player has the same id."""
    data = {"session_id": session, "player_id": session, "recipe_id": MATERIAL, "estimated_duration_seconds": 3600}
    return event("session.start", data)


def shortage(session: UUID, required: int) -> bytes:
    """A shortage of material."""
    news = {"material_id": MATERIAL, "notification_type": "insufficient_quantity", "required_quantity": required}
    return event("materials.update", {"session_id": session, "notifications": [news]})


class Watcher:
    """The WebSocket of one session."""

    def __init__(self, session: UUID, secret: str) -> None:
        self.session = session
        self.position = ""
        self._token = sign_token(secret.encode(), session, [], 3600, time.time())
        self._socket = socket.socket()
        self._data = b""

    def ask(self, port: int, resume: str) -> None:
        """Connects and sends the handshake."""
        self._data = b""
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.sendall(
            f"GET /ws/crafting/{self.session}?player_id={self.session}{resume} HTTP/1.1\r\nHost: bench\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuthorization: Bearer {self._token}\r\n\r\n".encode()
        )

    def read(self, number: int) -> list[dict[str, Any]]:
        """Reads this number of messages."""
        while b"\r\n\r\n" not in self._data:
            self._data += self._socket.recv(65536)
        head, _, data = self._data.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101"):
            raise SystemExit(f"refused: {self._data!r}")
        messages: list[dict[str, Any]] = []
        while len(messages) < number:
            header = 4 if data[1:2] == b"\x7e" else 2
            length = header + (int.from_bytes(data[2:4], "big") if header == 4 else data[1]) if len(data) >= 4 else 4
            if len(data) < length:
                data += self._socket.recv(65536)
                continue
            if data[0] & 15 == 8:
                raise SystemExit(f"the server hung up: {data[2:length]!r}")
            if data[0] & 15 == 1:  # not a ping.
                messages.append(msgspec.json.decode(data[header:length]))
            data = data[length:]
        self.position = f"{messages[-1]['epoch']}:{messages[-1]['version']}"
        return messages

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()


def come(watchers: Sequence[Watcher], port: int, number: int, resume: bool) -> tuple[float, int]:
    """Reconnects all watchers and reads their messages; returns the seconds and the number that recovered."""
    before, recovered = time.perf_counter(), 0
    for index in range(0, len(watchers), AT_ONCE):
        some = watchers[index : index + AT_ONCE]
        for watcher in some:
            watcher.ask(port, f"&resume={watcher.position}" if resume else "")
        recovered += sum(watcher.read(number)[0].get("recovered", False) for watcher in some)
    return time.perf_counter() - before, recovered


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=2000)
    parser.add_argument("--missed", type=int, default=3, help="notifications that each watcher missed")
    arguments = parser.parse_args()
    secret = secrets.token_hex(32)
    with redis_server() as redis, node(redis, secret) as survivor:
        second = survivor.port
        watchers = [Watcher(uuid4(), secret) for _ in range(arguments.watchers)]
        post([second], secret, [start(watcher.session) for watcher in watchers])
        with node(redis, secret) as lost:
            come(watchers, lost.port, 1, resume=False)
            for watcher in watchers:
                watcher.close()
        for required in range(arguments.missed):
            post([second], secret, [shortage(watcher.session, required + 1) for watcher in watchers])
        rows = []
        took, recovered = come(watchers, second, arguments.missed + 2, resume=True)
        rows.append((f"with a position, {recovered} recovered", took))
        others = [Watcher(uuid4(), secret) for _ in range(arguments.watchers)]
        post([second], secret, [start(watcher.session) for watcher in others])
        post([second], secret, [shortage(watcher.session, 1) for watcher in others])
        rows.append(("without", come(others, second, 2, resume=False)[0]))
        for watcher in (*watchers, *others):
            watcher.close()
    print(f"{len(watchers)} watchers of sessions without another watcher at this node, {arguments.missed} missed")
    for name, took in rows:
        print(f"  {name:36} {took / len(watchers) * 1e6:7.0f} µs each {len(watchers) / took:8,.0f}/s")


if __name__ == "__main__":
    main()
