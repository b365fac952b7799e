"""Builds the audit log, health checks, metrics of the process, and the start-up message."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

from craftnet import __version__
from craftnet.access.auth_option import AuthSetup
from craftnet.contract.messages import Service
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.observe.audit.keys import audit_key
from craftnet.observe.audit.log_file import AuditFile
from craftnet.observe.audit.pseudonyms import Pseudonyms
from craftnet.observe.audit.service import AuditLog, AuditMetrics, parse_sync
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.process import Limit, ProcessMetrics
from craftnet.protocols.udp.server.service import UdpService
from craftnet.protocols.udp.server.ticket_store import MAX_TICKETS
from craftnet.server.build.administration import Administration
from craftnet.server.build.base import Base
from craftnet.server.build.transports import Transports
from craftnet.server.health_checks import own_checks, probes
from craftnet.server.listener import Listener
from craftnet.server.settings import Settings
from craftnet.server.startup_message import DASHBOARD, PLAYERS_VIEW, Announcer, ServedSummary, hint


def build_audit_log(base: Base, environ: Mapping[str, str]) -> AuditLog | None:
    """Builds the audit log of security events; None without --audit.

    Raises:
        ConfigurationError: an option of the audit log is invalid, or its key or the players' keys are unusable.
    """
    settings, reactor = base.settings, base.reactor
    if settings.audit is None:
        return None
    path, name = Path(settings.audit).absolute(), "w0"
    players = Pseudonyms(players_file(settings))
    if settings.worker is not None:
        name = f"w{settings.worker}"
        path = path.with_name(f"{path.stem}-{name}{path.suffix}")
    file = AuditFile(path, audit_key(settings.audit_key, environ, "--audit-key"), players, name, reactor.wall)
    threads = ThreadPool(0, 1, "audit log")
    return AuditLog(
        base.security,
        file,
        reactor,
        AuditMetrics(base.metrics.store),
        partial(deferToThreadPool, reactor, threads),
        sync=parse_sync(settings.audit_sync),
        details={"version": __version__, "host": socket.gethostname(), "process": os.getpid()},
        threads=threads,
    )


def players_file(settings: Settings) -> Path:
    """The file of the players' keys of the audit log."""
    return Path(settings.audit_players or f"{settings.audit}.players").absolute()


def build_monitor(base: Base, audit_log: AuditLog | None) -> Monitor:
    """Checks the health of this service and of those next to it."""
    settings, state = base.settings, base.state
    others = {
        Service.CRAFTING_SERVICE: settings.crafting_service,
        Service.REAL_TIME_COMBAT: settings.real_time_combat,
    }
    return Monitor(
        own_checks(state.sources, state.built, state.cluster, base.metrics, audit_log),
        probes(others, base.reactor),
        base.reactor,
        version=__version__,
        interval=settings.health_interval,
    )


def build_process_metrics(
    base: Base, transports: Transports, half_open: HalfOpenConnections, listener: Listener
) -> ProcessMetrics:
    """Measures the process, and how full its limits are."""
    occupancy, udp_service = transports.feeds.gate.occupancy, transports.udp_service
    allowed = base.settings.limits
    limits: dict[str, Limit] = {
        "connections": (allowed.connections, lambda: len(occupancy)),
        "half_open": (allowed.half_open, lambda: len(half_open)),
    }
    if udp_service is not None:
        tickets = udp_service.tickets
        limits["udp_tickets"] = (MAX_TICKETS, lambda: len(tickets))
    return ProcessMetrics(
        base.metrics.store,
        __version__,
        limits,
        lambda: base.metrics.sessions_here,
        certificate_expiry=lambda: None if listener.certificate_validity is None else listener.certificate_validity[1],
    )


def build_announcer(
    base: Base,
    access: AuthSetup,
    listener: Listener,
    udp_service: UdpService | None,
    metrics: Listener | None,
    admin: Administration | None,
) -> Announcer:
    """Builds the start-up message, which lists what the service serves once every port is open."""
    pages = [PLAYERS_VIEW] if admin is None or admin.own_port else [DASHBOARD, PLAYERS_VIEW]

    def served() -> list[str]:
        udp = "off" if udp_service is None else udp_service.address
        own = "" if metrics is None else f"{metrics.url}/metrics"
        return ServedSummary(listener.url, udp, base.settings.backend, access.description, access.reason, own).lines

    return Announcer(
        served, lambda: hint(base.state.backend, access, listener.url, base.reactor.wall(), pages), base.reactor
    )
