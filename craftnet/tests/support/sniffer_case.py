"""A sniffer on a transport in memory, and the endpoints behind it."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.authorization import Authorization
from craftnet.access.principal import Principal
from craftnet.contract.routes import BasePaths
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.connection.lingering_close import LingeringClose
from craftnet.http.exchange import Call, Endpoint, GuardedEndpoint, Response
from craftnet.http.resource import Router, RouteTable
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.tests.support.fakes import SteppedClock, TableAuthority
from craftnet.tests.support.http_wire import Answer, House, Wire
from craftnet.tests.support.samples import NOW

HOST = b"Host: craft.example\r\n"


class Echo(Endpoint):
    """Returns what it received."""

    methods = ("GET", "POST")

    async def respond(self, call: Call) -> Response:
        return Response(200, call.body or call.path.encode(), media_type="text/plain")


class Guarded(GuardedEndpoint[bytes]):
    """Returns what it received with a token."""

    methods = ("POST",)

    def read(self, call: Call) -> bytes:
        return call.body

    async def decide(self, call: Call, principal: Principal, asked: bytes) -> Response:
        return Response(200, asked)


class Slow(Endpoint):
    """Answers on request of the test."""

    def __init__(self) -> None:
        self.waiting: list[Deferred[Response]] = []
        self.cancelled: list[Deferred[Response]] = []

    async def respond(self, call: Call) -> Response:
        self.waiting.append(Deferred(self.cancelled.append))
        return await self.waiting[-1]


class SnifferTestCase(SynchronousTestCase):
    anonymous: int | None = None

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.metrics = Metrics()
        self.slow = Slow()
        backend = MemoryBackend(self.clock, MemorySettings())
        guarded = Guarded(Authorization(TableAuthority({}), backend.sessions, backend.queues))
        table = RouteTable(BasePaths(), {"/": Echo(), "/echo": Echo(), "/slow": self.slow, "/guarded": guarded})
        routes = Router(table, self.metrics, self.clock)
        site = HttpSite(routes, self.clock, self.metrics, body_limit=1000, idle=60.0, anonymous_limit=self.anonymous)
        self.house = House(site, self.clock, self.metrics)
        self.wire = self.house.wire()

    def assert_refused(self, answer: Answer, status: int, wire: Wire | None = None) -> None:
        """In the contract's shape, and the connection goes away."""
        wire = wire or self.wire
        self.assertEqual((answer.status, answer.json["code"]), (status, status))
        self.assertEqual(answer.fields["content-type"], "application/json")
        self.assertEqual(answer.fields["connection"], "close")
        self.assertIsInstance(wire.protocol, LingeringClose)
        self.assertTrue(wire.disconnecting)
        self.assertIsNone(wire.producer)

    def assert_nothing_runs(self) -> None:
        """No timer is left once every connection is gone."""
        for wire in self.house.wires:
            wire.hang_up()
        self.assertEqual(self.clock.getDelayedCalls(), [])
