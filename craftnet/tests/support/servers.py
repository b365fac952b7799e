"""Whole servers in processes of their own, and what an authority and watchers ask of them; everything here blocks."""

from __future__ import annotations

import urllib.error
import urllib.request
from contextlib import ExitStack
from typing import Any
from uuid import UUID

import msgspec
from websockets.sync.client import ClientConnection, connect

from craftnet.access.development import SECRET_VARIABLE
from craftnet.access.principal import PUBLISH
from craftnet.tests.support.live import SECRET, envelope, token
from craftnet.tests.support.live_metrics import samples
from craftnet.tests.support.ports import ReservedPort
from craftnet.tests.support.processes import PROCESS_TIMEOUT, Running, running
from craftnet.tests.support.samples import IRON, PLAYER

Message = dict[str, Any]


class Server:
    """A server in a process of its own that is started and stopped on one port."""

    def __init__(self, *options: str, **more: str) -> None:
        self._port = ReservedPort()
        self.url = f"http://127.0.0.1:{self._port.number}"
        self._options = ("--http", f"tcp:{self._port.number}:interface=127.0.0.1", *options)
        self._environment = {SECRET_VARIABLE: SECRET, **more}
        self._started = ExitStack()

    def begin(self) -> Running:
        """Start it."""
        return self._started.enter_context(running(*self._options, **self._environment))

    def stop(self) -> None:
        """Kill it: no watcher gets a close code."""
        self._started.close()

    def close(self) -> None:
        """Stop it, and give its port back."""
        self.stop()
        self._port.close()

    def ask(self, path: str, bearer: str = "", body: object = None) -> tuple[int, Any]:
        """The status and the JSON of an answer; `body` is JSON, or octets."""
        request = urllib.request.Request(self.url + path)
        if bearer:
            request.add_header("Authorization", f"Bearer {bearer}")
        if isinstance(body, bytes):
            request.data = body
            request.add_header("Content-Type", "application/octet-stream")
        elif body is not None:
            request.data = msgspec.json.encode(body)
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=PROCESS_TIMEOUT) as answer:
                return answer.status, msgspec.json.decode(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, msgspec.json.decode(error.read())

    def post(self, *events: Message) -> None:
        """The authority posts events."""
        status, answer = self.ask("/events", token(None, PUBLISH), list(events))
        if status != 202 or answer["rejected"]:
            raise AssertionError(answer)

    def metrics(self, name: str) -> dict[tuple[tuple[str, str], ...], float]:
        """The samples of a metric."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=PROCESS_TIMEOUT) as answer:
            return samples(answer.read().decode(), name)

    def watch(self, session_id: UUID, resume: str = "", player_id: UUID = PLAYER) -> ClientConnection:
        """A watcher over WebSocket."""
        return watch(self.url, session_id, resume, player_id)


def watch(url: str, session_id: UUID, resume: str = "", player_id: UUID = PLAYER) -> ClientConnection:
    """A watcher over WebSocket at the server with this URL."""
    more = f"&resume={resume}" if resume else ""
    place = f"{url.replace('http', 'ws', 1)}/ws/crafting/{session_id}?player_id={player_id}{more}"
    return connect(place, additional_headers={"Authorization": f"Bearer {token(player_id)}"})


def read(watcher: ClientConnection) -> Message:
    """The next message."""
    message: Message = msgspec.json.decode(watcher.recv(PROCESS_TIMEOUT))
    return message


def read_to(watcher: ClientConnection, **wanted: object) -> list[Message]:
    """The messages up to the first one with these values."""
    messages = [read(watcher)]
    while any(messages[-1].get(name) != value for name, value in wanted.items()):
        messages.append(read(watcher))
    return messages


def position(message: Message) -> str:
    """Where a watcher is."""
    return f"{message['epoch']}:{message['version']}"


def shortage(session_id: UUID, available: int) -> Message:
    """Too little of a material."""
    problem = {
        "material_id": str(IRON),
        "notification_type": "insufficient_quantity",
        "required_quantity": 10,
        "available_quantity": available,
    }
    data = {"session_id": str(session_id), "notifications": [problem]}
    return envelope("crafting.materials.update", data)
