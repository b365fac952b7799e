"""Two workers on one Redis, as an operator runs them: one port, one state."""

from __future__ import annotations

import os
import signal

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from craftnet.client.transports.udp import UdpTransport
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.tests.support.authority import insist
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import envelope
from craftnet.tests.support.nodes import Node, listens
from craftnet.tests.support.ports import reserved_port
from craftnet.tests.support.processes import children
from craftnet.tests.support.redis_server import RedisServer
from craftnet.tests.support.samples import PLAYER, RECIPE, SESSION
from craftnet.tests.support.watchers import Seen, connections, give_up, watch

WATCHERS = 20
"""Enough for both workers to have some."""


class WorkersTests(TestCase):
    timeout = 60

    async def setUp(self) -> None:  # type: ignore[override]  # trial awaits it; unittest would not.
        """Start it all."""
        redis = RedisServer()
        self.addCleanup(redis.stop)
        redis.start()
        options = ["--workers", "2", "--http", f"tcp:{reserved_port(self)}:interface=127.0.0.1", "--udp", "127.0.0.1:0"]
        options += ["--udp-heartbeat", "1000", "--drain-time", "0.2", "--backend", f"redis:port={redis.port}"]
        self.node = Node(options)
        self.addCleanup(self.node.end)
        await self.node.start()
        await self.listening(2)

    async def test_one_service(self) -> None:
        """The watchers of both workers receive what one accepts, through the death of one; then all end in order."""
        await self.publish("session.start", {"player_id": str(PLAYER), "recipe_id": str(RECIPE)})
        watchers = [self.watch() for _ in range(WATCHERS)]
        (player,) = udp = [self.watch(UdpTransport)]
        await until(lambda: all(seen.percents for seen in (*watchers, *udp)))
        for transport, number in (("websocket", WATCHERS), ("udp", 1)):
            while await connections(self.node.url, transport) != number:  # workers show each other's figures late.
                await deferLater(reactor, 0.05)
        await self.publish("session.progress", {"progress_percentage": 20, "status": "active"})
        await until(lambda: all(seen.percents[-1] == 20 for seen in (*watchers, *udp)))

        before = children(self.node.pid)
        os.kill(min(before), signal.SIGKILL)
        await until(lambda: any(seen.endings for seen in watchers))
        await self.publish("session.progress", {"progress_percentage": 40, "status": "active"})
        await until(lambda: all(seen.percents[-1] == 40 for seen in (*watchers, *udp)))
        self.assertTrue(0 < sum(len(seen.endings) > 0 for seen in watchers) < WATCHERS)
        self.assertLessEqual(len(player.endings), 1)
        await self.listening(3)
        self.assertEqual(len(children(self.node.pid) - before), 1)
        while await connections(self.node.url, "websocket") != WATCHERS:
            await deferLater(reactor, 0.05)
        await self.publish("session.progress", {"progress_percentage": 60, "status": "active"})
        await until(lambda: all(seen.percents[-1] == 60 for seen in (*watchers, *udp)))
        self.assertEqual([seen.goes_back for seen in watchers if seen.goes_back], [])

        for seen in watchers:
            seen.endings.clear()
        self.assertEqual(await self.node.end(signal.SIGTERM), 0)
        await until(lambda: all(seen.endings for seen in watchers))
        self.assertEqual([seen for seen in watchers if "(1001)" not in seen.endings[0].reason], [])

    async def test_orphans(self) -> None:
        """Workers stop by themselves, in order, when the process that started them is gone."""
        await self.publish("session.start", {"player_id": str(PLAYER), "recipe_id": str(RECIPE)})
        watchers = [self.watch() for _ in range(WATCHERS)]
        await until(lambda: all(seen.percents for seen in watchers))
        os.kill(self.node.pid, signal.SIGKILL)
        await until(lambda: all(seen.endings for seen in watchers))
        self.assertEqual([seen for seen in watchers if "(1001)" not in seen.endings[0].reason], [])
        await until(lambda: not listens(self.node.port))
        # One may have returned to a worker that ended a moment later.
        await until(lambda: all("refused" in seen.endings[-1].reason for seen in watchers))

    async def listening(self, times: int) -> None:
        """Waits until `number` workers have listened since the start."""
        await until(lambda: self.node.text.count("HTTP and WebSocket: ") == times)

    def watch(self, kind: type[WebSocketTransport | UdpTransport] = WebSocketTransport) -> Seen:
        """One more watcher."""
        seen, watching = watch(self.node.port, SESSION, PLAYER, kind)
        self.addCleanup(give_up, watching)
        return seen

    async def publish(self, kind: str, data: dict[str, object]) -> None:
        """One event, to whichever worker."""
        event = envelope(f"crafting.{kind}", {"session_id": str(SESSION), **data})
        await insist(lambda _: self.node.url, [event])
