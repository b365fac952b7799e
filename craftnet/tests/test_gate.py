"""Tests for `craftnet.access.gate`."""

from __future__ import annotations

from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.forwarding import Forwarding, public_url
from craftnet.access.gate import Gate
from craftnet.access.limits import Limits
from craftnet.access.networks import Networks
from craftnet.access.occupancy import Place
from craftnet.access.origins import Origins
from craftnet.errors import Forbidden, TooManyRequests
from craftnet.tests.fake_cluster import FakeCluster
from craftnet.tests.fakes import SteppedClock
from craftnet.tests.samples import NOW, OTHER_PLAYER, PLAYER, SESSION

PROXY, CLIENT = "10.0.0.1", "203.0.113.9"
HOST = {"host": "craft.example"}


class GateTests(SynchronousTestCase):
    def gate(self, **limits: float) -> Gate:
        return Gate(Limits(**limits), Origins(), Forwarding(Networks.parse(PROXY, "--trusted-proxy")))  # type: ignore[arg-type]

    def test_rate_of_an_address(self) -> None:
        """Its burst, then its rate; others are not concerned."""
        gate = self.gate(handshakes=0.5)
        for _ in range(2):
            gate.enter(CLIENT, HOST, NOW)
        error = self.assertRaises(TooManyRequests, gate.enter, CLIENT, HOST, NOW)
        self.assertEqual((error.headers["Retry-After"], error.headers["X-RateLimit-Limit"]), ("2", "2"))
        gate.enter("203.0.113.10", HOST, NOW)
        gate.enter(CLIENT, HOST, NOW + 2)

    def test_clients_of_a_proxy_are_told_apart(self) -> None:
        gate = self.gate(per_address=1)
        gate.enter(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)
        gate.enter(PROXY, {**HOST, "x-forwarded-for": "203.0.113.10"}, NOW)
        with self.assertRaises(TooManyRequests):
            gate.enter(PROXY, {**HOST, "x-forwarded-for": CLIENT}, NOW)

    def test_others_cannot_pretend(self) -> None:
        gate = self.gate(per_address=1)
        gate.enter(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.1"}, NOW)
        with self.assertRaises(TooManyRequests):
            gate.enter(CLIENT, {**HOST, "x-forwarded-for": "198.51.100.2"}, NOW)

    def test_loopback_is_not_limited_by_address(self) -> None:
        gate = self.gate(per_address=1, handshakes=0.1, connections=20)
        places = [gate.enter("127.0.0.1", HOST, NOW) for _ in range(20)]
        self.assertRaises(TooManyRequests, gate.enter, "127.0.0.1", HOST, NOW)
        gate.leave(places[0])
        gate.enter("::1", HOST, NOW)

    def test_zero_rate_is_no_limit(self) -> None:
        gate = self.gate(handshakes=0, per_address=0)
        for _ in range(1000):
            gate.enter(CLIENT, HOST, NOW)

    def test_page_of_another_site_takes_nothing(self) -> None:
        gate = self.gate(handshakes=0.25)
        with self.assertRaises(Forbidden):
            gate.enter(CLIENT, {**HOST, "origin": "https://evil.example"}, NOW)
        gate.enter(CLIENT, HOST, NOW)

    def test_pages(self) -> None:
        """A browser's page that may connect; no program, and no page of another site."""
        gate = self.gate()
        origins = [{"origin": "https://craft.example"}, {"origin": "https://evil.example"}, {"origin": ""}]
        self.assertEqual([gate.is_page(CLIENT, {**HOST, **more}) for more in origins], [True, False, False])
        self.assertFalse(gate.is_page(CLIENT, HOST))


class PageTests(SynchronousTestCase):
    """Pages of the host that clients take this server for may connect."""

    def refused(self, gate: Gate, peer: str, **headers: str) -> bool:
        """Whether a page of https://craft.example is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            gate.enter(peer, {"origin": "https://craft.example", **named}, NOW)
        except Forbidden:
            return True
        return False

    def test_behind_a_proxy_that_rewrites_host(self) -> None:
        gate = Gate(Limits(), forwarding=Forwarding(Networks.parse(PROXY, "--trusted-proxy")))
        self.assertFalse(self.refused(gate, PROXY, host="node1:9001", x_forwarded_host="craft.example"))
        self.assertTrue(self.refused(gate, CLIENT, host="node1:9001", x_forwarded_host="craft.example"))
        self.assertTrue(self.refused(gate, PROXY, host="craft.example", x_forwarded_host="evil.example"))

    def test_public_url(self) -> None:
        gate = Gate(Limits(), forwarding=Forwarding(public=public_url("https://craft.example/crafting")))
        self.assertFalse(self.refused(gate, CLIENT, host="node1:9001"))


class SharedTests(SynchronousTestCase):
    """Two gates of one cluster."""

    def setUp(self) -> None:
        self.cluster = FakeCluster(SteppedClock())
        limits = Limits(per_player=3, per_session=2)
        self.gates = [Gate(limits, shared=self.cluster.node().places) for _ in range(2)]

    def settled(self, gate: Gate, player: UUID | None = PLAYER, session: UUID | None = None) -> Place:
        """One who got in."""
        place = gate.enter(CLIENT, HOST, NOW)
        self.successResultOf(Deferred.fromCoroutine(gate.settle(place, player, session, NOW)))
        return place

    def refused(self, gate: Gate, session: UUID | None = None) -> str:
        """One who did not, and left; the limit that was named."""
        place = gate.enter(CLIENT, HOST, NOW)
        asked = Deferred.fromCoroutine(gate.settle(place, PLAYER, session, NOW))
        error = self.failureResultOf(asked, TooManyRequests).value
        gate.leave(place)
        assert isinstance(error, TooManyRequests)
        self.assertEqual(error.headers["Retry-After"], "5")
        return str(error.headers["X-RateLimit-Limit"])

    def taken(self) -> list[int]:
        """The player's places that the cluster knows."""
        return [node.places.taken[PLAYER] for node in self.cluster.nodes]

    def test_one_limit(self) -> None:
        here, there = self.gates
        places = [self.settled(here), self.settled(here)]
        self.settled(there)
        self.assertEqual([self.refused(gate) for gate in (here, there)], ["3", "3"])
        self.assertEqual(self.taken(), [2, 1])
        here.leave(places[0])
        self.settled(there)
        self.assertEqual(self.taken(), [1, 2])

    def test_tokens_without_a_player(self) -> None:
        for _ in range(5):
            self.settled(self.gates[0], None)

    def test_what_is_known_here_is_not_asked_there(self) -> None:
        """A refusal by a limit of this node counts for nobody."""
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
            gate.leave(place)
        self.assertEqual(self.taken(), [0, 0])

    def test_gone_while_the_cluster_is_asked(self) -> None:
        """The cluster takes nothing then, and so is given nothing back."""
        self.cluster.hangs = True
        here, _ = self.gates
        place = here.enter(CLIENT, HOST, NOW)
        settling = Deferred.fromCoroutine(here.settle(place, PLAYER, None, NOW))
        settling.cancel()
        self.failureResultOf(settling, CancelledError)
        here.leave(place)
        self.assertEqual(self.taken(), [0, 0])

    def test_no_limit_is_not_asked(self) -> None:
        gate = Gate(Limits(per_player=0), shared=self.cluster.node().places)
        gate.leave(self.settled(gate))
        self.assertEqual(self.taken(), [0, 0, 0])
