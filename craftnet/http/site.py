"""The routing table: every path of the service, and what answers there."""

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
from craftnet.http.exchange import AddressCheck, Call, Response
from craftnet.http.feeds import FeedHint, HealthFeedInfo, SessionsUnderWay
from craftnet.http.health import Health, HealthBatch, Live, Ready
from craftnet.http.ingest import Events
from craftnet.http.metrics import MetricsText
from craftnet.http.resource import Routes, Table
from craftnet.http.revocations import RevocationList
from craftnet.http.udp import Gateway, PostedMaterials, PostedProgress, UdpConnect
from craftnet.ingest import Ingest
from craftnet.interfaces import IShowcase
from craftnet.model import Tolerance
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.sources import Sources
from craftnet.targets import BasePaths

BODY_LIMIT = 1024 * 1024
"""Bytes of a request's body; some two thousand events."""

ANONYMOUS_BODY = 4096
"""Bytes of the body of a request without a token; longer ones are refused before they are read."""

IDLE = 75.0
"""Seconds a kept-alive connection may wait for its next request, or take to send it: longer than proxies keep it."""


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
    limits: Limits | None = None,
    bases: BasePaths | None = None,
    forwarding: Forwarding | None = None,
    showcase: IShowcase | None = None,
    body_limit: int = BODY_LIMIT,
    idle: float = IDLE,
    hsts: int = 0,
    elsewhere: Callable[[Call], Awaitable[Response | None]] | None = None,
) -> LimitedSite:
    """The whole of the HTTP interface.

    Arguments:
        enforcement: what revokes.
        gateway: the UDP server; None when it is switched off.
        protocols: the WebSocket subprotocols that are spoken.
        tolerance: how far a player's claim may be off and agree.
        limits: how often what may be asked for.
        bases: what may stand in front of every route.
        forwarding: as for `Routes`.
        showcase: what lists the sessions of a player; None where the back end does not.
        body_limit, idle, hsts: as for `LimitedSite`.
        elsewhere: as for `Routes`.
    """
    now, both = clock.seconds, partial(moment, clock)
    bases, limits = bases or BasePaths(), limits or Limits()
    hint = FeedHint(admission, bases)

    def limit(rate: float, what: str) -> AddressCheck:
        checked = AddressLimit(rate, f"There are too many {what} from this address.", limits.unlimited)
        return lambda address: checked.check(address, now())

    health = limit(limits.health, "health requests")
    players: RateLimit[UUID] = RateLimit(
        limits.connects_per_player, "There are too many requests for UDP connections of this player."
    )
    table = Table(
        bases,
        {
            "/health": Health(monitor, health),
            "/health/batch": HealthBatch(monitor, both, limit(limits.health_batches, "batches of health requests")),
            "/ready": Ready(monitor),
            "/health/ready": Ready(monitor),
            "/health/live": Live(clock.wall),
            "/health/ws": HealthFeedInfo(admission, bases, protocols, health),
            "/metrics": MetricsText(metrics),
            "/events": Events(admission, ingest, both, body_limit),
            "/revocations": RevocationList(admission, enforcement, clock.wall),
            "/players/{player_id}/sessions": SessionsUnderWay(admission, showcase),
            "/ws/crafting/{session_id}": hint,
            "/ws/queue/{player_id}": hint,
            "/ws/dictionaries/{id}": Dictionaries(),
            "/udp/sessions/{session_id}/connect": UdpConnect(
                admission, sources, gateway, now, players, limit(limits.connects, "requests for UDP connections")
            ),
            "/udp/sessions/{session_id}/progress": PostedProgress(
                admission, sources, ingest, gateway, metrics, both, tolerance
            ),
            "/udp/sessions/{session_id}/materials": PostedMaterials(admission, sources, ingest, gateway, metrics, both),
        },
    )
    return LimitedSite(
        Routes(table, metrics, clock.wall, forwarding, elsewhere),
        clock,
        metrics,
        body_limit=body_limit,
        idle=idle,
        anonymous_limit=ANONYMOUS_BODY,
        hsts=hsts,
    )
