"""A cluster in memory: nodes of one process that share it as others share a Redis."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.access.revocation.revocations import Revocation
from craftnet.errors import Unavailable
from craftnet.interfaces import ICluster, IRevocationListener, ISharedConnectionSlots, ISharedRevocations

LEASE = 15.0
"""Seconds."""


class FakeCluster:
    """What all nodes share.

    Attributes:
        gone: whether it is unreachable.
        hangs: whether requests about slots get no answer for now.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.gone = False
        self.hangs = False
        self.kept: list[Revocation] = []
        self.nodes: list[FakeNode] = []

    def node(self) -> FakeNode:
        """One more."""
        self.nodes.append(FakeNode(self))
        return self.nodes[-1]


@implementer(ICluster)
class FakeNode:
    """One node."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.revocations = FakeRevocations(cluster)
        self.connection_slots = FakeConnectionSlots(cluster)


@implementer(ISharedRevocations)
class FakeRevocations:
    """Its part in the revocations."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.listener: IRevocationListener | None = None
        self.complete = True

    def start(self) -> None:
        """As a service's start: load."""
        if self.listener is not None:
            self.listener.revoked(self._cluster.kept)

    def follow(self, listener: IRevocationListener) -> None:
        """As in the interface."""
        self.listener = listener

    def loaded(self) -> Deferred[None]:
        """As in the interface."""
        return fail(Unavailable("The cluster is gone.")) if self._cluster.gone else succeed(None)

    def publish(self, revocation: Revocation) -> Deferred[None]:
        """As in the interface."""
        if self._cluster.gone:
            return fail(Unavailable("The cluster is gone."))
        self._cluster.kept.append(revocation)
        for node in self._cluster.nodes:
            if node.revocations.listener is not None:
                node.revocations.listener.revoked([revocation])
        return succeed(None)


@implementer(ISharedConnectionSlots)
class FakeConnectionSlots:
    """Its part in the places."""

    def __init__(self, cluster: FakeCluster) -> None:
        self._cluster = cluster
        self.taken: Counter[UUID] = Counter()
        self.complete = True
        self.leased_until = cluster.clock.seconds() + LEASE

    def renew(self) -> None:
        """The lease holds again."""
        self.leased_until = self._cluster.clock.seconds() + LEASE

    def enter(self, player_id: UUID, limit: int) -> Deferred[bool]:
        """As in the interface."""
        if self._cluster.hangs:
            return Deferred()
        now = self._cluster.clock.seconds()
        leased = [
            node.connection_slots
            for node in self._cluster.nodes
            if node.connection_slots is self or node.connection_slots.leased_until > now
        ]
        if not self._cluster.gone and sum(slots.taken[player_id] for slots in leased) >= limit:
            return succeed(False)
        self.taken[player_id] += 1
        return succeed(True)

    def leave(self, player_id: UUID) -> None:
        """As in the interface."""
        self.taken[player_id] -= 1
