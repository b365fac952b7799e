"""What became of datagrams, counted where it is hot: plain numbers, as in `craftnet.observe.deliveries`."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Iterator
from functools import cache

from prometheus_client import CollectorRegistry, Counter
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

OUTCOMES = ("craftnet_datagrams", "Datagrams received, by what became of them.")
"""Name and description."""


class OwnOutcomes(Collector):
    """Those of a process that is alone.

    Arguments:
        registry: where they are collected.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._counts: Counts[str] = Counts()
        registry.register(self)

    def count(self, outcome: str) -> None:
        """One more."""
        self._counts[outcome] += 1

    def collect(self) -> Iterator[Metric]:
        """As in `Collector`."""
        family = CounterMetricFamily(*OUTCOMES, labels=["outcome"])
        for outcome, number in self._counts.items():
            family.add_metric([outcome], number)
        yield family


class SharedOutcomes:
    """Those of one process of several, counted at once where the others can read them; as `OwnOutcomes`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        # To look a label up takes as long as to count.
        self._counter = cache(Counter(*OUTCOMES, ["outcome"], registry=registry).labels)

    def count(self, outcome: str) -> None:
        """One more."""
        self._counter(outcome).inc()
