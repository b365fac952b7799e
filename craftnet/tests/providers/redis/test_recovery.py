"""Watchers that hop between nodes on a real Redis, while it is killed and started again: each thing once, in order."""

from __future__ import annotations

import os
from random import Random

from twisted.internet import reactor
from twisted.internet.task import deferLater

from craftnet.clocks import steady
from craftnet.contract.events import Event
from craftnet.contract.messages import Status
from craftnet.errors import Unavailable
from craftnet.feeds.hub import Hub
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.sources import Sources
from craftnet.tests.contracts.source import progress, queued
from craftnet.tests.support.eventually import until
from craftnet.tests.support.redis_nodes import RedisTestCase
from craftnet.tests.support.returning import Returning, short
from craftnet.tests.support.samples import NOW, SESSION, event, start

SEED = int(os.environ.get("CRAFTNET_SEED", "20"))
"""The seed of the history; any number will do."""

STEPS = 300
WATCHERS = 6


class HoppingTests(RedisTestCase):
    durable = True
    timeout = 60

    async def test_seed(self) -> None:
        random = Random(SEED)
        sources = [Sources.of(self.backend()) for _ in range(2)]
        hubs = [Hub(each, steady(reactor), Metrics()) for each in sources]
        await self.publish(sources[0], event(start()))
        clients = [Returning(random.choice(hubs)) for _ in range(WATCHERS)]
        for client in clients:
            await self.come(client)
        sent: dict[str, list[int]] = {"shortages": [], "places": []}
        status = Status.ACTIVE
        kills = set(random.sample(range(50, STEPS - 50), 2))
        for step in range(STEPS):
            now, node = NOW + step, random.choice(sources)
            match random.randrange(10):
                case 0 | 1 | 2:
                    sent["shortages"].append(step)
                    await self.publish(node, event(short(step + 1), now))
                case 3 | 4:
                    sent["places"].append(step + 1)
                    await self.publish(node, event(queued(step + 1), now, session_id=SESSION))
                case 5:
                    status = random.choice([Status.ACTIVE, Status.PAUSED])
                    await self.publish(node, event(progress(10.0, status), now))
                case 6:
                    await deferLater(reactor, 0.002)
                case _:
                    await self.move(random.choice(clients), random.choice(hubs))
            if step in kills:
                self.server.kill()
                await deferLater(reactor, 0.02)
                self.server.start()
        shortages = [number + 1 for number in sent["shortages"]]
        for client in clients:
            await self.move(client, random.choice(hubs))
            await until(lambda client=client: self.knows(client, shortages, sent["places"], status))  # type: ignore[misc]
            # Since the last whole state, everything once and in order.
            self.assertEqual(client.shortages, shortages[len(shortages) - len(client.shortages) :])
            self.assertEqual(client.positions, sent["places"][len(sent["places"]) - len(client.positions) :])
        returns = [recovered for client in clients for recovered in client.recoveries]
        self.assertGreater(returns.count(True), returns.count(False))

    def knows(self, client: Returning, shortages: list[int], positions: list[int], status: Status) -> bool:
        """Whether it has heard the last of everything."""
        client.read()
        heard = client.shortages[-1:], client.positions[-1:], client.status
        return heard == (shortages[-1:], positions[-1:], status)

    async def publish(self, sources: Sources, event_: Event) -> None:
        """As the authority does: the same again until it is taken."""
        while True:
            try:
                (outcome,) = await sources.apply([event_])
            except Unavailable:
                await deferLater(reactor, 0.01)
            else:
                self.assertEqual(outcome.reason, "")
                return

    async def move(self, client: Returning, hub: Hub) -> None:
        """It loses its connection, and finds one of the nodes."""
        client.read()
        client.go()
        client.hub = hub
        await self.come(client)
        client.read()

    async def come(self, client: Returning) -> None:
        """As clients do: retries until it is admitted."""
        while True:
            try:
                await client.come()
            except Unavailable:
                await deferLater(reactor, 0.01)
            else:
                return
