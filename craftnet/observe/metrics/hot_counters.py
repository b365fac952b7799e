"""Deliveries and datagrams, counted as plain numbers that become metrics only at a scrape."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from craftnet.observe.metrics.process_files import MetricsFile, bound_label, metric_key

LATENCY_BUCKETS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds. They resolve the promises: 1 ms for UDP, 5 ms for WebSocket."""

MESSAGES = ("craftnet_deliveries", "Messages handed to a transport.")
LATENCIES = (
    "craftnet_event_to_delivery_seconds",
    "Seconds from an event's acceptance to its hand-over to the transport.",
)
"""Names and descriptions."""

BOUNDS = tuple(bound_label(bound) for bound in (*LATENCY_BUCKETS, float("inf")))
"""The upper bounds of the buckets, as labels."""


class DeliveryCounts:
    """The deliveries of one transport.

    Attributes:
        messages: their number.
        seconds: the sum of the latencies.
        buckets: the number of latencies in each of `LATENCY_BUCKETS`, and above them.
    """

    __slots__ = ("buckets", "messages", "seconds")

    def __init__(self) -> None:
        self.messages = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(LATENCY_BUCKETS) + 1)

    def count(self, messages: int, latency: float | None) -> None:
        """As in `Metrics.delivered`."""
        self.messages += messages
        if latency is not None:
            if latency > 0.0:
                self.seconds += latency
            self.buckets[bisect_left(LATENCY_BUCKETS, latency)] += 1


class LocalDeliveries(dict[str, DeliveryCounts]):
    """The tallies of a single process, by transport.

    Arguments:
        registry: collects them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        registry.register(DeliveryCollector(self))

    def __missing__(self, transport: str) -> DeliveryCounts:
        return self.setdefault(transport, DeliveryCounts())


class SharedDeliveries(dict[str, DeliveryCounts]):
    """The tallies of one process of several; as `LocalDeliveries`.

    They continue what an earlier process of the same name wrote.

    Arguments:
        file: returns the path of this process's file for a kind of metric.
    """

    def __init__(self, file: Callable[[str], str]) -> None:
        super().__init__()
        self._messages, self._latencies = MetricsFile(file("counter")), MetricsFile(file("histogram"))

    def __missing__(self, transport: str) -> DeliveryCounts:
        counts = DeliveryCounts()
        messages, seconds, *buckets = _keys(transport)
        counts.messages = int(self._messages.read(messages))
        counts.seconds = self._latencies.read(seconds)
        counts.buckets = [int(self._latencies.read(bucket)) for bucket in buckets]
        return self.setdefault(transport, counts)

    def write(self) -> None:
        """Writes the tallies where the other processes read them."""
        for transport, counts in self.items():
            messages, seconds, *buckets = _keys(transport)
            self._messages.write(messages, float(counts.messages))
            self._latencies.write(seconds, counts.seconds)
            for bucket, number in zip(buckets, counts.buckets, strict=True):
                self._latencies.write(bucket, float(number))


@cache
def _keys(transport: str) -> Sequence[str]:
    """The keys of a transport's tally in prometheus-client's files: messages, seconds, and each bucket."""
    labels = {"transport": transport}
    return [
        metric_key(MESSAGES, "_total", labels),
        metric_key(LATENCIES, "_sum", labels),
        *(metric_key(LATENCIES, "_bucket", {**labels, "le": bound}) for bound in BOUNDS),
    ]


class DeliveryCollector(Collector):
    """Collects the tallies for a registry. `tallies` is by transport, and read at each collection."""

    def __init__(self, counts: Mapping[str, DeliveryCounts]) -> None:
        self._counts = counts

    def collect(self) -> Iterator[Metric]:
        """As in `Collector`."""
        deliveries = CounterMetricFamily(*MESSAGES, labels=["transport"])
        latencies = HistogramMetricFamily(*LATENCIES, labels=["transport"])
        for transport, counts in self._counts.items():
            deliveries.add_metric([transport], counts.messages)
            cumulative = list(zip(BOUNDS, accumulate(counts.buckets), strict=True))
            latencies.add_metric([transport], cumulative, counts.seconds)
        yield deliveries
        yield latencies


OUTCOMES = ("craftnet_datagrams", "Received datagrams, by outcome.")
"""Name and description."""


class LocalDatagramOutcomes(Collector):
    """The counts of a single process.

    Arguments:
        registry: collects them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts: Counts[str] = Counts()
        registry.register(self)

    def count(self, outcome: str) -> None:
        """Counts one datagram."""
        self._counts[outcome] += 1

    def collect(self) -> Iterator[Metric]:
        """As in `Collector`."""
        family = CounterMetricFamily(*OUTCOMES, labels=["outcome"])
        for outcome, number in self._counts.items():
            family.add_metric([outcome], number)
        yield family


class SharedDatagramOutcomes:
    """The counts of one process of several, written at once where the others read them; as `LocalDatagramOutcomes`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # A look-up of a label takes as long as counting.
        self._counter = cache(Counter(*OUTCOMES, ["outcome"], registry=registry).labels)

    def count(self, outcome: str) -> None:
        """Counts one datagram."""
        self._counter(outcome).inc()
