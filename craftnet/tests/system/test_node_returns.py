"""A watcher whose node is killed comes back to the other one, and misses nothing: whole nodes, and our own client."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

import treq
from twisted.internet import reactor

from craftnet.client.core.address import Address
from craftnet.client.core.feed import WatchedSession
from craftnet.client.core.watch import Watch, WatchVerdict
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import steady
from craftnet.contract.messages import WebSocketCraftingMessage
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import envelope, started, token
from craftnet.tests.support.nodes import Node, NodesTestCase
from craftnet.tests.support.samples import IRON, PLAYER, SESSION
from craftnet.tests.support.watchers import Seen, give_up


def shortage(number: int) -> dict[str, Any]:
    """So much is needed of something."""
    news = {"material_id": str(IRON), "notification_type": "insufficient_quantity", "required_quantity": number}
    return envelope("crafting.materials.update", {"session_id": str(SESSION), "notifications": [news]})


def queue_status(number: int) -> dict[str, Any]:
    """The session's place in a queue."""
    waits = {"player_id": str(PLAYER), "queue_position": number, "station_type": "laboratory"}
    return envelope("crafting.queue.update", waits, session_id=str(SESSION))


class News(Seen):
    """What a watcher received, without progress.

    Attributes:
        shortages, places: every one.
        recoveries: the result of each return.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shortages: list[int | None] = []
        self.queue_positions: list[int] = []
        self.recoveries: list[bool] = []

    def updated(self, transport: str, update: Any, feed: WatchedSession) -> None:
        """As in `IObserver`."""
        super().updated(transport, update, feed)
        for message in update.messages:
            assert isinstance(message, WebSocketCraftingMessage)
            if message.recovered is not None:
                self.recoveries.append(message.recovered)
            if message.material_data is not None:
                self.shortages.append(message.material_data.required_quantity)
            if message.queue_data is not None:
                self.queue_positions.append(message.queue_data.queue_position)


class ReturnTests(NodesTestCase):
    async def test_node_killed(self) -> None:
        """What happened while the node was gone comes from the other one: each thing once."""
        await self.publish([started()])
        seen = News()
        address = Address(f"http://127.0.0.1:{self.balancer.port}")
        transport = WebSocketTransport(steady(reactor), address, SESSION, PLAYER, token())
        watching = Watch(reactor, SESSION, [transport], seen, Backoff(first=0.1, cap=0.5)).start()
        self.addCleanup(give_up, watching)
        await until(lambda: seen.percents)
        mine, other = self.nodes
        if not await self.watched(mine):
            mine, other = other, mine
        there = self.nodes.index(other)
        await self.publish([shortage(1), queue_status(9)], there)
        await until(lambda: seen.shortages and seen.queue_positions)
        os.kill(mine.pid, signal.SIGSTOP)
        await self.publish([shortage(2), queue_status(8), shortage(3), queue_status(7)], there)
        await mine.end(signal.SIGKILL)
        await until(lambda: seen.recoveries)
        await self.publish([shortage(4)], there)
        ending = {"session_id": str(SESSION), "result_item_id": str(SESSION), "duration_seconds": 3}
        await self.publish([envelope("crafting.session.complete", ending)], there)
        self.assertEqual((await watching).verdict, WatchVerdict.COMPLETED)
        self.assertEqual(seen.recoveries, [True])
        self.assertEqual((seen.shortages, seen.queue_positions), ([1, 2, 3, 4], [9, 8, 7]))
        self.assertEqual((seen.goes_back, len(seen.positions)), ("", 1))

    async def watched(self, node: Node) -> bool:
        """Whether the watcher is there."""
        response = await treq.get(f"{node.url}/metrics", persistent=False)
        return re.search(r'^craftnet_watchers\{feed="crafting"\} 1', await response.text(), re.MULTILINE) is not None
