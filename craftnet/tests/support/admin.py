"""Administrators of a service under test: requests to the admin API, and clients of its feed."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import treq
from twisted.trial.unittest import TestCase
from websockets import Subprotocol
from websockets.sync.client import connect

from craftnet.access.principal import ADMIN, OPERATE
from craftnet.tests.support.live import LiveTestCase, Peer, in_thread, token

MOST_MESSAGES = 200
"""Messages that a test waits for at most: each is a second, or less, after the one before."""


class AdminClient:
    """A client of the admin feed."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    async def send(self, **message: Any) -> None:
        """One message."""
        await self.peer.send(msgspec.json.encode(message).decode())

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next message that is wanted; others are passed over."""
        seen = []
        for _ in range(MOST_MESSAGES):
            message = await self.peer.receive()
            if wanted(message):
                return message
            seen.append(message)
        raise AssertionError(f"none of {len(seen)} messages: {seen[-1]}")

    async def next(self, kind: str, name: str | None = None) -> dict[str, Any]:
        """The next message of a type, and of a subscription."""
        return await self.until(lambda message: message["type"] == kind and message.get("id") == name)

    async def entry(self, name: str, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The next entry of a trace that is wanted."""
        found: list[dict[str, Any]] = []

        def look(message: dict[str, Any]) -> bool:
            if message["type"] == "trace" and message["id"] == name:
                found.extend(filter(wanted, message["entries"]))
            return bool(found)

        await self.until(look)
        return found[0]

    async def entries(self, name: str, kinds: set[str]) -> dict[str, dict[str, Any]]:
        """The first entry of each of these kinds in a trace."""
        found: dict[str, dict[str, Any]] = {}

        def look(message: dict[str, Any]) -> bool:
            if message["type"] == "trace" and message["id"] == name:
                for entry in message["entries"]:
                    found.setdefault(entry["kind"], entry)
            return kinds <= found.keys()

        await self.until(look)
        return found


async def ask(url: str, method: str, path: str, bearer: str | None = None, body: Any = None) -> tuple[int, Any]:
    """The status and the JSON of an answer; by default an operator asks."""
    bearer = token(None, ADMIN, OPERATE) if bearer is None else bearer
    headers: dict[str | bytes, str | bytes] = {"Authorization": f"Bearer {bearer}"}
    data = None
    if body is not None:
        headers["Content-Type"] = "application/json"
        data = msgspec.json.encode(body)
    response = await treq.request(method, url + path, headers=headers, data=data, persistent=False)
    return response.code, await response.json()


async def open_admin_feed(case: TestCase, url: str, *scopes: str) -> AdminClient:
    """A client of the admin feed."""
    headers = {"Authorization": f"Bearer {token(None, ADMIN, *scopes)}"}
    target = f"{url.replace('http', 'ws', 1)}/ws/admin"
    names = [Subprotocol("craftnet.json.v1")]
    peer = Peer(await in_thread(partial(connect, target, additional_headers=headers, subprotocols=names)))
    case.addCleanup(peer.close)
    return AdminClient(peer)


class AdminTestCase(LiveTestCase):
    """A service with administrators."""

    async def ask(self, method: str, path: str, bearer: str | None = None, body: Any = None) -> tuple[int, Any]:
        """As `ask`."""
        return await ask(self.url, method, path, bearer, body)

    async def administrator(self, *scopes: str) -> AdminClient:
        """As `open_admin_feed`."""
        return await open_admin_feed(self, self.url, *scopes)
