"""Builds the HTTP interface and the port that it shares with WebSocket."""

from __future__ import annotations

from craftnet.access.auth_option import AuthSetup
from craftnet.access.authorization import Authorization
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.contract.routes import FeedRoutes
from craftnet.errors import ConfigurationError
from craftnet.feeds.ingest import Ingest
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.connection.sniffer import HttpFactory, SnifferFactory
from craftnet.http.cross_origin import CrossOrigin
from craftnet.http.resource import Router, RouteTable
from craftnet.http.routes.site import ANONYMOUS_BODY_LIMIT, metrics_site, site
from craftnet.limits.client_address import Forwarding
from craftnet.limits.connection_limits import Limits
from craftnet.observe.health.monitor import Monitor
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.sse.server.factory import EventStreamFactory
from craftnet.protocols.websocket.core.subprotocols import SUPPORTED
from craftnet.protocols.websocket.server.factory import FeedFactory
from craftnet.providers.inspection import IDemonstration
from craftnet.runtime.addresses import http_endpoint
from craftnet.server.build.administration import Administration
from craftnet.server.build.base import Base
from craftnet.server.build.transports import Transports
from craftnet.server.listener import Listener, SharingReactor


def build_http_routes(
    base: Base,
    ingest: Ingest,
    admission: Authorization,
    enforcement: Enforcement,
    transports: Transports,
    monitor: Monitor,
    forwarding: Forwarding,
    admin: Administration | None,
) -> HttpSite:
    """The HTTP interface, which other workers may use, too."""
    settings, state = base.settings, base.state
    routes = site(
        admission=admission,
        subscriptions=transports.feeds.subscriptions,
        guard=transports.feeds.gate,
        sources=state.sources,
        ingest=ingest,
        enforcement=enforcement,
        gateway=transports.udp_service,
        monitor=monitor,
        metrics=base.metrics,
        clock=base.reactor,
        bases=base.bases,
        forwarding=forwarding,
        idle=settings.idle_timeout,
        protocols=SUPPORTED,
        tolerance=base.tolerance,
        showcase=state.backend if IDemonstration.providedBy(state.backend) else None,
        hsts=settings.hsts,
        serve_metrics=settings.metrics is None,
        forward_call=None if state.division.calls is None else state.division.calls.answer,
        audit=base.security,
        more={} if admin is None or admin.own_port else admin.routes,
        regions=transports.regions,
        pages={} if admin is None or admin.own_port else admin.pages,
        dictionaries=transports.dictionaries,
    )
    state.division.serve(routes)
    return routes


def build_metrics_listener(base: Base) -> Listener | None:
    """Opens the separate port for /metrics; None if the port of HTTP and WebSocket serves it.

    Raises:
        ConfigurationError: the endpoint is invalid.
    """
    settings, reactor = base.settings, base.reactor
    if settings.metrics is None:
        return None
    half_open = HalfOpenConnections(base.metrics, settings.limits)
    factory = HttpFactory(metrics_site(base.metrics, reactor), half_open)
    sharing = reactor if settings.worker is None else SharingReactor(reactor)
    return Listener(sharing, settings.metrics, factory, base.metrics.refused, option="--metrics")


def build_admin_listener(
    base: Base, access: AuthSetup, feeds: FeedConnections, forwarding: Forwarding, admin: Administration | None
) -> Listener | None:
    """Opens the separate port of the admin API; None if it has none.

    Raises:
        ConfigurationError: the endpoint is invalid.
    """
    settings = base.settings
    if admin is None or settings.dashboard_http is None:
        return None
    endpoint = http_endpoint(settings.dashboard_http, None, loopback_only=access.loopback_only, reason=access.reason)
    table = RouteTable(base.bases, {**admin.routes, **admin.pages})
    routes = HttpSite(
        Router(table, base.metrics, base.reactor, forwarding),
        base.reactor,
        base.metrics,
        body_limit=ANONYMOUS_BODY_LIMIT,
        idle=settings.idle_timeout,
        anonymous_limit=ANONYMOUS_BODY_LIMIT,
    )
    factory = FeedFactory(feeds, missed_pongs=settings.missed_pongs, routes=FeedRoutes.ADMIN)
    half_open = HalfOpenConnections(base.metrics, settings.limits, settings.trusted_proxies)
    sniffer = SnifferFactory(routes, factory, base.reactor, half_open, timeout=settings.limits.handshake_timeout)
    sharing = base.reactor if settings.worker is None else SharingReactor(base.reactor)
    return Listener(sharing, endpoint, sniffer, base.metrics.refused, handshaken=base.metrics.tls_handshake)


def build_listener(
    base: Base,
    endpoint: str,
    routes: HttpSite,
    transports: Transports,
    admin: Administration | None,
    half_open: HalfOpenConnections,
) -> Listener:
    """Opens the port of HTTP and WebSocket.

    Raises:
        ConfigurationError: the endpoint is invalid, or --hsts is given without TLS.
    """
    settings, reactor, feeds = base.settings, base.reactor, transports.feeds
    sniffer = SnifferFactory(
        routes,
        FeedFactory(
            feeds,
            missed_pongs=settings.missed_pongs,
            routes=FeedRoutes.PLAYERS if admin is None or admin.own_port else FeedRoutes.ALL,
            preset=transports.dictionaries.preferred,
        ),
        reactor,
        half_open,
        streams=EventStreamFactory(
            feeds, CrossOrigin(feeds.gate.is_page), policy=routes.policy, missed_heartbeats=settings.missed_pongs
        ),
        timeout=settings.limits.handshake_timeout,
        worker_forwarding=base.state.division.connections,
    )

    def set_limits(limits: Limits) -> None:
        half_open.set_limits(limits)
        sniffer.timeout = limits.handshake_timeout

    feeds.gate.follow_limits(set_limits)
    sharing = reactor if settings.worker is None else SharingReactor(reactor)
    listener = Listener(sharing, endpoint, sniffer, base.metrics.refused, handshaken=base.metrics.tls_handshake)
    if settings.hsts and not listener.secure:
        raise ConfigurationError(
            f"--hsts needs an ssl endpoint, got --http {endpoint}: let the proxy that ends TLS send the header instead"
        )
    return listener
