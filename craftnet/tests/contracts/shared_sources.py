"""What a back end must do whose sources are `ISharedSource`, and those of materials and queues `IRecallingSource`, too.

To be mixed into a `twisted.trial.unittest.TestCase`, beside `craftnet.tests.contracts.backend.backend.BackendContract`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zope.interface.verify import verifyObject

from craftnet.contract.messages import QueueMessageType
from craftnet.contract.position import HISTORY_LENGTH
from craftnet.interfaces import IBackend, IRecallingSource, ISharedSource
from craftnet.tests.contracts.source import MaterialRecorder, QueueRecorder, quantity, queued
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, OTHER_SESSION, PLAYER, SESSION, event, start

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase

    Suite = TestCase
else:
    Suite = object  # a suite that were a TestCase itself would be run without a provider.


def recalling(node: IBackend) -> tuple[Any, Any]:
    """The sources that recall: of the materials, and of the queues."""
    return node.materials, node.queues


class SharedBackendContract(Suite):
    """`make_nodes` gives two nodes on one empty store, ready for use."""

    async def make_nodes(self) -> tuple[IBackend, IBackend]:
        """The provider under test, twice."""
        raise NotImplementedError

    async def updated(self, node: IBackend) -> None:
        """Wait until listeners of this node have heard all that was applied so far."""

    async def test_shared_interfaces(self) -> None:
        for node in await self.make_nodes():
            for source in (node.sessions, node.materials, node.queues):
                verifyObject(ISharedSource, source)
            for source in (node.materials, node.queues):
                verifyObject(IRecallingSource, source)

    async def test_shared_epoch(self) -> None:
        """As soon as it is used, one name everywhere."""
        nodes = await self.make_nodes()
        for node in nodes:
            await node.materials.apply([event(start(OTHER_SESSION))])
            await self.updated(node)
        for kind in ("sessions", "materials", "queues"):
            one, other = (getattr(node, kind).epoch for node in nodes)
            self.assertIsInstance(one, str)
            self.assertEqual(one, other)

    async def test_caught_up(self) -> None:
        """After waiting, a node has received everything stored before; without changes it does not wait."""
        here, there = await self.make_nodes()
        material_changes, queue_changes = MaterialRecorder(), QueueRecorder()
        await here.materials.watch(SESSION, material_changes)
        await here.queues.watch(PLAYER, queue_changes)
        await there.materials.apply([event(start()), event(quantity(3), NOW + 1)])
        await there.queues.apply([event(queued(2))])
        shared: tuple[Any, ...] = (here.sessions, here.materials, here.queues)
        waiting = [source.caught_up(key) for source, key in zip(shared, (SESSION, SESSION, PLAYER), strict=True)]
        await self.updated(here)
        for each in waiting:
            await each
        self.assertEqual((len(material_changes.heard), len(queue_changes.heard)), (2, 1))
        for source, key in zip(shared, (OTHER_SESSION, OTHER_SESSION, OTHER_PLAYER), strict=True):
            await source.caught_up(key)
            self.assertEqual(source.stalled, "")

    async def test_recall_of_what_another_node_took(self) -> None:
        """Each change as a listener receives it, although nothing listens here."""
        here, there = await self.make_nodes()
        material_changes, queue_changes = MaterialRecorder(), QueueRecorder()
        await there.materials.apply([event(start())])
        await there.materials.watch(SESSION, material_changes)
        await there.queues.watch(PLAYER, queue_changes)
        await there.materials.apply([event(quantity(number), NOW + number) for number in (3, 4, 5)])
        await there.queues.apply([event(queued(2)), event(queued(1, QueueMessageType.STATION_AVAILABLE), NOW + 1)])
        await self.updated(there)
        self.assertEqual((len(material_changes.heard), len(queue_changes.heard)), (3, 2))
        materials, queues = recalling(here)
        self.assertEqual(await materials.recall(SESSION, 1), material_changes.heard)
        self.assertEqual(await materials.recall(SESSION, 3), material_changes.heard[-1:])
        self.assertEqual(await queues.recall(PLAYER, 0), queue_changes.heard)

    async def test_recall_of_nothing(self) -> None:
        materials, queues = recalling((await self.make_nodes())[0])
        await materials.apply([event(start())])
        await queues.apply([event(queued(2))])
        for version in (1, 2, 7):
            self.assertEqual(await materials.recall(SESSION, version), [])
            self.assertEqual(await queues.recall(PLAYER, version), [])
        self.assertEqual(await materials.recall(OTHER_SESSION, 0), [])
        self.assertEqual(await queues.recall(OTHER_PLAYER, 0), [])

    async def test_recall_of_too_much(self) -> None:
        """Without the first of them, the others are worth nothing."""
        materials, _ = recalling((await self.make_nodes())[0])
        await materials.apply([event(start()), *(event(quantity(7), NOW + number) for number in range(HISTORY_LENGTH))])
        self.assertEqual(await materials.recall(SESSION, 0), [])
        recalled = await materials.recall(SESSION, 1)
        self.assertEqual([change.state.version for change in recalled], [*range(2, HISTORY_LENGTH + 2)])
