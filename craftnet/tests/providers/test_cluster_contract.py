"""The contract of clusters, on the fake of the tests and on a real Redis."""

from __future__ import annotations

import re

from twisted.trial.unittest import TestCase

from craftnet.interfaces import ICluster
from craftnet.providers.redis.backend import RedisBackend
from craftnet.tests.contracts.cluster import ClusterContract, RevocationRecorder
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fake_cluster import LEASE, FakeCluster, FakeNode
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.redis_nodes import RedisTestCase


class FakeContractTests(ClusterContract, TestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.cluster = FakeCluster(self.clock)
        self.dead: list[ICluster] = []

    async def node(self, listener: RevocationRecorder) -> ICluster:
        node = self.cluster.node()
        node.revocations.follow(listener)
        node.revocations.start()
        return node

    async def settle(self) -> None:
        """It does not wait for anything."""

    async def die(self, node: ICluster) -> None:
        await self.lapse(node)

    async def lapse(self, node: ICluster) -> None:
        self.clock.advance(LEASE)
        for other in self.cluster.nodes:
            if other is not node:
                other.connection_slots.renew()

    async def come_back(self, node: ICluster) -> None:
        assert isinstance(node, FakeNode)
        node.connection_slots.renew()


class RedisContractTests(ClusterContract, RedisTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.nodes: list[RedisBackend] = []

    async def node(self, listener: RevocationRecorder) -> RedisBackend:
        node = self.backend(listener=listener)
        self.nodes.append(node)
        await node.revocations.loaded()
        await node.connection_slots.renew()
        return node

    async def settle(self) -> None:
        for node in self.nodes:
            await node.connection_slots.renew()
        await until(lambda: all(node.connection_slots.settled for node in self.nodes))
        newest = self.server.command("XREVRANGE", "test:revocations", "+", "-", "COUNT", "1")
        number = re.search(rb"(\d+)-0", newest)
        if number is not None:
            await until(lambda: all(node.revocations.position == int(number[1]) for node in self.nodes))

    async def die(self, node: ICluster) -> None:
        assert isinstance(node, RedisBackend)
        self.nodes.remove(node)
        await self.lapse(node)
        node.connection_slots.name = None  # it does not say good-bye.
        await node.service.stopService()

    async def lapse(self, node: ICluster) -> None:
        assert isinstance(node, RedisBackend) and node.connection_slots.name is not None
        self.server.command("ZADD", "test:nodes", "1", node.connection_slots.name)

    async def come_back(self, node: ICluster) -> None:
        assert isinstance(node, RedisBackend)
        await node.connection_slots.renew()
