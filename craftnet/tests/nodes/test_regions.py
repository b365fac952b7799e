"""Tests for `craftnet.nodes.regions`: connections that one node prepares for players of another."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import msgspec
from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.errors import BadRequest, Refusal, TooManyRequests, Unavailable
from craftnet.nodes.cluster_key import ClusterKey
from craftnet.nodes.node_group import ANSWER_TIMEOUT, NodeGroup
from craftnet.nodes.regions import ANNOUNCE_INTERVAL, REGISTRY_TIMEOUT, SUSPENSION, ConnectionWanted, Regions
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.node_switch import SharedRegistry, Switch, SwitchedBus
from craftnet.tests.support.samples import NOW, PLAYER, SESSION

SECRET = b"k" * 32
BEARER = Principal(PLAYER, frozenset({"one"}), NOW + 600, token_id="jti", issued=NOW)


def wanted(region: str | None = "eu-central", *, named: str | None = None, player: UUID = PLAYER) -> ConnectionWanted:
    """A connection, in a region."""
    request = UdpConnectRequest(
        player_id=player, client_version="1.0.0", session_token=named, preferred_region=region, max_packet_size=512
    )
    return ConnectionWanted(SESSION, player, request, replace(BEARER, player_id=player))


def stop(service: Service) -> None:
    """Stop it, unless the test did."""
    if service.running:
        service.stopService()


class FakeConnections:
    """The UDP connections of one node. Its session tokens begin with its name.

    Attributes:
        prepared: what was prepared: the session, its owner, the seconds for which the bearer token lasts, the bearer.
        refusal: raised instead of preparing anything.
    """

    def __init__(self, name: str, region: str) -> None:
        self.prepared: list[tuple[UUID, UUID, float, Principal]] = []
        self.refusal: Refusal | None = None
        self._name = name
        self._region = region

    def connect(
        self,
        session_id: UUID,
        player_id: UUID,
        request: UdpConnectRequest,
        expires: float,
        now: float,
        *,
        bearer: Principal | None = None,
    ) -> UdpConnectResponse:
        """As in `LocalConnections`."""
        if self.refusal is not None:
            raise self.refusal
        assert bearer is not None and bearer.expires == expires
        self.prepared.append((session_id, player_id, expires - now, bearer))
        return UdpConnectResponse(
            session_token=request.session_token or f"{self._name}-secret",
            server_endpoint=f"{self._name}.example:8082",
            compression_enabled=False,
            negotiated_packet_size=request.max_packet_size,
            heartbeat_interval=5000,
            region=self._region,
        )

    def names_connection(self, request: UdpConnectRequest, now: float) -> bool:
        """As in `LocalConnections`."""
        return (request.session_token or "").startswith(self._name)


class Node:
    """One of several nodes, whose clock may differ from the others'.

    Attributes:
        counted: outcomes of requests.
        revoked: whether it knows that every token is revoked.
        ready: whether others may send players to it.
    """

    def __init__(self, case: RegionsTestCase, name: str, region: str, *, secret: bytes = SECRET, udp: bool = True):
        self.counted: Counter[str] = Counter()
        self.revoked, self.ready = False, True
        self.connections = FakeConnections(name, region)
        self.group = NodeGroup(name, SwitchedBus(name, case.switch), case.clock)
        self.regions = Regions(
            region,
            f"{name}.example:8082" if udp else None,
            self.group,
            case.registry,
            ClusterKey(secret),
            self.connections if udp else None,
            case.clock,
            admit=self._admit,
            is_ready=lambda: self.ready,
            count=lambda outcome: self.counted.update([outcome]),
            instance=name.encode(),
        )
        for service in (self.group, self.regions):
            service.startService()
            case.addCleanup(stop, service)
        case.clock.advance(ANNOUNCE_INTERVAL)

    def _admit(self, bearer: Principal) -> None:
        if self.revoked:
            raise Unavailable("the token is revoked")

    def asked(self, connection: ConnectionWanted | None = None) -> Deferred[UdpConnectResponse | None]:
        """A request for a connection arrives here."""
        return Deferred.fromCoroutine(self.regions.connect(connection or wanted()))


class RegionsTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        """A node in one region."""
        self.clock = SteppedClock(NOW)
        self.switch, self.registry = Switch(), SharedRegistry()
        self.here = Node(self, "here", "us-east")

    def answered(self, connection: ConnectionWanted | None = None, node: Node | None = None) -> str | None:
        """The session token that the answer to a request at `here` has; None: this node must prepare it."""
        response = self.successResultOf((node or self.here).asked(connection))
        return None if response is None else response.session_token


class PlacementTests(RegionsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = Node(self, "other", "eu-central")

    def test_another_region(self) -> None:
        response = self.successResultOf(self.here.asked())
        assert response is not None
        self.assertEqual(
            (response.session_token, response.server_endpoint, response.region, response.negotiated_packet_size),
            ("other-secret", "other.example:8082", "eu-central", 512),
        )
        self.assertEqual(self.other.connections.prepared, [(SESSION, PLAYER, 600.0 - 2 * ANNOUNCE_INTERVAL, BEARER)])
        self.assertEqual(self.here.counted, {"other": 1})

    def test_this_region(self) -> None:
        self.assertIsNone(self.answered(wanted("us-east")))
        self.assertEqual(self.here.counted, {"here": 1})

    def test_no_preference(self) -> None:
        self.assertIsNone(self.answered(wanted(None)))
        self.assertFalse(self.here.counted)

    def test_unknown_region(self) -> None:
        self.assertIsNone(self.answered(wanted("the-moon")))
        self.assertEqual(self.here.counted, {"unknown": 1})

    def test_secrets_are_sealed(self) -> None:
        self.answered()
        everything = b"".join([*(message for *_, message in self.switch.carried), *self.registry.entries.values()])
        self.assertIn(b"prepare", everything)
        for secret in (b"other-secret", b"other.example", PLAYER.bytes, str(PLAYER).encode(), b"jti"):
            self.assertNotIn(secret, everything)

    def test_a_named_connection_here_stays_here(self) -> None:
        """A renewal must reach the node that has the connection, whatever region the request prefers."""
        self.assertIsNone(self.answered(wanted(named="here-secret")))
        self.assertEqual(self.here.counted, {"here": 1})

    def test_a_node_without_udp_sends_all_away(self) -> None:
        front = Node(self, "front", "us-east", udp=False)
        self.assertEqual(self.answered(node=front), "other-secret")
        self.assertEqual(self.answered(wanted("us-east"), node=front), "here-secret")
        self.assertNotIn("front", self.registry.entries)


class SeveralNodesTests(RegionsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.others = [Node(self, name, "eu-central") for name in ("one", "two", "three")]

    def test_a_player_has_one_node(self) -> None:
        players = [UUID(int=number) for number in range(60)]
        first = {player: self.answered(wanted(player=player)) for player in players}
        self.assertEqual({player: self.answered(wanted(player=player)) for player in players}, first)
        self.assertEqual(set(first.values()), {"one-secret", "two-secret", "three-secret"})

    def test_a_node_that_leaves_moves_its_own_players_only(self) -> None:
        players = [UUID(int=number) for number in range(60)]
        first = {player: self.answered(wanted(player=player)) for player in players}
        self.others[0].ready = False
        self.clock.pump([ANNOUNCE_INTERVAL] * 2)
        later = {player: self.answered(wanted(player=player)) for player in players}
        moved = [player for player in players if first[player] != later[player]]
        self.assertEqual({first[player] for player in moved}, {"one-secret"})
        self.assertNotIn("one-secret", later.values())

    def test_a_named_connection_is_found(self) -> None:
        for name in ("one", "two", "three"):
            self.assertEqual(self.answered(wanted(named=f"{name}-open")), f"{name}-open")
        self.assertEqual([len(node.connections.prepared) for node in self.others], [1, 1, 1])

    def test_an_unknown_connection(self) -> None:
        """A single node gets the request, as without a name."""
        self.answered(wanted(named="lost"))
        self.assertEqual(sum(len(node.connections.prepared) for node in self.others), 1)


class FaultTests(RegionsTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.other = Node(self, "other", "eu-central")

    def test_a_draining_node_disappears(self) -> None:
        self.other.ready = False
        self.assertIsNone(self.answered())  # it refuses at once …
        self.clock.pump([ANNOUNCE_INTERVAL] * 2)
        self.assertEqual((dict(self.here.regions.nodes), set(self.registry.entries)), ({}, {"here"}))
        self.assertIsNone(self.answered())  # … and no node asks it again.
        self.assertEqual(self.here.counted, {"unavailable": 1, "unknown": 1})

    def test_a_stopped_node_disappears(self) -> None:
        self.other.regions.stopService()
        self.clock.advance(ANNOUNCE_INTERVAL)
        self.assertEqual(dict(self.here.regions.nodes), {})

    def test_a_dead_node_costs_a_second_once(self) -> None:
        self.switch.down.add("other")
        asked = self.here.asked()
        self.assertNoResult(asked)
        self.clock.advance(ANSWER_TIMEOUT)
        self.assertIsNone(self.successResultOf(asked))
        self.assertIsNone(self.answered())
        self.assertEqual(self.here.counted, {"unavailable": 2})
        self.switch.down.clear()
        self.clock.pump([ANNOUNCE_INTERVAL] * int(SUSPENSION / ANNOUNCE_INTERVAL))
        self.assertEqual(self.answered(), "other-secret")

    def test_the_next_node_takes_over(self) -> None:
        Node(self, "another", "eu-central")
        self.switch.down.add("other")
        for player in map(UUID, (f"{number:032x}" for number in range(8))):
            asked = self.here.asked(wanted(player=player))
            self.clock.advance(ANSWER_TIMEOUT)
            response = self.successResultOf(asked)
            assert response is not None
            self.assertEqual(response.session_token, "another-secret")

    def test_an_unreachable_registry(self) -> None:
        """What was known counts for a while: connections go on through a short interruption."""
        self.registry.reachable = False
        self.clock.advance(ANNOUNCE_INTERVAL)
        self.assertEqual(self.answered(), "other-secret")
        self.clock.pump([ANNOUNCE_INTERVAL] * (int(REGISTRY_TIMEOUT / ANNOUNCE_INTERVAL) + 1))
        self.assertIsNone(self.answered())
        self.registry.reachable = True
        self.clock.advance(ANNOUNCE_INTERVAL)
        self.assertEqual(self.answered(), "other-secret")

    def test_limits_of_the_other_node(self) -> None:
        self.other.connections.refusal = TooManyRequests("too many", retry_after=7, limit=8)
        refused = self.failureResultOf(self.here.asked(), TooManyRequests).value
        self.assertEqual((refused.message, refused.retry_after, refused.limit), ("too many", 7, 8))

    def test_an_invalid_request(self) -> None:
        """The client is wrong, not the node."""
        self.other.connections.refusal = BadRequest("encapsulation_key is wrong")
        self.assertEqual(
            self.failureResultOf(self.here.asked(), BadRequest).value.message, "encapsulation_key is wrong"
        )
        self.other.connections.refusal = None
        self.assertEqual(self.answered(), "other-secret")

    def test_a_revocation_that_only_the_other_node_knows(self) -> None:
        """It hears of a revocation before this one: the ticket would never be withdrawn."""
        self.other.revoked = True
        self.assertIsNone(self.answered())
        self.assertEqual(self.other.connections.prepared, [])


class AttackTests(RegionsTestCase):
    """Others who can read and write what nodes share."""

    def setUp(self) -> None:
        super().setUp()
        self.other = Node(self, "other", "eu-central")

    def test_another_key(self) -> None:
        stranger = Node(self, "stranger", "asia-pacific", secret=b"l" * 32)
        self.assertIsNone(self.answered(wanted("asia-pacific")))
        self.assertIsNone(self.answered(node=stranger))
        self.assertEqual(set(self.here.regions.nodes), {"other"})

    def test_an_entry_of_another_node(self) -> None:
        self.registry.entries["false"] = self.registry.entries["other"]
        self.clock.advance(ANNOUNCE_INTERVAL)
        self.assertEqual(set(self.here.regions.nodes), {"other"})

    def test_a_replayed_question(self) -> None:
        self.answered()
        (question,) = (each for each in self.switch.carried if each[1] == "other" and b"prepare" in each[2])
        self.switch.carry(*question)
        self.assertEqual(len(self.other.connections.prepared), 1)

    def test_a_question_to_an_earlier_process(self) -> None:
        """A restarted node has another instance, and remembers no numbers."""
        self.answered()
        (question,) = (each for each in self.switch.carried if each[1] == "other" and b"prepare" in each[2])
        self.other.regions.stopService()
        again = Node(self, "other", "eu-central")
        self.patch(again.regions, "_instance", b"another")
        self.switch.carry(*question)
        self.assertEqual(again.connections.prepared, [])

    def test_a_question_in_another_name(self) -> None:
        self.answered()
        (question,) = (each for each in self.switch.carried if each[1] == "other" and b"prepare" in each[2])
        self.switch.carry("third", *question[1:])
        self.assertEqual(len(self.other.connections.prepared), 1)

    def test_an_answer_to_another_question(self) -> None:
        """An answer means nothing but for its question."""
        self.answered()
        (first,) = (each[2] for each in self.switch.carried if each[1] == "here" and b"answer" in each[2])
        *_, sealed = msgspec.msgpack.decode(first)
        forward = self.switch.carry

        def swap(sender: str, node: str, message: bytes) -> None:
            if node == "here" and b"answer" in message:
                message = msgspec.msgpack.encode([*msgspec.msgpack.decode(message)[:-1], sealed])
            forward(sender, node, message)

        self.patch(self.switch, "carry", swap)
        self.assertIsNone(self.answered())
        self.assertEqual(self.here.counted, {"other": 1, "unavailable": 1})
