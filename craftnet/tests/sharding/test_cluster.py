"""Tests slots and revocations that workers share."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from craftnet.access.revocation.revocations import Revocation
from craftnet.interfaces import ICluster
from craftnet.providers.shards import Shards
from craftnet.sharding import links
from craftnet.tests.contracts.cluster import LOGIN, TOKEN, ClusterContract, RevocationRecorder
from craftnet.tests.support.eventually import until
from craftnet.tests.support.samples import PLAYER
from craftnet.tests.support.workers_case import ECHO, Worker, WorkersTestCase


class ClusterTests(ClusterContract, WorkersTestCase):
    """Players' places, and revocations. The second node counts those of `PLAYER`."""

    def setUp(self) -> None:
        super().setUp()
        self.nodes: list[Worker] = []

    async def node(self, listener: RevocationRecorder) -> ICluster:
        """Start another one, in the place of one that is not running."""
        counts = Shards(0, 2).of(PLAYER)
        running = {worker.shards.number for worker in self.nodes if worker.links.running}
        number = counts if 1 - counts in running else 1 - counts
        worker = Worker(self.folder, number, 2)
        worker.cluster.revocations.follow(listener)
        self.addCleanup(worker.stop)
        worker.start()
        self.nodes.append(worker)
        await self.settle()
        return worker.cluster

    async def settle(self) -> None:
        """Waits until all workers have received everything."""
        running = [worker for worker in self.nodes if worker.links.running]
        if len(running) == 2:
            await until(lambda: all(worker.links.complete for worker in running))
            for worker in running:
                await worker.links.call(1 - worker.shards.number, ECHO, None)

    def of(self, node: ICluster) -> Worker:
        """The worker whose cluster this is."""
        return next(worker for worker in self.nodes if worker.cluster is node)

    async def die(self, node: ICluster) -> None:
        """As its process does."""
        worker = self.of(node)
        lost: list[int] = []
        for other in self.nodes:
            other.links.on_lost(lost.append)
        await worker.stop()
        if any(other.links.running for other in self.nodes):
            await until(lambda: worker.shards.number in lost)

    async def lapse(self, node: ICluster) -> None:
        """Nothing lapses: it is as if its connection was lost."""
        await self.die(node)

    async def come_back(self, node: ICluster) -> None:
        """It connects again."""
        self.of(node).start()
        await self.settle()

    async def test_interfaces(self) -> None:
        await super().test_interfaces()
        verifyObject(ICluster, self.nodes[0].cluster)

    async def test_a_starting_node_receives_the_revocations_in_force(self) -> None:
        """From a living worker: when all have ended, none is known."""
        node, other = await self.node(RevocationRecorder()), RevocationRecorder()
        await self.node(other)
        await node.revocations.publish(TOKEN)
        await node.revocations.publish(LOGIN)
        await self.settle()
        await self.die(node)
        late = RevocationRecorder()
        await (await self.node(late)).revocations.loaded()
        self.assertEqual(late.heard, {TOKEN, LOGIN})

    async def test_a_worker_is_gone(self) -> None:
        """A revocation is published without it: it has no connections."""
        node, other = await self.two()
        await self.die(other)
        await node.revocations.publish(Revocation("t-9", None, 0.0, 1e12))
        self.assertFalse(node.revocations.complete)
        await node.revocations.loaded()

    async def test_no_worker_to_ask(self) -> None:
        """When the counting worker is gone, slots are granted; it receives them when there is one again."""
        self.patch(links, "RESTART_WAIT", 0.05)
        node, other = await self.two()
        await self.die(other)
        self.assertEqual(await self.enter(node, 2), 2)
        another = await self.node(RevocationRecorder())
        self.assertEqual(await self.enter(another, 5), 3)

    async def test_not_wanted_any_more(self) -> None:
        """A place that was asked for, and is not wanted when the answer comes, is given back."""
        node, other = await self.two()
        asked = node.connection_slots.enter(PLAYER, 5)
        asked.addErrback(lambda failure: self._cancelled(failure))
        asked.cancel()
        await self.settle()
        await self.settle()
        self.assertEqual(await self.enter(other, 6), 5)

    def _cancelled(self, failure: Failure) -> None:
        failure.trap(CancelledError)
