"""The health checks of this service: of its own parts, and probes of the services next to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from math import inf
from typing import Any
from uuid import UUID

from treq.client import HTTPClient
from twisted.web.client import Agent

from craftnet.contract.messages import Check, HealthStatus, Service
from craftnet.interfaces import IBackend, ICluster, IHealthChecks
from craftnet.observe.audit.service import AuditLog
from craftnet.observe.health.monitor import AsyncCheck
from craftnet.observe.health.probes import HttpProbe, SharedCheck, SourceCheck
from craftnet.observe.health.report import certificate_check
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.udp.server.service import UdpService
from craftnet.providers.sources import Sources
from craftnet.server.listener import Listener

NO_PLAYER = UUID(int=0)
"""The id that is looked up to see whether a provider answers."""


def own_checks(
    sources: Sources,
    backends: Iterable[IBackend],
    cluster: ICluster | None,
    metrics: Metrics,
    audit_log: AuditLog | None = None,
) -> dict[str, AsyncCheck]:
    """The checks of the sources, of what nodes share where there is a cluster, of the back ends themselves, and of the
    audit log.
    """
    checks: dict[str, AsyncCheck] = {
        "sessions": SourceCheck(sources.sessions.count),
        "materials": SourceCheck(partial(sources.materials.get, NO_PLAYER)),
        "queues": SourceCheck(partial(sources.queues.get, NO_PLAYER)),
    }
    if cluster is not None:
        revocations, places = cluster.revocations, cluster.connection_slots
        checks["revocations"] = SharedCheck(
            "revocations",
            lambda: revocations.complete,
            "a token that is revoked on another node may be accepted here",
            metrics,
            revocations.loaded,
        )
        checks["places"] = SharedCheck(
            "places",
            lambda: places.complete,
            "the limit of connections per player may be exceeded over all nodes",
            metrics,
        )
    if audit_log is not None:
        checks["audit"] = degraded_by(lambda: audit_log.problem)
    for backend in backends:
        if IHealthChecks.providedBy(backend):
            for name, check in backend.health_checks.items():
                checks[_free(name, checks)] = partial(_asked, check)
    return checks


def port_checks(listener: Listener, udp_service: UdpService | None, wall: Callable[[], float]) -> dict[str, AsyncCheck]:
    """The checks of the UDP socket, where UDP is on, and of the certificate, where the port uses TLS."""

    def check_certificate() -> Check:
        starts, ends = listener.certificate_validity or (-inf, inf)
        return certificate_check(starts, ends, wall())

    def check_socket() -> Check:
        if udp_service is None or udp_service.is_open:
            return Check(status=HealthStatus.OK)
        return Check(status=HealthStatus.CRITICAL, message="the UDP socket is closed: restart the process")

    return {
        **({} if udp_service is None else {"udp": partial(_asked, check_socket)}),
        **({"certificate": partial(_asked, check_certificate)} if listener.secure else {}),
    }


async def _asked(check: Callable[[], Check]) -> Check:
    return check()


def degraded_by(problem: Callable[[], str]) -> AsyncCheck:
    """A check that degrades the service while `problem` says one, and never more: the service works on without it."""

    def check() -> Check:
        found = problem()
        return Check(status=HealthStatus.DEGRADED, message=found) if found else Check(status=HealthStatus.OK)

    return partial(_asked, check)


def _free(name: str, taken: Mapping[str, AsyncCheck]) -> str:
    """`name`, with a number appended where two back ends have checks of that name."""
    number = 1
    while (numbered := name if number == 1 else f"{name}-{number}") in taken:
        number += 1
    return numbered


def probes(urls: Mapping[Service, str | None], reactor: Any) -> dict[Service, HttpProbe]:
    """A probe of each service whose URL was given.

    Raises:
        ConfigurationError: a URL cannot be requested.
    """
    client = HTTPClient(Agent(reactor))
    return {service: HttpProbe(service, url, client, reactor) for service, url in urls.items() if url is not None}
