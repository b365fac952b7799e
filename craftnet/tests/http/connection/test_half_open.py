"""Tests for `craftnet.http.connection.half_open`, alone and behind a sniffer."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.routes import BasePaths
from craftnet.http.connection.half_open import OldestFirst
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.exchange import Call, Endpoint, Response
from craftnet.http.resource import Router, RouteTable
from craftnet.limits.client_address import Networks
from craftnet.limits.connection_limits import Limits
from craftnet.observe.metrics.registry import Metrics
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.http_wire import UPGRADE, House, Wire, request

HOST = b"Host: craft.example\r\n"


class WaitingRoomTests(SynchronousTestCase):
    def test_oldest_goes(self) -> None:
        room: OldestFirst[int] = OldestFirst(2, 0)
        self.assertEqual([room.add(connection, None) for connection in range(4)], [None, None, 0, 1])

    def test_oldest_of_the_address_goes(self) -> None:
        room: OldestFirst[int] = OldestFirst(100, 2)
        self.assertEqual([room.add(connection, "ab"[connection % 2]) for connection in range(6)], [None] * 4 + [0, 1])

    def test_a_closed_connection_frees_its_slot(self) -> None:
        room: OldestFirst[int] = OldestFirst(2, 2)
        room.add(0, "a")
        room.add(1, "a")
        room.remove(0)
        room.remove(0)
        self.assertIsNone(room.add(2, "a"))

    @settings(deadline=None, derandomize=True)
    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 30), st.sampled_from([None, "a", "b"]))))
    def test_bounded(self, steps: list[tuple[bool, int, str | None]]) -> None:
        room: OldestFirst[int] = OldestFirst(5, 3)
        inside: dict[int, str | None] = {}
        for entering, connection, address in steps:
            if entering and connection not in inside:
                inside[connection] = address
                gone = room.add(connection, address)
                if gone is not None:
                    del inside[gone]
            elif not entering:
                room.remove(connection)
                inside.pop(connection, None)
            self.assertEqual(len(room), len(inside))
            self.assertLessEqual(len(inside), 5)
            self.assertLessEqual(list(inside.values()).count("a"), 3)


class Slow(Endpoint):
    """Answers on request of the test."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Response]] = []

    async def respond(self, call: Call) -> Response:
        self.waiting.append(Deferred())
        return await self.waiting[-1]


PROXY = 200
"""The last part of a trusted proxy's address."""


class HalfOpenConnectionsTests(SynchronousTestCase):
    """Waiting connections behind a sniffer that allows three of them, two from one address."""

    def setUp(self) -> None:
        self.clock, self.metrics, self.slow = SteppedClock(), Metrics(), Slow()
        routes = Router(RouteTable(BasePaths(), {"/slow": self.slow}), self.metrics, self.clock)
        site = HttpSite(routes, self.clock, self.metrics, body_limit=1000, idle=60.0)
        proxies = Networks.parse(f"192.0.2.{PROXY}", "--trusted-proxy")
        limits = Limits(half_open=3, half_open_per_address=2)
        self.house = House(site, self.clock, self.metrics, limits, proxies)

    def wire(self, octets: bytes = b"", address: int = 0) -> Wire:
        """A connection from its own address, unless one is given."""
        number = len(self.house.wires) + 1
        wire = Wire(self.house.factory, IPv4Address("TCP", f"192.0.2.{address or number}", number))
        self.house.wires.append(wire)
        if octets:
            wire.receive(octets)
        return wire

    def dropped(self) -> list[int]:
        return [number for number, wire in enumerate(self.house.wires) if wire.disconnected]

    def test_half_open_handshakes(self) -> None:
        for _ in range(5):
            self.wire(b"GET /ws/queue/x HTTP/1.1\r\nHost: ")
        self.assertEqual(self.dropped(), [0, 1])
        self.assertEqual(self.house.refusals("half_open"), 2)

    def test_per_address(self) -> None:
        for _ in range(3):
            self.wire(address=9)
        self.wire()
        self.assertEqual(self.dropped(), [0])

    def test_a_complete_request_is_not_evicted(self) -> None:
        self.wire(request("/ws/queue/x", fields=HOST + UPGRADE))
        self.wire(request("/slow"))
        for _ in range(5):
            self.wire()
        self.assertEqual(self.dropped(), [2, 3])

    def test_body_that_does_not_come(self) -> None:
        self.wire(request("/slow", "POST", HOST + b"Content-Length: 10\r\n") + b"12345")
        for _ in range(3):
            self.wire()
        self.assertEqual(self.dropped(), [0])

    def test_idle_between_requests(self) -> None:
        """An answered connection waits like all others, from then on."""
        served = self.wire(request("/slow"))
        for _ in range(2):
            self.wire()
        self.slow.waiting[0].callback(Response(200))
        self.assertEqual(served.take()[0].status, 200)
        for _ in range(2):
            self.wire()
        self.assertEqual(self.dropped(), [1, 2])
        self.wire()
        self.assertEqual(self.dropped(), [0, 1, 2])

    def test_clients_of_a_proxy_are_not_one_address(self) -> None:
        for _ in range(3):
            self.wire(address=PROXY)
        self.assertEqual(self.dropped(), [])
        self.wire(address=PROXY)
        self.assertEqual(self.dropped(), [0])

    def test_connections_that_a_proxy_keeps_ready(self) -> None:
        """They do not count while they are idle, and are not dropped for others."""
        kept = [self.wire(request("/slow"), PROXY) for _ in range(5)]
        for answer in tuple(self.slow.waiting):
            answer.callback(Response(200))
        for _ in range(4):
            self.wire()
        self.assertEqual(self.dropped(), [5])
        kept[0].take()
        kept[0].receive(request("/slow"))
        self.slow.waiting[-1].callback(Response(200))
        self.assertEqual(kept[0].take()[0].status, 200)

    def test_a_disconnect_frees_a_slot(self) -> None:
        for _ in range(3):
            self.wire().hang_up()
        served = self.wire(request("/slow"))
        self.slow.waiting[0].callback(Response(200))
        served.hang_up()
        refused = self.wire(b"nonsense\r\n\r\n")
        self.assertEqual(refused.take()[0].status, 400)
        self.assertEqual(len(self.house.half_open), 0)

    def test_nothing_is_left(self) -> None:
        for _ in range(50):
            self.wire()
        for wire in self.house.wires:
            wire.hang_up()
        self.assertEqual((len(self.house.half_open), self.clock.getDelayedCalls()), (0, []))
