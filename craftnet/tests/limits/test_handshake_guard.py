"""Tests for `craftnet.limits.handshake_guard`."""

from __future__ import annotations

from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import Forbidden, TooManyRequests
from craftnet.limits.client_address import Forwarding, Networks, public_url
from craftnet.limits.connection_limits import ConnectionSlot, Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.origins import Origins
from craftnet.tests.support.fake_cluster import FakeCluster
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, SESSION

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"
HOST = {"host": "craft.example"}


class HandshakeGuardTests(SynchronousTestCase):
    def guard(self, **limits: float) -> HandshakeGuard:
        return HandshakeGuard(Limits(**limits), Origins(), Forwarding(Networks.parse(PROXY, "--trusted-proxy")))  # type: ignore[arg-type]

    def test_rate_of_an_address(self) -> None:
        """Its burst, then its rate; others are not concerned."""
        guard = self.guard(handshakes=0.5)
        for _ in range(2):
            guard.admit(CLIENT, HOST, NOW)
        error = self.assertRaises(TooManyRequests, guard.admit, CLIENT, HOST, NOW)
        self.assertEqual((error.headers["Retry-After"], error.headers["X-RateLimit-Limit"]), ("2", "2"))
        guard.admit("203.0.113.10", HOST, NOW)
        guard.admit(CLIENT, HOST, NOW + 2)

    def test_clients_of_a_proxy_are_distinguished(self) -> None:
        guard = self.guard(per_address=1)
        guard.admit(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)
        guard.admit(PROXY, {**HOST, "x-forwarded-for": "203.0.113.10"}, NOW)
        with self.assertRaises(TooManyRequests):
            guard.admit(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)

    def test_others_cannot_pretend(self) -> None:
        guard = self.guard(per_address=1)
        guard.admit(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.1"}, NOW)
        with self.assertRaises(TooManyRequests):
            guard.admit(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.2"}, NOW)

    def test_loopback_is_not_limited_by_address(self) -> None:
        guard = self.guard(per_address=1, handshakes=0.1, connections=20)
        slots = [guard.admit("127.0.0.1", HOST, NOW) for _ in range(20)]
        self.assertRaises(TooManyRequests, guard.admit, "127.0.0.1", HOST, NOW)
        guard.release(slots[0])
        guard.admit("::1", HOST, NOW)

    def test_zero_rate_is_no_limit(self) -> None:
        guard = self.guard(handshakes=0, per_address=0)
        for _ in range(1000):
            guard.admit(CLIENT, HOST, NOW)

    def test_page_of_another_site_takes_nothing(self) -> None:
        guard = self.guard(handshakes=0.25)
        with self.assertRaises(Forbidden):
            guard.admit(CLIENT, {**HOST, "origin": "https://evil.example"}, NOW)
        guard.admit(CLIENT, HOST, NOW)

    def test_pages(self) -> None:
        """A browser's page that may connect; no program, and no page of another site."""
        guard = self.guard()
        origins = [{"origin": "https://craft.example"}, {"origin": "https://evil.example"}, {"origin": ""}]
        self.assertEqual([guard.is_page(CLIENT, {**HOST, **more}) for more in origins], [True, False, False])
        self.assertFalse(guard.is_page(CLIENT, HOST))


class PageTests(SynchronousTestCase):
    """Pages of the host that clients take this server for may connect."""

    def refused(self, guard: HandshakeGuard, peer: str, **headers: str) -> bool:
        """Whether a page of https://craft.example is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            guard.admit(peer, {"origin": "https://craft.example", **named}, NOW)
        except Forbidden:
            return True
        return False

    def test_behind_a_proxy_that_rewrites_host(self) -> None:
        guard = HandshakeGuard(Limits(), forwarding=Forwarding(Networks.parse(PROXY, "--trusted-proxy")))
        self.assertFalse(self.refused(guard, PROXY, host="node1:9001", x_forwarded_host="craft.example"))
        self.assertTrue(self.refused(guard, CLIENT, host="node1:9001", x_forwarded_host="craft.example"))
        self.assertTrue(self.refused(guard, PROXY, host="craft.example", x_forwarded_host="evil.example"))

    def test_public_url(self) -> None:
        guard = HandshakeGuard(Limits(), forwarding=Forwarding(public=public_url("https://craft.example/crafting")))
        self.assertFalse(self.refused(guard, CLIENT, host="node1:9001"))


class SharedTests(SynchronousTestCase):
    """Two gates of one cluster."""

    def setUp(self) -> None:
        self.cluster = FakeCluster(SteppedClock())
        limits = Limits(per_player=3, per_session=2)
        self.guards = [HandshakeGuard(limits, shared=self.cluster.node().connection_slots) for _ in range(2)]

    def settled(
        self, guard: HandshakeGuard, player: UUID | None = PLAYER, session: UUID | None = None
    ) -> ConnectionSlot:
        """One who got in."""
        slot = guard.admit(CLIENT, HOST, NOW)
        self.successResultOf(Deferred.fromCoroutine(guard.assign_slot(slot, player, session, NOW)))
        return slot

    def refused(self, guard: HandshakeGuard, session: UUID | None = None) -> str:
        """One who did not, and left; the limit that was named."""
        slot = guard.admit(CLIENT, HOST, NOW)
        asked = Deferred.fromCoroutine(guard.assign_slot(slot, PLAYER, session, NOW))
        error = self.failureResultOf(asked, TooManyRequests).value
        guard.release(slot)
        assert isinstance(error, TooManyRequests)
        self.assertEqual(error.headers["Retry-After"], "5")
        return str(error.headers["X-RateLimit-Limit"])

    def taken(self) -> list[int]:
        """The player's places that the cluster knows."""
        return [node.connection_slots.taken[PLAYER] for node in self.cluster.nodes]

    def test_one_limit(self) -> None:
        here, there = self.guards
        slots = [self.settled(here), self.settled(here)]
        self.settled(there)
        self.assertEqual([self.refused(guard) for guard in (here, there)], ["3", "3"])
        self.assertEqual(self.taken(), [2, 1])
        here.release(slots[0])
        self.settled(there)
        self.assertEqual(self.taken(), [1, 2])

    def test_tokens_without_a_player(self) -> None:
        for _ in range(5):
            self.settled(self.guards[0], None)

    def test_what_is_known_here_is_not_asked_there(self) -> None:
        """A refusal by a limit of this node counts for no player."""
        here, _ = self.guards
        for _ in range(2):
            self.settled(here, OTHER_PLAYER, SESSION)
        self.assertEqual(self.refused(here, SESSION), "2")
        self.assertEqual(self.taken(), [0, 0])

    def test_without_the_cluster_the_limit_of_this_node_holds(self) -> None:
        here, there = self.guards
        slots = [self.settled(there)]
        self.cluster.gone = True
        slots += [self.settled(here) for _ in range(3)]
        self.assertEqual(self.refused(here), "3")
        for guard, slot in zip((there, here, here, here), slots, strict=True):
            guard.release(slot)
        self.assertEqual(self.taken(), [0, 0])

    def test_gone_while_the_cluster_is_asked(self) -> None:
        """The cluster takes nothing then, and so is given nothing back."""
        self.cluster.hangs = True
        here, _ = self.guards
        slot = here.admit(CLIENT, HOST, NOW)
        settling = Deferred.fromCoroutine(here.assign_slot(slot, PLAYER, None, NOW))
        settling.cancel()
        self.failureResultOf(settling, CancelledError)
        here.release(slot)
        self.assertEqual(self.taken(), [0, 0])

    def test_no_limit_is_not_asked(self) -> None:
        guard = HandshakeGuard(Limits(per_player=0), shared=self.cluster.node().connection_slots)
        guard.release(self.settled(guard))
        self.assertEqual(self.taken(), [0, 0, 0])
