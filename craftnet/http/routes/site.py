"""The routing table: every path of the service and its endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from types import MappingProxyType
from uuid import UUID

from craftnet import __version__
from craftnet.access.authorization import Authorization
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.clocks import IClock, moment
from craftnet.contract.routes import BasePaths
from craftnet.crafting.progress import Tolerance
from craftnet.feeds.ingest import Ingest
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.cross_origin import CrossOrigin
from craftnet.http.exchange import AddressCheck, Call, Endpoint, Response
from craftnet.http.resource import Router, RouteTable
from craftnet.http.routes.demonstration import SessionsUnderWay, demonstration_pages, demonstration_routes
from craftnet.http.routes.documents import with_documents
from craftnet.http.routes.events import Events
from craftnet.http.routes.feeds import (
    CraftingSnapshots,
    CraftingStreamInfo,
    DictionaryOctets,
    FeedEndpoint,
    HealthFeedInfo,
    HealthStreamInfo,
    PlayerSnapshots,
    PlayerStreamInfo,
    QueueSnapshots,
    QueueStreamInfo,
)
from craftnet.http.routes.health import Health, HealthBatch, HealthReady, Live, MetricsText, Ready
from craftnet.http.routes.home import LINKS, Home
from craftnet.http.routes.revocations import RevocationList
from craftnet.http.routes.udp_sessions import (
    MaterialsReports,
    OtherRegions,
    Posting,
    ProgressReports,
    UdpConnect,
    UdpSessions,
)
from craftnet.interfaces import IAuditLog
from craftnet.limits.client_address import Forwarding
from craftnet.limits.connection_limits import Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.limits.token_bucket import AddressLimit, RateLimit
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.websocket.core.dictionaries import Dictionaries
from craftnet.providers.inspection import IDemonstration
from craftnet.providers.sources import Sources

BODY_LIMIT = 1024 * 1024
"""Maximum bytes of a request's body; about two thousand events."""

ANONYMOUS_BODY_LIMIT = 4096
"""Maximum bytes of the body of a request without a token; longer ones are refused before they are read."""

IDLE_TIMEOUT = 75.0
"""Seconds a kept-alive connection may wait for, or take to send, its next request: longer than proxies keep it."""


def site(
    *,
    admission: Authorization,
    subscriptions: Subscriptions,
    guard: HandshakeGuard,
    sources: Sources,
    ingest: Ingest,
    enforcement: Enforcement,
    gateway: UdpSessions | None,
    monitor: Monitor,
    metrics: Metrics,
    clock: IClock,
    protocols: tuple[str, ...],
    tolerance: Tolerance,
    bases: BasePaths,
    forwarding: Forwarding | None = None,
    showcase: IDemonstration | None = None,
    idle: float = IDLE_TIMEOUT,
    hsts: int = 0,
    serve_metrics: bool = True,
    forward_call: Callable[[Call], Awaitable[Response | None]] | None = None,
    audit: IAuditLog | None = None,
    more: Mapping[str, Endpoint] = MappingProxyType({}),
    pages: Mapping[str, Endpoint] = MappingProxyType({}),
    dictionaries: Dictionaries | None = None,
    regions: OtherRegions | None = None,
) -> HttpSite:
    """The whole HTTP interface.

    Arguments:
        guard: knows the rate limits, and which pages may connect.
        enforcement: carries out revocations.
        gateway, regions: the UDP server, and the nodes of other regions; each None where there is none.
        protocols: the supported WebSocket subprotocols.
        tolerance: how far a player's report may deviate and still agree.
        bases: the base paths that may precede every route.
        forwarding, forward_call, audit: as for `Router`; idle, hsts: as for `HttpSite`.
        showcase: lists the sessions of a player; None where the back end cannot.
        more, pages: further endpoints, and pages that the first one links, by path.
        serve_metrics: whether /metrics is among the routes; another port serves it otherwise.
        dictionaries: those of the compressed subprotocol; None: those of the package.
    """
    both = partial(moment, clock)
    endpoints: dict[str, Endpoint] = {
        **_health(admission, monitor, clock, guard, bases, protocols),
        **_feeds(admission, subscriptions, bases, guard, clock),
        "/ws/dictionaries/{id}": DictionaryOctets(dictionaries or Dictionaries()),
        **demonstration_routes(admission, showcase),
        **({"/metrics": MetricsText(metrics)} if serve_metrics else {}),
        "/events": Events(admission, ingest, both, BODY_LIMIT),
        "/revocations": RevocationList(admission, enforcement, clock.wall),
        "/players/{player_id}/sessions": SessionsUnderWay(admission, showcase),
        **_udp(admission, Posting(sources, ingest, metrics, both, tolerance, gateway), clock, guard, regions),
        **more,
    }
    table = _table(endpoints, {**pages, **demonstration_pages(showcase)}, bases)
    router = Router(table, metrics, clock, forwarding, CrossOrigin(guard.is_page), forward_call, audit)
    return HttpSite(
        router, clock, metrics, body_limit=BODY_LIMIT, idle=idle, anonymous_limit=ANONYMOUS_BODY_LIMIT, hsts=hsts
    )


def _table(endpoints: Mapping[str, Endpoint], pages: Mapping[str, Endpoint], bases: BasePaths) -> RouteTable:
    """The routing table, with the API documents, pages and a first page that links them."""
    folders = [path.strip("/") for path in pages if path.endswith("/")]
    links = {name: link for name, link in LINKS.items() if name != "metrics" or "/metrics" in endpoints}
    home = Home(__version__, {**links, **{name: f"{name}/" for name in folders}})
    described = with_documents({**endpoints, **dict.fromkeys(("", "/"), home)}, __version__, bases)
    return RouteTable(bases, {**described, **pages})


def metrics_site(metrics: Metrics, clock: IClock) -> HttpSite:
    """The HTTP interface of a port that serves /metrics alone."""
    table = RouteTable(BasePaths(), {"/metrics": MetricsText(metrics)})
    return HttpSite(Router(table, metrics, clock), clock, metrics, body_limit=0, idle=IDLE_TIMEOUT)


def _feeds(
    admission: Authorization, subscriptions: Subscriptions, bases: BasePaths, guard: HandshakeGuard, clock: IClock
) -> dict[str, Endpoint]:
    """The routes of feeds, for requests that do not open one."""
    classes: dict[str, type[FeedEndpoint]] = {
        "/ws/crafting/{session_id}": CraftingSnapshots,
        "/ws/queue/{player_id}": QueueSnapshots,
        "/ws/player/{player_id}": PlayerSnapshots,
        "/sse/crafting/{session_id}": CraftingStreamInfo,
        "/sse/queue/{player_id}": QueueStreamInfo,
        "/sse/player/{player_id}": PlayerStreamInfo,
        "/sse/health": HealthStreamInfo,
    }
    return {path: made(admission, subscriptions, bases, guard, clock) for path, made in classes.items()}


def _health(
    admission: Authorization,
    monitor: Monitor,
    clock: IClock,
    guard: HandshakeGuard,
    bases: BasePaths,
    protocols: tuple[str, ...],
) -> dict[str, Endpoint]:
    """The health routes. GET /health and GET /health/ws share a limit per address."""
    requests = _limit(lambda limits: limits.health, "health requests", guard, clock)
    batches = _limit(lambda limits: limits.health_batches, "batches of health requests", guard, clock)
    return {
        "/health": Health(monitor, requests),
        "/health/batch": HealthBatch(monitor, partial(moment, clock), batches),
        "/ready": Ready(monitor),
        "/health/ready": HealthReady(monitor),
        "/health/live": Live(clock.wall),
        "/health/ws": HealthFeedInfo(admission, bases, protocols, requests),
    }


def _udp(
    admission: Authorization, posting: Posting, clock: IClock, guard: HandshakeGuard, regions: OtherRegions | None
) -> dict[str, Endpoint]:
    """The routes of UDP sessions. …/connect is limited for each address and for each player."""
    players: RateLimit[UUID] = RateLimit(
        guard.limits.connects_per_player, "There are too many requests for UDP connections of this player."
    )
    guard.follow_limits(lambda limits: players.change(limits.connects_per_player))
    addresses = _limit(lambda limits: limits.connects, "requests for UDP connections", guard, clock)
    connect = UdpConnect(admission, posting.sources, posting.gateway, clock.seconds, players, addresses, regions)
    return {
        "/udp/sessions/{session_id}/connect": connect,
        "/udp/sessions/{session_id}/progress": ProgressReports(admission, posting),
        "/udp/sessions/{session_id}/materials": MaterialsReports(admission, posting),
    }


def _limit(rate: Callable[[Limits], float], what: str, guard: HandshakeGuard, clock: IClock) -> AddressCheck:
    """A check that refuses `what` from an address that exceeds a rate of the guard's limits."""
    message = f"There are too many {what} from this address."
    limit = AddressLimit(rate(guard.limits), message, guard.limits.unlimited)
    guard.follow_limits(lambda limits: limit.change(rate(limits), limits.unlimited))
    return lambda address: limit.check(address, clock.seconds())
