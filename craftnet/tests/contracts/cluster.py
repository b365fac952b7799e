"""What every cluster must do: one suite for each of its two halves, to be mixed into a `TestCase` of trial."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from uuid import UUID

from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.access.revocation.revocations import Revocation
from craftnet.interfaces import ICluster, IRevocationListener, ISharedConnectionSlots, ISharedRevocations
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER

if TYPE_CHECKING:
    from twisted.trial.unittest import TestCase

    Suite = TestCase
else:
    Suite = object  # a suite that were a TestCase itself would be run without a cluster.

END = NOW + 1e9
"""For tests without a running node."""

TOKEN = Revocation("t-1", None, 0.0, END)
"""A token that is revoked."""

LOGIN = Revocation(None, PLAYER, NOW, END)
"""A player's tokens that are revoked."""


@implementer(IRevocationListener)
class RevocationRecorder:
    """Records revocations; knows some from elsewhere."""

    def __init__(self, *known: Revocation) -> None:
        self.heard: set[Revocation] = set()
        self.known = known

    def revoked(self, revocations: Sequence[Revocation]) -> None:
        """Keep them."""
        self.heard.update(revocations)

    def in_force(self) -> Sequence[Revocation]:
        """The revocations known before, and those received."""
        return (*self.known, *self.heard)


class ClusterContract(Suite):
    """To be provided: `node`, `settle`, `die`, `lapse` and `come_back`."""

    async def node(self, listener: RevocationRecorder) -> ICluster:
        """Start another node."""
        raise NotImplementedError

    async def settle(self) -> None:
        """Waits until all nodes have received everything."""
        raise NotImplementedError

    async def die(self, node: ICluster) -> None:
        """The node disappears silently, and its lease expires."""
        raise NotImplementedError

    async def lapse(self, node: ICluster) -> None:
        """The node's lease expires although it is alive and does not notice."""
        raise NotImplementedError

    async def come_back(self, node: ICluster) -> None:
        """The node renews its lease after it lapsed."""
        raise NotImplementedError

    async def two(self) -> tuple[ICluster, ICluster]:
        """Nodes."""
        return await self.node(RevocationRecorder()), await self.node(RevocationRecorder())

    async def enter(self, node: ICluster, times: int = 1, player: UUID = PLAYER, limit: int = 5) -> int:
        """The number of slots granted out of `attempts`."""
        taken = 0
        for _ in range(times):
            taken += await node.connection_slots.enter(player, limit)
        return taken

    async def test_interfaces(self) -> None:
        node, _ = await self.two()
        verifyObject(ICluster, node)
        verifyObject(ISharedRevocations, node.revocations)
        verifyObject(ISharedConnectionSlots, node.connection_slots)
        await node.revocations.loaded()
        self.assertTrue(node.revocations.complete)
        self.assertTrue(node.connection_slots.complete)

    async def test_all_nodes_hear(self) -> None:
        here, there = RevocationRecorder(), RevocationRecorder()
        node = await self.node(here)
        await self.node(there)
        await node.revocations.publish(TOKEN)
        await node.revocations.publish(LOGIN)
        await self.settle()
        self.assertLessEqual({TOKEN, LOGIN}, there.heard)

    async def test_a_starting_node_receives_the_revocations_in_force(self) -> None:
        node = await self.node(RevocationRecorder())
        await node.revocations.publish(TOKEN)
        await node.revocations.publish(LOGIN)
        await self.die(node)
        late = RevocationRecorder()
        await (await self.node(late)).revocations.loaded()
        self.assertEqual(late.heard, {TOKEN, LOGIN})

    async def test_one_limit_for_all_nodes(self) -> None:
        node, other = await self.two()
        self.assertEqual(await self.enter(node, 3), 3)
        self.assertEqual(await self.enter(other, 3), 2)
        self.assertEqual(await self.enter(node), 0)
        self.assertEqual(await self.enter(other, player=OTHER_PLAYER), 1)
        node.connection_slots.leave(PLAYER)
        await self.settle()
        self.assertEqual(await self.enter(other, 2), 1)

    async def test_a_refused_connection_takes_no_slot(self) -> None:
        node, other = await self.two()
        await self.enter(node, 5)
        self.assertEqual(await self.enter(other, 20), 0)
        for _ in range(5):
            node.connection_slots.leave(PLAYER)
        await self.settle()
        self.assertEqual(await self.enter(other, 6), 5)

    async def test_all_at_once(self) -> None:
        """However their questions mix, the limit holds, and not one less gets in."""
        nodes = await self.two()
        asked = [nodes[number % 2].connection_slots.enter(PLAYER, 5) for number in range(20)]
        self.assertEqual(sum([await taken for taken in asked]), 5)

    async def test_a_dead_node_holds_no_slots(self) -> None:
        node, other = await self.two()
        await self.enter(node, 5)
        await self.die(node)
        self.assertEqual(await self.enter(other, 6), 5)

    async def test_a_node_whose_lease_lapsed_regains_its_slots(self) -> None:
        node, other = await self.two()
        await self.enter(node, 4)
        await self.lapse(node)
        self.assertEqual(await self.enter(other), 1)
        node.connection_slots.leave(PLAYER)
        await self.come_back(node)
        await self.settle()
        self.assertEqual(await self.enter(other, 5), 1)
