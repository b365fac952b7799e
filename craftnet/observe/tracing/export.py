"""Exports spans with OTLP over HTTP: a bounded queue, and a thread that sends batches of it."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from craftnet.errors import ConfigurationError
from craftnet.observe.metrics import families
from craftnet.observe.metrics.store import MetricStore

MAX_WAITING = 4096
"""Spans that wait to be exported; further ones are dropped, and counted."""

SPANS_PER_REQUEST = 512
"""Spans in one request."""

EXPORT_INTERVAL = 1.0
"""Seconds between two exports."""

EXPORT_TIMEOUT = 5.0
"""Seconds for a request, its repetitions included, and for the last one when the service stops."""

ALARM_INTERVAL = 60.0
"""Seconds between two lines in the log while nothing can be exported."""

T = TypeVar("T")


def otlp_exporter(url: str) -> OTLPSpanExporter:
    """Sends spans to a collector.

    Arguments:
        url: of the collector; without a path, OTLP's own is appended.

    Raises:
        ConfigurationError: it is no URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(f"--otlp must be a URL such as http://127.0.0.1:4318, got {url}")
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it logs each failed attempt; `SpanExport` sums up.
    endpoint = url if parts.path.strip("/") else url.rstrip("/") + "/v1/traces"
    return OTLPSpanExporter(endpoint=endpoint, timeout=EXPORT_TIMEOUT)


class SpanQueue(SpanProcessor):
    """Finished spans that wait to be exported."""

    def __init__(self, store: MetricStore) -> None:
        self._spans: deque[ReadableSpan] = deque()
        self._counts = store.numbers(families.TRACE_SPANS)
        for outcome in families.TRACE_SPANS.labels["outcome"]:
            self.count(outcome, 0)  # so that an alert sees the first one.

    def __len__(self) -> int:
        return len(self._spans)

    def on_end(self, span: ReadableSpan) -> None:
        """Keeps a span, if there is room."""
        if len(self._spans) < MAX_WAITING:
            self._spans.append(span)
        else:
            self.count("dropped")

    def take(self) -> list[ReadableSpan]:
        """Removes the oldest spans: at most `SPANS_PER_REQUEST`."""
        return [self._spans.popleft() for _ in range(min(SPANS_PER_REQUEST, len(self._spans)))]

    def count(self, outcome: str, number: int = 1) -> None:
        """Counts spans: exported, failed or dropped."""
        self._counts[outcome,].value += number


class SpanExport(Service):
    """Exports the spans of a queue.

    Arguments:
        queue: the spans.
        exporter: sends them; it may block.
        clock: the steady clock.
        in_thread: runs blocking calls.
        threads: the thread of `in_thread`, which runs as long as the service.
    """

    name = "traces"
    _log = Logger()

    def __init__(
        self,
        queue: SpanQueue,
        exporter: SpanExporter,
        clock: IReactorTime,
        in_thread: Callable[[Callable[[], Any]], Deferred[Any]],
        threads: ThreadPool | None = None,
    ) -> None:
        self._queue = queue
        self._exporter = exporter
        self._clock = clock
        self._in_thread = in_thread
        self._threads = threads
        self._exporting: Deferred[None] | None = None
        self._alarmed_at = float("-inf")
        self._turning = LoopingCall(self._turn)
        self._turning.clock = clock

    def startService(self) -> None:
        """Starts exporting."""
        super().startService()
        if self._threads is not None:
            self._threads.start()
        self._turning.start(EXPORT_INTERVAL, now=False)

    def stopService(self) -> Deferred[None]:
        """Exports the waiting spans, for at most `EXPORT_TIMEOUT`."""
        super().stopService()
        self._turning.stop()
        return Deferred.fromCoroutine(self._stop())

    def _turn(self) -> None:
        if self._exporting is None and len(self._queue):
            exporting = self._exporting = Deferred.fromCoroutine(self._export_all())
            exporting.addErrback(partial(self._log.failure, "exporting spans failed"))
            if exporting.called:
                self._exporting = None

    async def _export_all(self) -> None:
        try:
            while batch := self._queue.take():
                if not await self._export(batch):
                    break
        finally:
            self._exporting = None

    async def _export(self, batch: list[ReadableSpan]) -> bool:
        try:
            result = await self._in_thread(partial(self._exporter.export, batch))
            exported, reason = result is SpanExportResult.SUCCESS, "the collector did not take them"
        except Exception as error:  # the exporter's; spans must not stop anything.
            exported, reason = False, str(error)
        self._queue.count("exported" if exported else "failed", len(batch))
        now = self._clock.seconds()
        if not exported and now >= self._alarmed_at + ALARM_INTERVAL:
            self._alarmed_at = now
            self._log.error("{number} spans could not be exported: {reason}", number=len(batch), reason=reason)
        return exported

    async def _stop(self) -> None:
        if self._exporting is None:
            self._turn()
        exporting = self._exporting
        if exporting is not None:
            waited: Deferred[None] = Deferred()
            exporting.addBoth(_fire, waited)
            waited.addTimeout(EXPORT_TIMEOUT, self._clock)
            waited.addErrback(lambda _: None)
            await waited
        self._queue.count("dropped", len(self._queue))
        self._exporter.shutdown()
        if self._threads is not None:
            self._threads.stop()


def _fire(result: Failure | None, waited: Deferred[None]) -> Failure | None:
    if not waited.called:
        waited.callback(None)
    return result
