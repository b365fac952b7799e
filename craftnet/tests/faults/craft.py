"""The crafting authority of the fault tests: crafts with numbered news, so that a lost one shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any
from uuid import UUID

import msgspec
import treq
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.web.http_headers import Headers

from craftnet.access.principal import PUBLISH
from craftnet.tests.faults.players import Player, bearer
from craftnet.tests.support.live import envelope
from craftnet.tests.support.samples import IRON, RECIPE

AGAIN = 0.05
"""Seconds until an event that was not accepted is sent again."""

POST = 1.5
"""Seconds for an answer."""

ENDS: dict[str, tuple[str, dict[str, Any]]] = {
    "completed": ("complete", {"result_item_id": str(RECIPE), "duration_seconds": 5}),
    "failed": ("fail", {"failure_reason": "system_error"}),
}


class Authority:
    """Posts events until they are accepted.

    Arguments:
        urls: of the nodes; empty for one that is not running.

    Attributes:
        rejected: the rejected events, each with the reason.
        posted: the number of accepted events.
    """

    def __init__(self, urls: Callable[[], Sequence[str]], random: Random) -> None:
        self._urls = urls
        self._random = random
        self.rejected: list[str] = []
        self.posted = 0

    async def post(self, *events: dict[str, Any]) -> bool:
        """Post to any node, repeatedly, as an authority must that loses nothing; whether all were accepted."""
        headers = Headers({"Authorization": [f"Bearer {bearer(None, PUBLISH)}"], "Content-Type": ["application/json"]})
        body = msgspec.json.encode(events)
        while True:
            url = self._random.choice(self._urls())
            try:
                response = await treq.post(f"{url}/events", headers=headers, data=body, persistent=False, timeout=POST)
                answer = await response.content()
            except Exception:  # it does not run, or stands still.
                answer = b""
            else:
                if response.code == 202:
                    break
                if response.code not in (502, 503, 504):
                    raise AssertionError(f"{response.code}: {answer!r}")
            await deferLater(reactor, AGAIN)
        self.posted += len(events)
        rejected = msgspec.json.decode(answer)["rejected"]
        self.rejected += [f"{one}: {events!r}" for one in rejected]
        return not rejected


class Craft:
    """A craft and the truth about it.

    Attributes:
        status: of the craft.
        shortages: the number of the newest; 0 when it is unknown.
        place: in the queue; 0 when there is none.
        players: those who watch the craft, and the queue.
    """

    def __init__(self, authority: Authority, random: Random, players: Callable[[str, UUID, int], Player]) -> None:
        self._authority = authority
        self._random = random
        self.session, self.player = UUID(int=random.getrandbits(128)), UUID(int=random.getrandbits(128))
        self.status = ""
        self.shortages = 0
        self.queue_position = 0
        self._newest = 0
        crafting = f"/ws/crafting/{self.session}?player_id={self.player}"
        self.players = [players(crafting, self.player, node) for node in range(2)]
        self.queue = [players(f"/ws/queue/{self.player}", self.player, node) for node in range(2)]

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.status in ENDS

    @property
    def uninformed(self) -> Sequence[Player]:
        """The players who do not know the truth yet."""
        return [player for player in self.players if not self.knows(player)] + [
            player
            for player in self.queue
            if self.queue_position and player.record.positions[-1:] != [self.queue_position]
        ]

    @property
    def known(self) -> bool:
        """Whether all players know the truth."""
        return not self.uninformed

    def knows(self, player: Player) -> bool:
        """Whether a player of the craft has."""
        record = player.record
        if not player.watching:
            return False
        if self.over:
            return record.status == self.status
        return record.status == self.status and (not self.shortages or record.shortages[-1:] == [self.shortages])

    async def start(self) -> None:
        """It waits, and begins."""
        await self.step_in_queue()
        data = {"session_id": str(self.session), "player_id": str(self.player), "recipe_id": str(RECIPE)}
        material = {"material_id": str(IRON), "quantity": 10, "quality": 50}
        more = {"estimated_duration_seconds": 3000, "materials": [material]}
        await self._authority.post(envelope("crafting.session.start", {**data, **more}))
        self.status = "active"
        await self.shortage()

    async def step(self) -> None:
        """Something happens."""
        moves = [self.shortage, self.shortage, self.turn, *([self.step_in_queue] if self.queue_position else [])]
        await self._random.choice(moves)()

    async def shortage(self) -> None:
        """Another shortage. After Redis has lost the materials alone, no player receives further ones."""
        number = self._newest + 1
        news = {"material_id": str(IRON), "notification_type": "insufficient_quantity", "required_quantity": number}
        data = {"session_id": str(self.session), "notifications": [news]}
        self._newest = number
        accepted = await self._authority.post(envelope("crafting.materials.update", data))
        self.shortages = number if accepted else 0

    async def step_in_queue(self) -> None:
        """Another place."""
        queue_position = self.queue_position % 900 + 1
        data = {"player_id": str(self.player), "queue_position": queue_position, "station_type": "laboratory"}
        await self._authority.post(envelope("crafting.queue.update", data, session_id=str(self.session)))
        self.queue_position = queue_position

    async def leave_queue(self) -> None:
        """The player leaves the queue."""
        data = {
            "player_id": str(self.player),
            "queue_position": max(1, self.queue_position),
            "station_type": "laboratory",
        }
        data["type"] = "queue_timeout"
        await self._authority.post(envelope("crafting.queue.update", data, session_id=str(self.session)))
        self.queue_position = 0

    async def turn(self) -> None:
        """The craft pauses or resumes."""
        data: dict[str, Any] = {"session_id": str(self.session)}
        if self.status == "active":
            await self._authority.post(envelope("crafting.session.pause", {**data, "pause_reason": "player_afk"}))
            self.status = "paused"
        else:
            await self._authority.post(envelope("crafting.session.resume", data))
            self.status = "active"

    async def end(self) -> None:
        """In one of several ways; several times is no error."""
        if self.over:
            return
        status = self._random.choice(sorted(ENDS))
        kind, more = ENDS[status]
        await self._authority.post(envelope(f"crafting.session.{kind}", {"session_id": str(self.session), **more}))
        self.status = status

    async def publish_again(self) -> None:
        """All that is true, after Redis may have lost it."""
        status = self.status
        await self.start()
        await self.step_in_queue()
        if status in ENDS:
            kind, more = ENDS[status]
            await self._authority.post(envelope(f"crafting.session.{kind}", {"session_id": str(self.session), **more}))
            self.status = status
        elif status == "paused":
            data = {"session_id": str(self.session), "pause_reason": "player_afk"}
            await self._authority.post(envelope("crafting.session.pause", data))
            self.status = status
        else:
            resumed = envelope("crafting.session.resume", {"session_id": str(self.session)})
            await self._authority.post(resumed)

    async def flood(self, number: int) -> None:
        """A burst of reports."""
        data = {"session_id": str(self.session), "status": "active"}
        reports = [
            envelope("crafting.session.progress", {**data, "progress_percentage": 0.001 * count})
            for count in range(number)
        ]
        if self.status == "active":
            await self._authority.post(*reports)
