"""Captures messages of a running server: follows players' event streams, and blanks what identifies them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import msgspec
from treq.client import HTTPClient
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import deferLater
from twisted.web.client import Agent
from twisted.web.http_headers import Headers

from craftnet.client.core.address import Address
from craftnet.client.core.api_requests import Requests
from craftnet.client.core.endings import Ending
from craftnet.client.transports.player_stream import ANSWER_TIMEOUT, Lines
from craftnet.clocks import IClock
from craftnet.contract.admin.feed import MAX_LIMIT
from craftnet.contract.admin.sessions import SessionPage
from craftnet.operator.dictionary.corpus import Blanking

LISTED_EVERY = 5.0
"""Seconds between two requests for the list of active sessions."""

_DATA = b"data: "


class Capture:
    """Captures messages for a given time.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        token: a bearer token with the scope `crafting:admin`.
        blanking: applied to each message.
        write: called with each message.
        players: maximum number of players followed at once.
    """

    def __init__(
        self,
        reactor: IClock,
        address: Address,
        token: str,
        blanking: Blanking,
        write: Callable[[bytes], object],
        players: int,
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._token = token
        self._blanking = blanking
        self._write = write
        self._players = players
        self._requests = Requests(reactor)
        self._client = HTTPClient(Agent(reactor, connectTimeout=ANSWER_TIMEOUT))
        self._open: dict[UUID, Deferred[None]] = {}
        self.messages = 0

    async def run(self, seconds: float, progress: Callable[[int, int], None]) -> Ending | None:
        """Captures for this many seconds; returns the reason if the server refused.

        Arguments:
            progress: called regularly with the numbers of players and messages.
        """
        end = self._reactor.seconds() + seconds
        try:
            while (left := end - self._reactor.seconds()) > 0:
                refused = await self._follow_more()
                if refused is not None:
                    return refused
                progress(len(self._open), self.messages)
                await deferLater(self._reactor, min(left, LISTED_EVERY))
            return None
        finally:
            streams = list(self._open.values())
            for stream in streams:
                stream.cancel()
            await DeferredList(streams)

    async def _follow_more(self) -> Ending | None:
        """Follows further crafting players, up to the maximum."""
        room = self._players - len(self._open)
        if room <= 0:
            return None
        answer = await self._requests.ask("GET", self._address.admin("sessions", limit=str(MAX_LIMIT)), self._token)
        if isinstance(answer, Ending):
            return answer
        found = dict.fromkeys(row.player_id for row in msgspec.json.decode(answer, type=SessionPage).sessions)
        for player_id in [each for each in found if each not in self._open][:room]:
            stream = self._open[player_id] = Deferred.fromCoroutine(self._read(player_id))
            stream.addBoth(self._ended, player_id)
        return None

    def _ended(self, result: object, player_id: UUID) -> None:
        del self._open[player_id]

    async def _read(self, player_id: UUID) -> None:
        """Reads a player's stream until it ends."""
        headers = Headers({"Authorization": [f"Bearer {self._token}"], "Accept": ["text/event-stream"]})
        url = self._address.player(player_id, "sse")
        response = await self._client.get(url, headers=headers, unbuffered=True, timeout=ANSWER_TIMEOUT)
        lines = Lines(self._line if response.code == 200 else lambda line: None)
        response.deliverBody(lines)
        await lines.ended

    def _line(self, line: bytes) -> None:
        if line.startswith(_DATA):
            self.messages += 1
            self._write(self._blanking.blank(line.removeprefix(_DATA).rstrip()) + b"\n")
