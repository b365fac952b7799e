"""The composition root: builds the parts of the service and connects them. Each module builds one kind of part."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.application.internet import TimerService
from twisted.application.service import IService

from craftnet.access.auth_option import access_from_option
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import Revocations
from craftnet.contract.position import HISTORY_SECONDS
from craftnet.devices.registry import DeviceRegistry
from craftnet.feeds.hub import Hub
from craftnet.feeds.player_feed import PlayerFeeds
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.tls import CHECK_INTERVAL
from craftnet.observe.audit.service import AuditLog
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.health.probes import LoopCheck
from craftnet.observe.metrics.registry import SessionCounter
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.server.build.access import build_authorization, build_enforcement, build_key_log
from craftnet.server.build.administration import build_administration, connect_actions
from craftnet.server.build.base import Base, build_base
from craftnet.server.build.http import (
    build_admin_listener,
    build_http_routes,
    build_listener,
    build_metrics_listener,
)
from craftnet.server.build.ingest import build_ingest, build_stream_consumer
from craftnet.server.build.learning import Learning, build_learning
from craftnet.server.build.nodes import build_devices, build_node_group, build_regions
from craftnet.server.build.observation import (
    build_announcer,
    build_audit_log,
    build_monitor,
    build_process_metrics,
)
from craftnet.server.build.recording import build_recording
from craftnet.server.build.reload import connect_audit, connect_certificate, connect_limits, connect_log
from craftnet.server.build.transports import (
    Transports,
    build_addresses,
    build_dictionaries,
    build_feed_connections,
    build_notifications,
    build_relay,
    build_udp_service,
)
from craftnet.server.gc_tuning import GcTuner
from craftnet.server.health_checks import port_checks
from craftnet.server.listener import Listener
from craftnet.server.reload import Reloader
from craftnet.server.service import Craftnet
from craftnet.server.settings import Settings
from craftnet.streams.consumer import StreamConsumer


def build(
    settings: Settings, reactor: Any, environ: Mapping[str, str], reread: Callable[[], Settings] | None = None
) -> Craftnet:
    """Builds the service that `settings` describe; nothing listens yet.

    Arguments:
        reactor: IReactorTime, IReactorUDP, and the interfaces that the HTTP endpoint and the back ends need.
        reread: returns the present settings of the file and the environment; None if they never change.

    Raises:
        ConfigurationError: the settings are invalid.
    """
    access = access_from_option(settings.auth, environ, reactor)
    addresses = build_addresses(settings, access)
    base = build_base(settings, reactor, Reloader(settings, reread or (lambda: settings)))
    hub = _hub(base, learning := build_learning(base))
    audit_log = build_audit_log(base, environ)
    monitor = build_monitor(base, audit_log)
    health = HealthFeed(monitor, reactor, base.metrics, interval=settings.health_interval)
    revocations = Revocations()
    admission = build_authorization(base, access, revocations, environ, monitor)
    subscriptions = Subscriptions(admission, hub, health, PlayerFeeds(hub, base.state.sources.sessions))
    relay = subscriptions.relay = build_relay(base, hub, learning.forecaster)
    feeds = build_feed_connections(base, subscriptions, addresses.forwarding)
    udp_service = build_udp_service(base, addresses, hub, build_key_log(access, addresses, environ))
    group = build_node_group(base, access)
    subscriptions.devices = build_devices(base, hub, group, relay)
    regions = build_regions(base, addresses, group, udp_service, monitor, revocations, environ)
    transports = Transports(feeds, udp_service, build_dictionaries(settings), regions)
    enforcement = build_enforcement(base, revocations, transports, relay)
    admin = build_administration(base, access, admission, group, hub, monitor, transports, enforcement)
    ingest = build_ingest(base)
    routes = build_http_routes(base, ingest, admission, enforcement, transports, monitor, addresses.forwarding, admin)
    half_open = HalfOpenConnections(base.metrics, settings.limits, settings.trusted_proxies)
    listener = build_listener(base, addresses.http, routes, transports, admin, half_open)
    loop = LoopCheck(reactor, base.metrics.loop_delays)
    monitor.add({"loop": loop, **port_checks(listener, udp_service, reactor.wall)})
    consumer = build_stream_consumer(base, ingest, monitor)
    service = _service(base, listener, transports, monitor, audit_log, consumer)
    metrics = build_metrics_listener(base)
    if admin is not None:
        connect_actions(admin.actions, service)
        service.admin_listener = build_admin_listener(base, access, transports.feeds, addresses.forwarding, admin)
    parts = [
        *(audit_log, None if base.tracing is None else base.tracing.export),
        *(() if admin is None else admin.services),
        service.admin_listener,
        build_recording(base, transports, monitor),  # before the back ends, whose first events it records, too.
        *(made.service for made in base.state.built),
        base.state.division.links,
        *(loop, monitor, health, group, regions, metrics, *learning.services),
        *_turns(base, hub, transports.feeds, enforcement, listener),
        *_measurements(base, transports, half_open, listener),
        build_announcer(base, access, listener, transports.udp_service, metrics, admin),
        *build_notifications(base, transports, environ),
        consumer,
    ]
    for part in filter(None, parts):
        part.setServiceParent(service)
    return service


def _service(
    base: Base,
    listener: Listener,
    transports: Transports,
    monitor: Monitor,
    audit_log: AuditLog | None,
    consumer: StreamConsumer | None,
) -> Craftnet:
    """The service without its parts, but those that it stops in order."""
    connect_limits(base.reloader, transports.feeds.gate)
    connect_certificate(base.reloader, listener)
    connect_log(base.reloader, base.settings)
    connect_audit(base.reloader, base.security)
    return Craftnet(
        listener,
        transports.udp_service,
        transports.feeds,
        monitor,
        base.settings.drain_time,
        base.settings.limits.connections,
        base.reloader,
        audit_log,
        consumer,
    )


def _hub(base: Base, learning: Learning) -> Hub:
    """All open feeds."""
    return Hub(
        base.state.sources,
        base.reactor,
        base.metrics,
        tolerance=base.tolerance,
        refresh=base.settings.refresh,
        linger=0.0 if base.state.relayed else HISTORY_SECONDS,
        tracer=base.tracer,
        forecaster=learning.forecaster,
    )


def _measurements(
    base: Base, transports: Transports, half_open: HalfOpenConnections, listener: Listener
) -> Iterator[IService]:
    """The services that measure at intervals, and at each garbage collection."""
    yield SessionCounter(base.state.sources.sessions, base.metrics, base.reactor)
    yield build_process_metrics(base, transports, half_open, listener)
    yield GcTuner(base.reactor, paused=base.metrics.gc_paused)


def _turns(
    base: Base, hub: Hub, feeds: FeedConnections, enforcement: Enforcement, listener: Listener
) -> Iterator[IService]:
    """Everything that is done at regular intervals."""
    devices = feeds.subscriptions.devices
    for interval, turn in (
        (hub.turn_interval, hub.turn),
        (1.0, feeds.turn),
        (1.0, enforcement.turn),
        (1.0, base.metrics.write),
        (1.0, base.security.turn),
        (CHECK_INTERVAL, listener.check_files),
        *(((1.0, devices.turn),) if isinstance(devices, DeviceRegistry) else ()),
    ):
        timer = TimerService(interval, turn)
        timer.clock = base.reactor
        yield timer
