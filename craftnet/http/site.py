"""The routing table: every path of the service and its endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from uuid import UUID

from craftnet.access.admission import Admission
from craftnet.access.buckets import AddressLimit, RateLimit
from craftnet.access.enforcement import Enforcement
from craftnet.access.forwarding import Forwarding
from craftnet.access.limits import Limits
from craftnet.clocks import IClock, moment
from craftnet.http.channel import LimitedSite
from craftnet.http.dictionaries import Dictionaries
from craftnet.http.exchange import AddressCheck, Call, Endpoint, Response
from craftnet.http.feeds import FeedHint, HealthFeedInfo, SessionsUnderWay
from craftnet.http.health import Health, HealthBatch, Live, Ready
from craftnet.http.ingest import Events
from craftnet.http.metrics import MetricsText
from craftnet.http.resource import Routes, Table
from craftnet.http.revocations import RevocationList
from craftnet.http.udp import Gateway, PostedMaterials, PostedProgress, Posting, UdpConnect
from craftnet.ingest import Ingest
from craftnet.interfaces import IShowcase
from craftnet.model import Tolerance
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.sources import Sources
from craftnet.targets import BasePaths

BODY_LIMIT = 1024 * 1024
"""Maximum bytes of a request's body; about two thousand events."""

ANONYMOUS_BODY = 4096
"""Maximum bytes of the body of a request without a token; longer ones are refused before they are read."""

IDLE = 75.0
"""Seconds a kept-alive connection may wait for, or take to send, its next request: longer than proxies keep it."""


def site(
    *,
    admission: Admission,
    sources: Sources,
    ingest: Ingest,
    enforcement: Enforcement,
    gateway: Gateway | None,
    monitor: Monitor,
    metrics: Metrics,
    clock: IClock,
    protocols: tuple[str, ...],
    tolerance: Tolerance,
    limits: Limits,
    bases: BasePaths,
    forwarding: Forwarding | None = None,
    showcase: IShowcase | None = None,
    idle: float = IDLE,
    hsts: int = 0,
    elsewhere: Callable[[Call], Awaitable[Response | None]] | None = None,
) -> LimitedSite:
    """The whole HTTP interface.

    Arguments:
        enforcement: carries out revocations.
        gateway: the UDP server; None when it is off.
        protocols: the supported WebSocket subprotocols.
        tolerance: how far a player's report may deviate and still agree.
        limits: the rate limits.
        bases: the base paths that may precede every route.
        forwarding: as for `Routes`.
        showcase: lists the sessions of a player; None where the back end cannot.
        idle, hsts: as for `LimitedSite`.
        elsewhere: as for `Routes`.
    """
    both = partial(moment, clock)
    hint = FeedHint(admission, bases)
    posting = Posting(sources, ingest, metrics, both, tolerance, gateway)
    endpoints: dict[str, Endpoint] = {
        **_health(admission, monitor, clock, limits, bases, protocols),
        "/metrics": MetricsText(metrics),
        "/events": Events(admission, ingest, both, BODY_LIMIT),
        "/revocations": RevocationList(admission, enforcement, clock.wall),
        "/players/{player_id}/sessions": SessionsUnderWay(admission, showcase),
        "/ws/crafting/{session_id}": hint,
        "/ws/queue/{player_id}": hint,
        "/ws/dictionaries/{id}": Dictionaries(),
        "/udp/sessions/{session_id}/connect": _udp_connect(admission, sources, gateway, clock, limits),
        "/udp/sessions/{session_id}/progress": PostedProgress(admission, posting),
        "/udp/sessions/{session_id}/materials": PostedMaterials(admission, posting),
    }
    return LimitedSite(
        Routes(Table(bases, endpoints), metrics, clock.wall, forwarding, elsewhere),
        clock,
        metrics,
        body_limit=BODY_LIMIT,
        idle=idle,
        anonymous_limit=ANONYMOUS_BODY,
        hsts=hsts,
    )


def _health(
    admission: Admission,
    monitor: Monitor,
    clock: IClock,
    limits: Limits,
    bases: BasePaths,
    protocols: tuple[str, ...],
) -> dict[str, Endpoint]:
    """The health routes. GET /health and GET /health/ws share a limit per address."""
    requests = _limit(limits.health, "health requests", limits, clock)
    batches = _limit(limits.health_batches, "batches of health requests", limits, clock)
    return {
        "/health": Health(monitor, requests),
        "/health/batch": HealthBatch(monitor, partial(moment, clock), batches),
        "/ready": Ready(monitor),
        "/health/ready": Ready(monitor),
        "/health/live": Live(clock.wall),
        "/health/ws": HealthFeedInfo(admission, bases, protocols, requests),
    }


def _udp_connect(
    admission: Admission, sources: Sources, gateway: Gateway | None, clock: IClock, limits: Limits
) -> UdpConnect:
    """The connect route of UDP, limited for each address and for each player."""
    players: RateLimit[UUID] = RateLimit(
        limits.connects_per_player, "There are too many requests for UDP connections of this player."
    )
    addresses = _limit(limits.connects, "requests for UDP connections", limits, clock)
    return UdpConnect(admission, sources, gateway, clock.seconds, players, addresses)


def _limit(rate: float, what: str, limits: Limits, clock: IClock) -> AddressCheck:
    """A check that refuses `what` from an address that exceeds `rate` per second."""
    limit = AddressLimit(rate, f"There are too many {what} from this address.", limits.unlimited)
    return lambda address: limit.check(address, clock.seconds())
