"""Waits for a player's next session: reads the event stream of everything of the player."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any
from uuid import UUID

import msgspec
from msgspec import Struct
from treq.client import HTTPClient
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

ANSWER_TIMEOUT = 10.0
"""Seconds for the head of the answer."""

MAX_LINE = 65_536
"""Bytes of a line of the stream that is read."""


class _Said(Struct):
    """The part of a message that names its session; places in queues have none."""

    session_id: UUID | None = None


_read = msgspec.json.Decoder(_Said).decode


class Lines(Protocol):
    """Calls `line` with each line of a body, and fires `ended` after the last."""

    def __init__(self, line: Callable[[bytes], None]) -> None:
        self._line = line
        self._rest = b""
        self.ended: Deferred[None] = Deferred(lambda _: self.stop())

    def dataReceived(self, data: bytes) -> None:
        """Some of the body."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line)
        if len(self._rest) > MAX_LINE:
            self.stop()

    def stop(self) -> None:
        """Reads no more, and ends the connection."""
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The stream has ended."""
        if not self.ended.called:
            self.ended.callback(None)


class PlayerStream:
    """The stream of one player, which is open while `wait` waits.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        url: that of the stream.
        token: returns a bearer token.
    """

    def __init__(self, reactor: IReactorTime, url: str, token: Callable[[], Any]) -> None:
        self._reactor = reactor
        self._client = HTTPClient(Agent(reactor, connectTimeout=ANSWER_TIMEOUT))
        self._url = url
        self._token = token
        self._missing = False

    async def wait(self, known: Collection[UUID], otherwise: float) -> None:
        """Waits for a session that is not `known`, or `otherwise` seconds where the stream cannot be read, or ends."""
        if not self._missing:
            try:
                if await self._read_stream(known):
                    return
            except CancelledError:
                raise
            except Exception:  # of many classes; the next request for sessions says why.
                pass
        await deferLater(self._reactor, otherwise)

    async def _read_stream(self, known: Collection[UUID]) -> bool:
        """Reads until a new session appears; False if the stream ended first."""
        headers = Headers({"Authorization": [f"Bearer {await self._token()}"], "Accept": ["text/event-stream"]})
        asked = self._client.get(self._url, headers=headers, unbuffered=True, timeout=ANSWER_TIMEOUT)
        response = await asked
        self._missing = response.code == 404
        found = False

        def line(text: bytes) -> None:
            nonlocal found
            if text.startswith(b"data: "):
                session_id = _read(text[6:]).session_id
                if session_id is not None and session_id not in known:
                    found = True
                    lines.stop()

        lines = Lines(line if response.code == 200 else lambda text: None)
        response.deliverBody(lines)
        await lines.ended
        return found
