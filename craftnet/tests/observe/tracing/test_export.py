"""Tests for `craftnet.observe.tracing.export` and `craftnet.observe.tracing.tracer`: the queue, and what is dropped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from msgspec.structs import replace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from craftnet.clocks import Moment
from craftnet.contract.events import Event, rejected
from craftnet.contract.traces import TraceParent
from craftnet.crafting.updates import Update, progress_update
from craftnet.errors import ConfigurationError
from craftnet.observe.metrics.store import MetricStore
from craftnet.observe.tracing.export import (
    EXPORT_TIMEOUT,
    MAX_WAITING,
    SPANS_PER_REQUEST,
    SpanExport,
    SpanQueue,
    otlp_exporter,
)
from craftnet.observe.tracing.sampling import MAX_TRACED, Sampler
from craftnet.observe.tracing.tracer import MAX_DELIVERIES, Tracer
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.samples import NOW, event, running, start


class KeepingExporter(SpanExporter):
    """Keeps the spans, or fails."""

    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []
        self.batches: list[int] = []
        self.broken = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Keeps them."""
        if self.broken:
            return SpanExportResult.FAILURE
        self.spans += spans
        self.batches.append(len(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Needs nothing."""


class TracingTestCase(SynchronousTestCase):
    share = 1.0

    def setUp(self) -> None:
        self.clock = SteppedClock(NOW)
        store, self.registry = MetricStore(), CollectorRegistry()
        self.registry.register(store)
        self.queue = SpanQueue(store)
        self.exporter = KeepingExporter()
        self.jobs: list[Callable[[], Any]] | None = None
        self.export = SpanExport(self.queue, self.exporter, self.clock, self.in_thread)
        self.tracer = Tracer(self.clock, Sampler(self.share, Random(1).random), self.queue, {})

    def in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        """At once, or never."""
        return maybeDeferred(function) if self.jobs is None else Deferred()

    def exported(self) -> list[ReadableSpan]:
        """The finished spans."""
        self.export.startService()
        self.clock.advance(1.0)
        self.successResultOf(self.export.stopService())
        return self.exporter.spans

    def counted(self, outcome: str) -> float:
        return self.registry.get_sample_value("craftnet_trace_spans_total", {"outcome": outcome}) or 0.0

    def spans(self, number: int) -> None:
        for _ in range(number):
            self.tracer.start("test", None).end()


class ExportTests(TracingTestCase):
    def test_batches(self) -> None:
        self.spans(2 * SPANS_PER_REQUEST + 1)
        self.exported()
        self.assertEqual(self.exporter.batches, [SPANS_PER_REQUEST, SPANS_PER_REQUEST, 1])
        self.assertEqual(self.counted("exported"), 2 * SPANS_PER_REQUEST + 1)

    def test_full_queue(self) -> None:
        self.spans(MAX_WAITING + 7)
        self.assertEqual((len(self.queue), self.counted("dropped")), (MAX_WAITING, 7))

    def test_collector_fails(self) -> None:
        """Counted, and logged once a minute; the service goes on."""
        self.exporter.broken = True
        self.export.startService()
        for _ in range(10):
            self.spans(1)
            self.clock.advance(1.0)
        self.assertEqual(self.counted("failed"), 10)
        self.exporter.broken = False
        self.spans(1)
        self.successResultOf(self.export.stopService())
        self.assertEqual(self.counted("exported"), 1)

    def test_hanging_collector(self) -> None:
        """The service stops nevertheless."""
        self.jobs = []
        self.export.startService()
        self.spans(3)
        self.clock.advance(1.0)
        self.spans(2)
        stopped = self.export.stopService()
        self.assertNoResult(stopped)
        self.clock.advance(EXPORT_TIMEOUT)
        self.successResultOf(stopped)
        self.assertEqual(self.counted("dropped"), 2)

    def test_urls(self) -> None:
        for url in ("", "127.0.0.1:4318", "ftp://collector"):
            self.assertRaises(ConfigurationError, otlp_exporter, url)
        otlp_exporter("http://127.0.0.1:4318").shutdown()


class TracerTests(TracingTestCase):
    def traced(self, parent: TraceParent | None = None, trace_id: str | None = None) -> Update:
        """The update of an event that was traced."""
        posted = event(start())
        batch = self.tracer.events([posted, rejected("nonsense")], parent)
        assert batch is not None
        traced = batch.events[0]
        batch.finish([rejected("no"), rejected("nonsense")])
        assert isinstance(traced, Event)
        return progress_update(replace(running(), trace=traced.trace), Moment(NOW, NOW), NOW)

    def test_one_delivery(self) -> None:
        """Below the update's span, which is below the event's; times are of the clock."""
        self.tracer.deliver(self.traced(), [RecordingWatcher()])
        spans = {span.name: span for span in self.exported()}
        parents = {name: span.parent.span_id if span.parent else None for name, span in spans.items()}
        ids = {name: span.context.span_id for name, span in spans.items()}
        self.assertEqual(parents, {"event": None, "apply": ids["event"], "feed": ids["event"], "delivery": ids["feed"]})
        self.assertEqual({span.context.trace_id for span in spans.values()}, {spans["event"].context.trace_id})
        self.assertEqual({span.start_time for span in spans.values()}, {int(NOW * 1e9)})

    def test_many_deliveries(self) -> None:
        """Each has a trace of its own, with a link; their number is bounded, the watchers are not."""
        watchers = [RecordingWatcher() for _ in range(MAX_DELIVERIES + 5)]
        self.tracer.deliver(self.traced(), watchers)
        self.assertEqual([len(watcher.updates) for watcher in watchers], [1] * len(watchers))
        spans = self.exported()
        (feed,) = [span for span in spans if span.name == "feed"]
        deliveries = [span for span in spans if span.name == "delivery"]
        self.assertEqual(len(deliveries), MAX_DELIVERIES)
        self.assertEqual((feed.attributes or {})["craftnet.deliveries"], len(watchers))
        for delivery in deliveries:
            self.assertIsNone(delivery.parent)
            self.assertEqual([link.context.span_id for link in delivery.links], [feed.context.span_id])

    def test_untraced_update(self) -> None:
        watcher = RecordingWatcher()
        self.tracer.deliver(progress_update(running(), Moment(NOW, NOW), NOW), [watcher])
        self.assertEqual((len(watcher.updates), len(self.queue)), (1, 0))

    def test_parent_of_the_authority(self) -> None:
        parent = TraceParent("a" * 32, "b" * 16, sampled=True)
        self.traced(parent)
        (span,) = [span for span in self.exported() if span.name == "event"]
        assert span.parent is not None
        self.assertEqual((f"{span.parent.trace_id:x}", f"{span.parent.span_id:x}"), ("a" * 32, "b" * 16))
        self.assertIsNone(self.tracer.events([event(start())], TraceParent("a" * 32, "b" * 16, sampled=False)))

    def test_large_body(self) -> None:
        """Not all of it, whatever the authority wants."""
        batch = self.tracer.events([event(start()) for _ in range(MAX_TRACED + 5)], None)
        assert batch is not None
        batch.finish([])
        self.assertEqual(len([span for span in self.exported() if span.name == "event"]), MAX_TRACED)
