"""Counts datagrams by outcome on the hot path: plain numbers, as in `craftnet.observe.deliveries`."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

OUTCOMES = ("craftnet_datagrams", "Received datagrams, by outcome.")
"""Name and description."""


class OwnOutcomes(Collector):
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


class SharedOutcomes:
    """The counts of one process of several, written at once where the others read them; as `OwnOutcomes`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # A look-up of a label takes as long as counting.
        self._counter = cache(Counter(*OUTCOMES, ["outcome"], registry=registry).labels)

    def count(self, outcome: str) -> None:
        """Counts one datagram."""
        self._counter(outcome).inc()
