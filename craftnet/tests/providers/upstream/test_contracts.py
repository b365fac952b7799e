"""The contracts of back ends, held by edges of cores in this process."""

from __future__ import annotations

from twisted.trial.unittest import TestCase

from craftnet.interfaces import IBackend
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.tests.contracts.backend import BackendContract
from craftnet.tests.contracts.player_sessions import PlayerSessionsContract
from craftnet.tests.contracts.shared_sources import SharedBackendContract
from craftnet.tests.support.edges import Core, Edge, FedEdge, settle
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER, SESSION
from craftnet.tests.support.shared_nodes import Cluster, Node


async def fed_edge(core: Core, clock: SteppedClock) -> FedEdge:
    """An edge that follows its core."""
    edge = Edge(core, clock)
    await settle()
    return FedEdge(core, edge)


class EdgeContractTests(BackendContract, PlayerSessionsContract, TestCase):
    """The core keeps its state in memory. Events go to the core, as an edge refuses them."""

    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)

    async def settle(self) -> None:
        await settle()

    async def make_backend(self) -> IBackend:
        return await fed_edge(Core(MemoryBackend(self.clock, MemorySettings()), self.clock), self.clock)


class EdgesContractTests(SharedBackendContract, TestCase):
    """Two edges, each of another node of a core that remembers changes, are two nodes on one store."""

    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        self.cluster = Cluster(SESSION, PLAYER, self.clock)

    async def make_nodes(self) -> tuple[IBackend, IBackend]:
        cores = [Core(Node(self.cluster), self.clock) for _ in range(2)]
        return await fed_edge(cores[0], self.clock), await fed_edge(cores[1], self.clock)

    async def updated(self, node: IBackend) -> None:
        await settle()
        for each in self.cluster.nodes:
            for kind in range(3):
                each.hear(kind, 1000)
        await settle()
