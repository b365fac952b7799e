"""Tests for `craftnet.access.revocation.revocations.enforcement`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.access.principal import Principal
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import Revocation, Revocations
from craftnet.clocks import moment
from craftnet.errors import TooManyRequests, Unavailable
from craftnet.interfaces import IRevocationListener
from craftnet.tests.support.fake_cluster import FakeCluster, FakeNode
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import AT, NOW, OTHER_PLAYER, PLAYER

TOKEN = Revocation("t-1", None, NOW, NOW + 1000)
THEIRS = Principal(PLAYER, frozenset(), NOW + 1000, "t-1", NOW)
OTHERS = Principal(OTHER_PLAYER, frozenset(), NOW + 1000, "t-2", NOW)


class Transport:
    """Two connections."""

    def __init__(self) -> None:
        self.open = [THEIRS, OTHERS]
        self.asked = 0

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """Close those that are covered."""
        self.asked += 1
        before = len(self.open)
        self.open = [principal for principal in self.open if not covered(principal)]
        return before - len(self.open)


class EnforcementTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.cluster = FakeCluster(self.clock)
        self.sockets, self.datagrams, self.other_transport = Transport(), Transport(), Transport()
        here, there = self.cluster.node(), self.cluster.node()
        self.revocations = Revocations(capacity=2)
        self.enforcement = self.enforcer(self.revocations, here, self.sockets, self.datagrams)
        self.enforcer(Revocations(), there, self.other_transport)

    def enforcer(self, revocations: Revocations, node: FakeNode, *transports: Transport) -> Enforcement:
        enforcers = [transport.enforce for transport in transports]
        return Enforcement(revocations, enforcers, partial(moment, self.clock), node.revocations)

    def revoke(self, revocation: Revocation) -> Deferred[int]:
        return Deferred.fromCoroutine(self.enforcement.revoke(revocation))

    def test_interface(self) -> None:
        verifyObject(IRevocationListener, self.enforcement)

    def test_here_and_there(self) -> None:
        """Every transport; only those of this node are counted."""
        self.assertEqual(self.successResultOf(self.revoke(TOKEN)), 2)
        for transport in (self.sockets, self.datagrams, self.other_transport):
            self.assertEqual(transport.open, [OTHERS])

    def test_without_others(self) -> None:
        alone = Enforcement(Revocations(), [self.sockets.enforce], lambda: AT)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(alone.revoke(TOKEN))), 1)
        self.assertEqual(self.other_transport.open, [THEIRS, OTHERS])

    def test_no_other_node_is_reachable(self) -> None:
        """It is in force here, and the caller learns that other nodes may not know."""
        self.cluster.gone = True
        failure = self.failureResultOf(self.revoke(TOKEN), Unavailable)
        self.assertIn("in force on this node", failure.getErrorMessage())
        self.assertTrue(self.revocations.covers(THEIRS))
        self.assertEqual((self.sockets.open, self.other_transport.open), ([OTHERS], [THEIRS, OTHERS]))
        self.assertIn(None, [revocation.player_id for revocation in self.enforcement.in_force()])

    def test_full(self) -> None:
        """An own revocation is refused; those of other nodes are recorded as far as there is room."""
        self.successResultOf(self.revoke(Revocation("t-8", None, NOW, NOW + 1)))
        self.enforcement.revoked([Revocation("t-9", None, NOW, NOW + 1), Revocation("t-0", None, NOW, NOW + 1)])
        self.assertEqual({one.token_id for one in self.enforcement.in_force()}, {"t-8", "t-9"})
        self.failureResultOf(self.revoke(TOKEN), TooManyRequests)
        self.assertEqual(self.sockets.open, [THEIRS, OTHERS])

    def test_on_the_way_in(self) -> None:
        """Whose token was good when it was looked at, and who opens the connection after the revocation."""
        for revoke in (lambda: self.revoke(TOKEN), lambda: self.enforcement.revoked([replace(TOKEN, token_id="t-2")])):
            revoke()
            for _ in range(9):
                self.clock.advance(1)
                self.enforcement.turn()
            self.sockets.open = [THEIRS, OTHERS]
            self.enforcement.turn()
            self.assertNotIn(THEIRS, self.sockets.open)
            asked = self.sockets.asked
            self.clock.advance(1)
            self.enforcement.turn()
            self.assertEqual(self.sockets.asked, asked)
        self.assertEqual(self.sockets.open, [])

    def test_heard_again(self) -> None:
        """A known revocation needs no search through all connections."""
        self.enforcement.revoked([TOKEN])
        asked = self.sockets.asked
        self.enforcement.revoked([TOKEN, TOKEN])
        self.assertEqual(self.sockets.asked, asked)
