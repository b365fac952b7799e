"""`/metrics`, for Prometheus."""

from __future__ import annotations

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from craftnet.http.exchange import Call, Endpoint, Response
from craftnet.observe.metrics import Metrics


class MetricsText(Endpoint):
    """`/metrics`"""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def respond(self, call: Call) -> Response:
        """All metrics."""
        return Response(200, self._metrics.render(), media_type=CONTENT_TYPE_PLAIN_0_0_4)
