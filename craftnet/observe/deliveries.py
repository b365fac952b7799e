"""Deliveries, counted where it is hot: plain numbers, which become metrics only when somebody asks for them.

The counters of prometheus_client take a lock and compare every bucket; one of them and one of its histograms cost as
much as encoding a message.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

LATENCY_BUCKETS = (0.00025, 0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds. They resolve the promises: 1 ms for UDP, 5 ms for WebSocket."""

MESSAGES = ("craftnet_deliveries", "Messages handed to a transport.")
LATENCIES = ("craftnet_event_to_delivery_seconds", "From an event's acceptance to its hand-over to the transport.")
"""Names and descriptions."""


class Tally:
    """The deliveries of one transport.

    Attributes:
        messages: how many there were.
        seconds: the sum of the latencies.
        buckets: how many latencies were in each of `LATENCY_BUCKETS`, and above them.
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
    """The tallies of a process that is alone, by transport.

    Arguments:
        registry: where they are collected.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        registry.register(DeliveryCollector(self))

    def __missing__(self, transport: str) -> Tally:
        return self.setdefault(transport, Tally())


class SharedTally:
    """The same, counted at once where other processes can read it."""

    __slots__ = ("_latencies", "_messages")

    def __init__(self, messages: Counter, latencies: Histogram) -> None:
        self._messages = messages
        self._latencies = latencies

    def count(self, messages: int, latency: float | None) -> None:
        """As in `Metrics.delivered`."""
        self._messages.inc(messages)
        if latency is not None:
            self._latencies.observe(max(0.0, latency))


class SharedDeliveries(dict[str, SharedTally]):
    """The tallies of one process of several; as `OwnDeliveries`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        super().__init__()
        self._messages = Counter(*MESSAGES, ["transport"], registry=registry)
        self._latencies = Histogram(*LATENCIES, ["transport"], buckets=LATENCY_BUCKETS, registry=registry)

    def __missing__(self, transport: str) -> SharedTally:
        tally = SharedTally(self._messages.labels(transport), self._latencies.labels(transport))
        return self.setdefault(transport, tally)


class DeliveryCollector(Collector):
    """What the tallies say, for a registry. `tallies` is by transport, and read at each collection."""

    def __init__(self, tallies: Mapping[str, Tally]) -> None:
        self._tallies = tallies

    def collect(self) -> Iterator[Metric]:
        """As in `Collector`."""
        deliveries = CounterMetricFamily(*MESSAGES, labels=["transport"])
        latencies = HistogramMetricFamily(*LATENCIES, labels=["transport"])
        bounds = [floatToGoString(bound) for bound in (*LATENCY_BUCKETS, float("inf"))]
        for transport, tally in self._tallies.items():
            deliveries.add_metric([transport], tally.messages)
            cumulative = list(zip(bounds, accumulate(tally.buckets), strict=True))
            latencies.add_metric([transport], cumulative, tally.seconds)
        yield deliveries
        yield latencies
