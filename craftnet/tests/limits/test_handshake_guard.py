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


class GateTests(SynchronousTestCase):
    def gate(self, **limits: float) -> HandshakeGuard:
        return HandshakeGuard(Limits(**limits), Origins(), Forwarding(Networks.parse(PROXY, "--trusted-proxy")))  # type: ignore[arg-type]

    def test_rate_of_an_address(self) -> None:
        """Its burst, then its rate; others are not concerned."""
        gate = self.gate(handshakes=0.5)
        for _ in range(2):
            gate.admit(CLIENT, HOST, NOW)
        error = self.assertRaises(TooManyRequests, gate.admit, CLIENT, HOST, NOW)
        self.assertEqual((error.headers["Retry-After"], error.headers["X-RateLimit-Limit"]), ("2", "2"))
        gate.admit("203.0.113.10", HOST, NOW)
        gate.admit(CLIENT, HOST, NOW + 2)

    def test_clients_of_a_proxy_are_told_apart(self) -> None:
        gate = self.gate(per_address=1)
        gate.admit(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)
        gate.admit(PROXY, {**HOST, "x-forwarded-for": "203.0.113.10"}, NOW)
        with self.assertRaises(TooManyRequests):
            gate.admit(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)

    def test_others_cannot_pretend(self) -> None:
        gate = self.gate(per_address=1)
        gate.admit(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.1"}, NOW)
        with self.assertRaises(TooManyRequests):
            gate.admit(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.2"}, NOW)

    def test_loopback_is_not_limited_by_address(self) -> None:
        gate = self.gate(per_address=1, handshakes=0.1, connections=20)
        places = [gate.admit("127.0.0.1", HOST, NOW) for _ in range(20)]
        self.assertRaises(TooManyRequests, gate.admit, "127.0.0.1", HOST, NOW)
        gate.release(places[0])
        gate.admit("::1", HOST, NOW)

    def test_zero_rate_is_no_limit(self) -> None:
        gate = self.gate(handshakes=0, per_address=0)
        for _ in range(1000):
            gate.admit(CLIENT, HOST, NOW)

    def test_page_of_another_site_takes_nothing(self) -> None:
        gate = self.gate(handshakes=0.25)
        with self.assertRaises(Forbidden):
            gate.admit(CLIENT, {**HOST, "origin": "https://evil.example"}, NOW)
        gate.admit(CLIENT, HOST, NOW)

    def test_pages(self) -> None:
        """A browser's page that may connect; no program, and no page of another site."""
        gate = self.gate()
        origins = [{"origin": "https://craft.example"}, {"origin": "https://evil.example"}, {"origin": ""}]
        self.assertEqual([gate.is_page(CLIENT, {**HOST, **more}) for more in origins], [True, False, False])
        self.assertFalse(gate.is_page(CLIENT, HOST))


class PageTests(SynchronousTestCase):
    """Pages of the host that clients take this server for may connect."""

    def refused(self, gate: HandshakeGuard, peer: str, **headers: str) -> bool:
        """Whether a page of https://craft.example is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            gate.admit(peer, {"origin": "https://craft.example", **named}, NOW)
        except Forbidden:
            return True
        return False

    def test_behind_a_proxy_that_rewrites_host(self) -> None:
        gate = HandshakeGuard(Limits(), forwarding=Forwarding(Networks.parse(PROXY, "--trusted-proxy")))
        self.assertFalse(self.refused(gate, PROXY, host="node1:9001", x_forwarded_host="craft.example"))
        self.assertTrue(self.refused(gate, CLIENT, host="node1:9001", x_forwarded_host="craft.example"))
        self.assertTrue(self.refused(gate, PROXY, host="craft.example", x_forwarded_host="evil.example"))

    def test_public_url(self) -> None:
        gate = HandshakeGuard(Limits(), forwarding=Forwarding(public=public_url("https://craft.example/crafting")))
        self.assertFalse(self.refused(gate, CLIENT, host="node1:9001"))


class SharedTests(SynchronousTestCase):
    """Two gates of one cluster."""

    def setUp(self) -> None:
        self.cluster = FakeCluster(SteppedClock())
        limits = Limits(per_player=3, per_session=2)
        self.gates = [HandshakeGuard(limits, shared=self.cluster.node().connection_slots) for _ in range(2)]

    def settled(
        self, gate: HandshakeGuard, player: UUID | None = PLAYER, session: UUID | None = None
    ) -> ConnectionSlot:
        """One who got in."""
        place = gate.admit(CLIENT, HOST, NOW)
        self.successResultOf(Deferred.fromCoroutine(gate.assign_slot(place, player, session, NOW)))
        return place

    def refused(self, gate: HandshakeGuard, session: UUID | None = None) -> str:
        """One who did not, and left; the limit that was named."""
        place = gate.admit(CLIENT, HOST, NOW)
        asked = Deferred.fromCoroutine(gate.assign_slot(place, PLAYER, session, NOW))
        error = self.failureResultOf(asked, TooManyRequests).value
        gate.release(place)
        assert isinstance(error, TooManyRequests)
        self.assertEqual(error.headers["Retry-After"], "5")
        return str(error.headers["X-RateLimit-Limit"])

    def taken(self) -> list[int]:
        """The player's places that the cluster knows."""
        return [node.connection_slots.taken[PLAYER] for node in self.cluster.nodes]

    def test_one_limit(self) -> None:
        here, there = self.gates
        places = [self.settled(here), self.settled(here)]
        self.settled(there)
        self.assertEqual([self.refused(gate) for gate in (here, there)], ["3", "3"])
        self.assertEqual(self.taken(), [2, 1])
        here.release(places[0])
        self.settled(there)
        self.assertEqual(self.taken(), [1, 2])

    def test_tokens_without_a_player(self) -> None:
        for _ in range(5):
            self.settled(self.gates[0], None)

    def test_what_is_known_here_is_not_asked_there(self) -> None:
        """A refusal by a limit of this node counts for no player."""
        here, _ = self.gates
        for _ in range(2):
            self.settled(here, OTHER_PLAYER, SESSION)
        self.assertEqual(self.refused(here, SESSION), "2")
        self.assertEqual(self.taken(), [0, 0])

    def test_without_the_cluster_the_limit_of_this_node_holds(self) -> None:
        here, there = self.gates
        places = [self.settled(there)]
        self.cluster.gone = True
        places += [self.settled(here) for _ in range(3)]
        self.assertEqual(self.refused(here), "3")
        for gate, place in zip((there, here, here, here), places, strict=True):
            gate.release(place)
        self.assertEqual(self.taken(), [0, 0])

    def test_gone_while_the_cluster_is_asked(self) -> None:
        """The cluster takes nothing then, and so is given nothing back."""
        self.cluster.hangs = True
        here, _ = self.gates
        place = here.admit(CLIENT, HOST, NOW)
        settling = Deferred.fromCoroutine(here.assign_slot(place, PLAYER, None, NOW))
        settling.cancel()
        self.failureResultOf(settling, CancelledError)
        here.release(place)
        self.assertEqual(self.taken(), [0, 0])

    def test_no_limit_is_not_asked(self) -> None:
        gate = HandshakeGuard(Limits(per_player=0), shared=self.cluster.node().connection_slots)
        gate.release(self.settled(gate))
        self.assertEqual(self.taken(), [0, 0, 0])
