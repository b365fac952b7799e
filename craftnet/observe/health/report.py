"""The rules of health: the status of a report, and the changes that watchers receive at once. Pure.

A failing provider is critical: sessions cannot be served. Another service that is not configured or unreachable only
degrades this one; by itself, an unreachable service is critical.

Health, readiness and liveness differ. Health is what this service and its neighbours report. A process that is not
ready should receive no requests: it starts, drains, or has a fault that a restart does not mend. A process is live as
long as it answers at all, so that nothing restarts it because of another component's fault.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Literal

from msgspec.structs import replace

from craftnet.contract.http_bodies import HealthBatchResponse, OverallStatus
from craftnet.contract.messages import (
    MALFORMED,
    Check,
    HealthResponse,
    HealthStatus,
    JsonDecoder,
    Service,
    WebSocketHealthMessage,
    rfc3339,
)

Reports = Mapping[Service, HealthResponse]
"""The newest report of every service."""

HealthMessageType = Literal["health_update", "health_alert", "service_down"]

_OVERALL = {
    HealthStatus.OK: OverallStatus.HEALTHY,
    HealthStatus.DEGRADED: OverallStatus.DEGRADED,
    HealthStatus.CRITICAL: OverallStatus.CRITICAL,
}
_ALARM = {HealthStatus.OK: 0, HealthStatus.DEGRADED: 1, HealthStatus.CRITICAL: 2}
_report_decoder = JsonDecoder(HealthResponse)


class Unready(StrEnum):
    """Why a process should receive no requests."""

    STARTING = "starting"
    DRAINING = "draining"
    CRITICAL = "critical"


def unready(own: HealthResponse, *, checked: bool, draining: bool) -> Unready | None:
    """The reason why this process is not ready; None when it is ready.

    Arguments:
        own: the newest report of this service.
        checked: whether the first round of checks is complete.
        draining: whether the process is stopping.
    """
    if draining:
        return Unready.DRAINING
    if not checked:
        return Unready.STARTING
    return Unready.CRITICAL if own.status is HealthStatus.CRITICAL else None


LATE_ONCE = 0.25
"""Seconds by which the event loop may be late without being degraded."""

ALWAYS_LATE = 1.0
"""Seconds by which an event loop that works is not always late."""

CERTIFICATE_NOTICE = 14 * 86400.0
"""Seconds before a certificate's end from which the service is degraded."""


def loop_check(delays: Sequence[float]) -> Check:
    """Judges how late calls of the event loop were, seconds each: degraded for one, critical when all are."""
    longest = max(delays, default=0.0)
    if longest <= LATE_ONCE:
        return Check(status=HealthStatus.OK)
    status = HealthStatus.CRITICAL if min(delays) > ALWAYS_LATE else HealthStatus.DEGRADED
    return Check(status=status, message=f"the event loop was up to {longest * 1000:.0f} ms late: the process is busy")


def certificate_check(starts: float, ends: float, now: float) -> Check:
    """Judges the certificate that new connections get; all three in Unix seconds."""
    if not starts <= now < ends:
        what = "is not valid yet" if now < starts else "has expired"
        message = f"the certificate {what}: it is valid from {rfc3339(starts)} to {rfc3339(ends)}"
        return Check(status=HealthStatus.CRITICAL, message=message)
    if ends - now < CERTIFICATE_NOTICE:
        return Check(status=HealthStatus.DEGRADED, message=f"the certificate expires at {rfc3339(ends)}: renew it")
    return Check(status=HealthStatus.OK)


def worst(statuses: Iterable[HealthStatus]) -> HealthStatus:
    """The worst of the statuses; ok for an empty sequence."""
    return max(statuses, key=_ALARM.__getitem__, default=HealthStatus.OK)


def starting_report(service: Service, now: float) -> HealthResponse:
    """The report before the first round of checks: critical for this service, and neutral about the others."""
    own = service is Service.CRAFTING_NETWORK
    return HealthResponse(
        status=HealthStatus.CRITICAL if own else HealthStatus.DEGRADED,
        timestamp=rfc3339(now),
        message=f"{service.value}: not checked yet",
    )


def unconfigured_report(service: Service, now: float) -> HealthResponse:
    """The report of a service without a configured address."""
    return HealthResponse(
        status=HealthStatus.DEGRADED,
        timestamp=rfc3339(now),
        message=f"{service.value}: not configured, so its health is unknown",
    )


def unreachable_report(service: Service, problem: str, now: float) -> HealthResponse:
    """The report of a service that did not answer for the reason `problem`."""
    return HealthResponse(
        status=HealthStatus.CRITICAL, timestamp=rfc3339(now), message=f"{service.value}: unreachable ({problem})"
    )


def report_from_answer(service: Service, code: int, body: bytes, now: float) -> HealthResponse:
    """The report of a service that answered a probe: its own, if it sent one."""
    try:
        report = _report_decoder.decode(body)
    except MALFORMED:
        status = HealthStatus.OK if 200 <= code < 300 else HealthStatus.CRITICAL
        return HealthResponse(status=status, timestamp=rfc3339(now), message=f"{service.value}: answered {code}")
    said = f"{service.value}: {report.message}" if report.message else service.value
    return replace(report, timestamp=rfc3339(now), message=said)


def as_check(report: HealthResponse, response_time: int | None) -> Check:
    """Another service's report as a check of this one: it can degrade this service but not make it critical.

    Arguments:
        response_time: of the probe, in milliseconds.
    """
    status = HealthStatus.OK if report.status is HealthStatus.OK else HealthStatus.DEGRADED
    return Check(status=status, message=report.message, response_time=response_time)


def own_report(checks: Mapping[str, Check], *, version: str, uptime: float, now: float) -> HealthResponse:
    """This service's report.

    Arguments:
        checks: by name.
        uptime: seconds since the start.
    """
    ailing = [name for name, check in checks.items() if check.status is not HealthStatus.OK]
    name = Service.CRAFTING_NETWORK.value
    return HealthResponse(
        status=worst(check.status for check in checks.values()),
        timestamp=rfc3339(now),
        message=f"{name}: see {', '.join(ailing)}" if ailing else name,
        version=version,
        uptime=int(uptime),
        checks=dict(checks),
    )


def health_batch(reports: Reports, services: Iterable[Service], now: float) -> HealthBatchResponse:
    """The reports of these services and the worst of their statuses; healthy for no services."""
    results = {service: reports[service] for service in services}
    overall = _OVERALL[worst(report.status for report in results.values())]
    return HealthBatchResponse(overall_status=overall, timestamp=rfc3339(now), results=results)


def urgent_message_type(before: Reports, after: Reports, service: Service) -> HealthMessageType | None:
    """The kind of message that watchers of `service` get at once; None if the regular update suffices.

    Watchers of this service also get the failures of other services, because its checks include them.
    """
    watched = Service if service is Service.CRAFTING_NETWORK else (service,)
    if any(_broke_down(before[one], after[one]) for one in watched):
        return "service_down"
    return "health_alert" if _statuses(before[service]) != _statuses(after[service]) else None


def health_message(kind: HealthMessageType, report: HealthResponse, now: float) -> WebSocketHealthMessage:
    """A message of the health feed."""
    return WebSocketHealthMessage(type=kind, timestamp=rfc3339(now), message_timestamp=report.timestamp, health=report)


def _broke_down(before: HealthResponse, after: HealthResponse) -> bool:
    return after.status is HealthStatus.CRITICAL and before.status is not HealthStatus.CRITICAL


def _statuses(report: HealthResponse) -> tuple[HealthStatus, dict[str, HealthStatus]]:
    return report.status, {name: check.status for name, check in (report.checks or {}).items()}
