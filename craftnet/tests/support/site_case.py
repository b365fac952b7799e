"""A site on a memory back end, and requests to it: what tests of HTTP routes share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

import msgspec
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.authorization import Authorization
from craftnet.access.principal import ADMIN, PUBLISH, Principal
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import Revocations
from craftnet.clocks import moment
from craftnet.contract.envelopes import ENVELOPE_VERSION
from craftnet.contract.http_bodies import UdpConnectRequest, UdpConnectResponse
from craftnet.contract.messages import Check, HealthStatus, rfc3339
from craftnet.contract.routes import BASE_PATHS, BasePaths
from craftnet.crafting.progress import Tolerance
from craftnet.errors import Refusal
from craftnet.feeds.hub import Hub
from craftnet.feeds.ingest import Ingest
from craftnet.feeds.player_feed import PlayerFeeds
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.cross_origin import CrossOrigin
from craftnet.http.description.openapi import Described, described, routes_of
from craftnet.http.exchange import Endpoint
from craftnet.http.operations import UNLISTED_STATUSES
from craftnet.http.request_head import path_and_query
from craftnet.http.routes.site import site
from craftnet.http.static_pages import StaticFile, ToFolder
from craftnet.interfaces import ITokenVerifier
from craftnet.limits.client_address import Forwarding, Networks, ServerUrl
from craftnet.limits.connection_limits import Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.origins import Origins
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.sse.server.factory import EventStreamFactory
from craftnet.protocols.udp.server.player_reports import SeenState
from craftnet.protocols.wire.records import ProgressFlags, ProgressRecord
from craftnet.providers.inspection import IDemonstration
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.support.fakes import SteppedClock, TableAuthority
from craftnet.tests.support.http_wire import Answer, House, answers, request
from craftnet.tests.support.samples import NOW, OTHER_PLAYER, PLAYER, event, start

PREFIXES = (*BASE_PATHS, "/crafting")
"""Base paths."""

HOST = b"Host: craft.example:8080\r\n"
HERE = ServerUrl("http", "craft.example", 8080)
JSON = b"Content-Type: application/json; charset=utf-8\r\n"
ACTIVE = ProgressFlags(0)
OCTETS = b"Content-Type: application/octet-stream\r\n"


def bearer(token: str) -> bytes:
    """As a header field."""
    return f"Authorization: Bearer {token}\r\n".encode()


def principal(player_id: UUID | None, *scopes: str) -> Principal:
    return Principal(player_id, frozenset(scopes), NOW + 3600)


class FakeGateway:
    """Records the connections that it should expect."""

    def __init__(self) -> None:
        self.expected: list[tuple[UUID, UUID, UdpConnectRequest, float, float, ServerUrl]] = []
        self.sight: SeenState | None = None

    def seen(self, claim: ProgressRecord, player_id: UUID, now: float) -> SeenState | None:
        """The test's answer."""
        return self.sight

    def connect(
        self,
        session_id: UUID,
        player_id: UUID,
        request: UdpConnectRequest,
        expires: float,
        now: float,
        server: ServerUrl,
        bearer: Principal,
    ) -> UdpConnectResponse:
        """Expect it."""
        self.expected.append((session_id, player_id, request, expires, now, server))
        return UdpConnectResponse(
            session_token="secret",
            server_endpoint="craft.example:8082",
            compression_enabled=False,
            negotiated_packet_size=1200,
            heartbeat_interval=5000,
        )


class TroubledAuthority(TableAuthority):
    """One that may be in trouble."""

    trouble: Exception | None = None
    pending: Deferred[Principal] | None = None

    def authenticate(self, token: str) -> Deferred[Principal]:
        """Fail with the trouble, if there is some; answer later, if the test wants that."""
        if self.pending is not None:
            return self.pending
        return super().authenticate(token) if self.trouble is None else fail(self.trouble)


class SiteTestCase(SynchronousTestCase):
    """A site on a memory provider that knows `SESSION` of `PLAYER`, begun at `NOW`."""

    udp = True
    tolerance = Tolerance()
    limits = Limits()
    proxies = ""
    origins: Sequence[str] = ()
    showcase: IDemonstration | None = None

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        backend = MemoryBackend(self.clock, MemorySettings())
        self.sources = Sources(backend.sessions, backend.materials, backend.queues)
        self.metrics = Metrics()
        ingest = Ingest(self.sources, self.metrics)
        self.successResultOf(Deferred.fromCoroutine(ingest.submit([event(start())])))
        self.authority = TroubledAuthority(
            {
                "player": principal(PLAYER),
                "other": principal(OTHER_PLAYER),
                "admin": principal(None, ADMIN),
                "publisher": principal(None, PUBLISH),
            }
        )
        self.status = HealthStatus.OK
        self.monitor = Monitor({"sessions": self.check}, {}, self.clock, version="1.2.3", interval=10.0)
        self.monitor.startService()
        self.gateway = FakeGateway()
        self.enforced: list[bool] = []
        admission = Authorization(self.verifier(), self.sources.sessions, self.sources.queues)
        hub = Hub(self.sources, self.clock, self.metrics)
        health = HealthFeed(self.monitor, self.clock, self.metrics)
        forwarding = Forwarding(Networks.parse(self.proxies, "--trusted-proxy"))
        self.connections = FeedConnections(
            Subscriptions(admission, hub, health, PlayerFeeds(hub, self.sources.sessions)),
            self.metrics,
            self.clock,
            HandshakeGuard(self.limits, Origins(self.origins), forwarding),
            bases=BasePaths(["/crafting"]),
        )
        self.site = site(
            admission=admission,
            subscriptions=self.connections.subscriptions,
            guard=self.connections.gate,
            sources=self.sources,
            ingest=ingest,
            enforcement=Enforcement(Revocations(), [self.enforce], partial(moment, self.clock)),
            gateway=self.gateway if self.udp else None,
            monitor=self.monitor,
            metrics=self.metrics,
            clock=self.clock,
            bases=BasePaths(["/crafting"]),
            forwarding=forwarding,
            protocols=("craftnet.json.v1",),
            tolerance=self.tolerance,
            showcase=self.showcase,
        )
        endpoints = self.site.routes.table.routes
        self.operations: dict[tuple[type[Endpoint], str], Described] = {
            (type(endpoints[each.path]), each.method): each for each in described(routes_of(endpoints))
        }
        streams = EventStreamFactory(self.connections, CrossOrigin(self.connections.gate.is_page))
        self.house = House(self.site, self.clock, self.metrics, streams=streams)

    def verifier(self) -> ITokenVerifier:
        """What verifies tokens."""
        return self.authority

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """A transport with one connection, of the player."""
        self.enforced.append(covered(principal(PLAYER)))
        return int(self.enforced[-1])

    async def check(self) -> Check:
        return Check(status=self.status)

    def ask(self, target: str, method: str = "GET", fields: bytes = b"", body: bytes = b"", token: str = "") -> Answer:
        """One request on a new connection."""
        wire = self.house.wire()
        fields = HOST + fields + (bearer(token) if token else b"")
        wire.receive(request(target, method, fields, body))
        (answer,) = answers(wire.value(), bodies=method != "HEAD")
        self.assert_described(target, "GET" if method == "HEAD" else method, answer)
        return answer

    def assert_described(self, target: str, method: str, answer: Answer) -> None:
        """The API documents list the status, if the request got as far as a route that answers this method."""
        try:
            endpoint, _, _ = self.site.routes.table.find(path_and_query(target.encode())[0])
        except Refusal:
            return
        if isinstance(endpoint, StaticFile | ToFolder):
            return  # a page's files are for browsers.
        if method in endpoint.methods and answer.status not in UNLISTED_STATUSES:
            listed = self.operations[type(endpoint), method].answers
            self.assertIn(answer.status, listed, f"{method} {target}: list it in the operation of {type(endpoint)}")

    def assert_error(self, answer: Answer, status: int) -> None:
        """In the contract's shape."""
        self.assertEqual((answer.status, answer.json["code"]), (status, status))
        self.assertIsInstance(answer.json["message"], str)
        self.assertLessEqual(set(answer.json), {"code", "message", "details"})
        self.assertEqual(answer.fields["content-type"], "application/json")


def posted_start(session_id: UUID) -> bytes:
    """The start of a session, as an event that nothing is wrong with."""
    return posted("crafting.session.start", start(session_id), session_id)


def posted(event_type: str, data: object, event_id: UUID) -> bytes:
    """An event as the body of a POST."""
    return msgspec.json.encode(
        {
            "event_id": event_id,
            "event_type": event_type,
            "timestamp": rfc3339(NOW),
            "version": ENVELOPE_VERSION,
            "source": "test",
            "data": data,
        }
    )
