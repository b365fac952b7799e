"""`/health`, `/health/batch`, readiness, liveness and `/metrics`. All read what is known already."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from craftnet.clocks import Moment
from craftnet.contract.http_bodies import HealthBatchRequest, HealthBatchResponse
from craftnet.contract.messages import HealthResponse, HealthStatus, Natural, Service, rfc3339, to_json
from craftnet.errors import SHUTTING_DOWN, Unavailable
from craftnet.http.coded_response import CodedResponse
from craftnet.http.exchange import JSON, AddressCheck, Call, Endpoint, Response, json_response
from craftnet.http.operations import FAILURES, Answer, ApiOperation, Body, HeaderField, Tag, Text, by_method
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.health.report import Unready, health_batch
from craftnet.observe.metrics.registry import Metrics

MAX_AGE = 30
"""Seconds for which a report may be cached."""


_CACHING = (
    HeaderField("Cache-Control", str, f"`public, max-age={MAX_AGE}`; `no-store` with 503."),
    HeaderField("ETag", str, "Entity tag of the report."),
)


class Health(Endpoint):
    """`/health`: rendered once per report."""

    operations = by_method(
        GET=ApiOperation(
            "craftingNetworkServiceHealthCheck",
            "The health of craftnet",
            Tag.HEALTH,
            {
                200: Answer("Works, perhaps with restrictions.", HealthResponse, _CACHING),
                304: Answer("The client has this report already (If-None-Match)."),
                503: Answer("A check is critical, or nothing is checked yet.", HealthResponse, _CACHING),
            },
            "The newest round of checks; gzip-coded for clients that accept that. Not for liveness probes: use"
            " `/health/live`, since a restart mends no fault of a back end.",
        )
    )
    reads = ("If-None-Match",)
    cross_origin = True

    def __init__(self, monitor: Monitor, limit: AddressCheck | None = None) -> None:
        self._monitor = monitor
        self.limit = limit
        self._answered: tuple[HealthResponse, CodedResponse] | None = None

    async def respond(self, call: Call) -> Response:
        """The newest report, or 304; 503 when it is critical."""
        report = self._monitor.reports[Service.CRAFTING_NETWORK]
        if self._answered is None or self._answered[0] is not report:
            self._answered = report, _response(report)
        return self._answered[1].answer(call)


class HealthBatch(Endpoint):
    """`/health/batch`."""

    operations = by_method(
        POST=ApiOperation(
            "craftingNetworkServiceBatchHealthCheck",
            "The health of several services",
            Tag.HEALTH,
            {
                200: Answer(
                    "The report of each service, and the worst of their statuses.",
                    HealthBatchResponse,
                    (
                        HeaderField("Cache-Control", str, "`no-cache`."),
                        HeaderField("X-Processing-Time", Natural, "Milliseconds that the answer took."),
                    ),
                )
            },
            bodies={JSON: Body(HealthBatchRequest, {"services": ["crafting-network"]})},
        )
    )
    methods = ("POST",)
    accepts = frozenset({JSON})

    def __init__(self, monitor: Monitor, now: Callable[[], Moment], limit: AddressCheck | None = None) -> None:
        self._monitor = monitor
        self.limit = limit
        self._now = now

    async def respond(self, call: Call) -> Response:
        """The newest report of each requested service, and the worst of their statuses."""
        started = self._now()
        asked = call.decode(HealthBatchRequest).services
        answer = health_batch(self._monitor.reports, asked, started.wall)
        duration = int((self._now().steady - started.steady) * 1000)
        return json_response(
            answer,
            headers={"Cache-Control": "no-cache", "X-Processing-Time": str(duration)},
        )


def _readiness(name: str) -> ApiOperation:
    return ApiOperation(
        name,
        "Whether to send requests to this process",
        Tag.HEALTH,
        {
            200: Answer("It takes requests.", HealthResponse),
            503: FAILURES[503],
        },
        "503 while the process starts, drains, or has a fault that a restart does not mend; `details.reason` says"
        " which. No rate limit.",
    )


class Ready(Endpoint):
    """`/ready`: whether to send requests to this process. Never limited: probes must not fail."""

    operations = by_method(GET=_readiness("readiness"))
    messages: ClassVar[dict[Unready, str]] = {
        Unready.STARTING: "The server is starting: its first round of health checks is not complete.",
        Unready.DRAINING: SHUTTING_DOWN,
        Unready.CRITICAL: "The server cannot work, and a restart would not help: GET /health says why.",
    }

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor

    async def respond(self, call: Call) -> Response:
        """The status and time of the newest report; 503 when the process is not ready."""
        reason = self._monitor.unready
        if reason is not None:
            raise Unavailable(self.messages[reason], details={"reason": reason.value})
        report = self._monitor.reports[Service.CRAFTING_NETWORK]
        return json_response(HealthResponse(status=report.status, timestamp=report.timestamp))


class HealthReady(Ready):
    """`/health/ready`: the same."""

    operations = by_method(GET=_readiness("healthReadiness"))


class Live(Endpoint):
    """`/health/live`: an answer shows that this process serves. Never limited, as `Ready`."""

    operations = by_method(
        GET=ApiOperation(
            "liveness",
            "Whether this process lives",
            Tag.HEALTH,
            {200: Answer("It answers, so it lives.", HealthResponse)},
            "For liveness probes. No rate limit.",
        )
    )

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall

    async def respond(self, call: Call) -> Response:
        """Always ok."""
        return json_response(HealthResponse(status=HealthStatus.OK, timestamp=rfc3339(self._wall())))


def _response(report: HealthResponse) -> CodedResponse:
    status = 503 if report.status is HealthStatus.CRITICAL else 200
    kept = "no-store" if status == 503 else f"public, max-age={MAX_AGE}"
    return CodedResponse.of(Response(status, to_json(report), {"Cache-Control": kept}))


class MetricsText(Endpoint):
    """`/metrics`"""

    operations = by_method(
        GET=ApiOperation(
            "metrics",
            "All metrics for Prometheus",
            Tag.OPERATIONS,
            {200: Answer("Prometheus' text format, version 0.0.4.", Text, media_type="text/plain")},
        )
    )

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def respond(self, call: Call) -> Response:
        """All metrics."""
        return Response(200, self._metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
