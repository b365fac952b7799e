"""One fault under load, and its effect on all watchers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from random import Random
from typing import Any
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred, gatherResults

from craftnet.tests.faults.craft import Authority, Craft
from craftnet.tests.faults.faults import Fault
from craftnet.tests.faults.players import Player
from craftnet.tests.faults.records import Opened, ReceivedMessage, describe, violations
from craftnet.tests.faults.world import World, sleep

SETTLE = 20.0
"""Seconds after a fault within which all players must know the truth."""

POLL_INTERVAL = 0.05


class Result(Struct):
    """The result of a round.

    Attributes:
        wrong: the violations.
        returns, messages: their numbers.
    """

    wrong: list[str]
    returns: int
    messages: int


class Round:
    """One fault.

    Arguments:
        crafts: their number.
        steps: the number of events during the fault.
        flood: the number of reports in a burst while all players return; 0: none.
    """

    def __init__(
        self, world: World, fault: Fault, random: Random, *, crafts: int = 5, steps: int = 20, flood: int = 0
    ) -> None:
        self._world = world
        self._fault = fault
        self._random = random
        self._steps = steps
        self._flood = flood
        self._players: list[Player] = []
        self._authority = Authority(world.urls, random)
        self._crafts = [Craft(self._authority, random, self._player) for _ in range(crafts)]
        self._wrong: list[str] = []

    def _player(self, path: str, player: UUID, node: int) -> Player:
        made = Player(path, player, self._world.ports, node * (len(self._world.nodes) - 1), self._random)
        self._players.append(made)
        return made

    async def run(self) -> Result:
        """The whole of it."""
        try:
            await self._run()
        finally:
            for player in self._players:
                player.stop()
            await sleep(0.1)
        for player in self._players:
            for one in violations(player.record, lossless=self._fault.lossless):
                self._wrong.append(f"{one}\n    {describe(player.record)}")
        if self._fault.lossless:
            self._wrong += [f"rejected: {one}" for one in self._authority.rejected]
        needless = sum(player.record.missed for player in self._players)
        if self._fault.same_server and needless:
            self._wrong.append(f"{needless} returns were answered with a whole state, though nothing was lost")
        entries = [entry for player in self._players for entry in player.record.entries]
        returns = sum(isinstance(entry, Opened) for entry in entries)
        return Result(self._wrong, returns, sum(isinstance(entry, ReceivedMessage) for entry in entries))

    async def _run(self) -> None:
        if not await self._world.ready():
            self._wrong.append("a node was not ready before the fault")
        await self._together([craft.start() for craft in self._crafts])
        for player in self._players:
            player.start()
        await self._settled("before the fault")
        if not self._world.relays or not self._fault.lossless:
            self._world.keep_copy()
            await self._together([craft.step() for craft in self._crafts])
            await self._together([craft.shortage() for craft in self._crafts])
            # Queues without places lose their versions, too.
            await self._together([craft.leave_queue() for craft in self._crafts[::2]])
        fault = Deferred.fromCoroutine(self._inject())
        for _ in range(self._steps):
            await self._step()
        self._wrong += await fault
        self._wrong += await self._fault.end(self._world, self._random)
        await self._after()

    async def _inject(self) -> list[str]:
        return [*await self._fault.begin(self._world, self._random)]

    async def _step(self) -> None:
        """An event, a return, or the end of a craft."""
        craft = self._random.choice(self._crafts)
        drawn = self._random.random()
        if drawn < 0.15:
            await craft.end()
            await sleep(POLL_INTERVAL)
            # A player who has received the end over one connection must not receive less over another.
            for player in craft.players:
                if player.record.ended:
                    player.hop(len(self._world.nodes) - 1)
        elif self._flood and drawn < 0.2 and not craft.over:
            await craft.flood(self._flood)
            for player in self._players:
                player.hop()
        elif not craft.over:
            await craft.step()
        for player in self._random.sample(self._players, 2):
            player.hop(forgetful=self._random.random() < 0.2)
        await sleep(self._random.uniform(0.0, 2 * POLL_INTERVAL))

    async def _after(self) -> None:
        if not await self._world.ready():
            self._wrong.append("a node was not ready after the fault")
        if not self._fault.lossless:
            await sleep(1.5)  # until every node has noticed the fault.
            for player in self._players:
                player.hop()
            # Those of a craft that Redis has lost are refused, until it is published again.
            if not await self._wait(lambda: all(player.answered for player in self._players)):
                self._wrong.append("a player was neither accepted nor refused after the fault")
            await self._together([craft.publish_again() for craft in self._crafts])
        else:
            await self._together([craft.shortage() for craft in self._crafts if not craft.over])
        await self._settled("after the fault")
        await self._together([craft.end() for craft in self._crafts])
        await self._settled("at the end")
        for player in self._players:
            player.hop()
        await self._settled("after all players have returned")

    async def _wait(self, condition: Callable[[], bool]) -> bool:
        """Wait until it holds; whether it does in time."""
        for _ in range(int(SETTLE / POLL_INTERVAL)):
            if condition():
                return True
            await sleep(POLL_INTERVAL)
        return False

    async def _settled(self, when: str) -> None:
        if await self._wait(lambda: all(craft.known for craft in self._crafts)):
            return
        for craft in self._crafts:
            for player in craft.uninformed:
                truth = f"{craft.status}, shortage {craft.shortages}, place {craft.queue_position}"
                self._wrong.append(f"{when}: a player does not know the truth ({truth})\n    {describe(player.record)}")

    async def _together(self, tasks: Sequence[Coroutine[Any, Any, None]]) -> None:
        running = [Deferred.fromCoroutine(task) for task in tasks]
        await gatherResults(running, consumeErrors=True)
