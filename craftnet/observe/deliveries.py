"""Counts deliveries on the hot path: plain numbers that become metrics only at a scrape.

The counters of prometheus_client take a lock and compare every bucket. One of them and one of its histograms cost as
much as encoding a message, and several times that where several processes write them to files.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from craftnet.observe.figures import MetricsFile, bound_label, metric_key

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


class Tally:
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


class OwnDeliveries(dict[str, Tally]):
    """The tallies of a single process, by transport.

    Arguments:
        registry: collects them.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        registry.register(DeliveryCollector(self))

    def __missing__(self, transport: str) -> Tally:
        return self.setdefault(transport, Tally())


class SharedDeliveries(dict[str, Tally]):
    """The tallies of one process of several; as `OwnDeliveries`.

    They continue what an earlier process of the same name wrote.

    Arguments:
        file: returns the path of this process's file for a kind of metric.
    """

    def __init__(self, file: Callable[[str], str]) -> None:
        super().__init__()
        self._messages, self._latencies = MetricsFile(file("counter")), MetricsFile(file("histogram"))

    def __missing__(self, transport: str) -> Tally:
        tally = Tally()
        messages, seconds, *buckets = _keys(transport)
        tally.messages = int(self._messages.read(messages))
        tally.seconds = self._latencies.read(seconds)
        tally.buckets = [int(self._latencies.read(bucket)) for bucket in buckets]
        return self.setdefault(transport, tally)

    def write(self) -> None:
        """Writes the tallies where the other processes read them."""
        for transport, tally in self.items():
            messages, seconds, *buckets = _keys(transport)
            self._messages.write(messages, float(tally.messages))
            self._latencies.write(seconds, tally.seconds)
            for bucket, number in zip(buckets, tally.buckets, strict=True):
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

    def __init__(self, tallies: Mapping[str, Tally]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        """As in `Collector`."""
        deliveries = CounterMetricFamily(*MESSAGES, labels=["transport"])
        latencies = HistogramMetricFamily(*LATENCIES, labels=["transport"])
        for transport, tally in self._tallies.items():
            deliveries.add_metric([transport], tally.messages)
            cumulative = list(zip(BOUNDS, accumulate(tally.buckets), strict=True))
            latencies.add_metric([transport], cumulative, tally.seconds)
        yield deliveries
        yield latencies
