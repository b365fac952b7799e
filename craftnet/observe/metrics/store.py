"""The numbers behind metrics: plain ones that the code counts with, and that become samples only when they are read."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from craftnet.observe.metrics.family import OTHER, Family
from craftnet.observe.metrics.process_files import MetricsFile, bound_label, metric_key

MAX_SERIES = 400
"""Maximum number of label combinations of one metric; further ones count as `OTHER`."""


class Number:
    """One counter or gauge. Code that counts often adds to `value` itself."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: float = 0


class Distribution:
    """One histogram.

    Attributes:
        bounds: the upper bounds of the buckets; there is one more bucket, above them.
        counts: the number of observations in each bucket.
        total: the sum of the observations.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts one observation."""
        self.total += value
        self.counts[bisect_left(self.bounds, value)] += 1


Figure = TypeVar("Figure", Number, Distribution)


class Series(dict[tuple[str, ...], Figure], Generic[Figure]):
    """The figures of one metric, by the values of its labels. Looking one up creates it.

    Arguments:
        family: the metric; label values that are not possible count as `OTHER`.
        make: creates the figure of some label values.
    """

    def __init__(self, family: Family, make: Callable[[tuple[str, ...]], Figure]) -> None:
        super().__init__()
        self.family = family
        self._make: Callable[[tuple[str, ...]], Figure] = make
        if not family.labels:
            self[()]  # a metric without labels is there from the start.

    def __missing__(self, labels: tuple[str, ...]) -> Figure:
        bounded = self.family.bounded(labels)
        if len(self) >= MAX_SERIES:
            bounded = (OTHER,) * len(labels)
        if bounded in self:
            return self[bounded]
        return self.setdefault(bounded, self._make(bounded))


class MetricStore(Collector):
    """All figures of this process.

    Arguments:
        file: returns the path of this process's file for a kind of metric, where other processes of the server read
            it; an earlier process of the same name continues. None: this process is alone.

    Attributes:
        before_reading: called before figures are read or written; sets gauges that are not counted.
    """

    def __init__(self, file: Callable[[str], str] | None = None) -> None:
        self._file = file
        self._files: dict[str, MetricsFile] = {}
        self._written: list[_Written] = []
        self._numbers: dict[str, Series[Number]] = {}
        self._distributions: dict[str, Series[Distribution]] = {}
        self.before_reading: list[Callable[[], None]] = []

    def numbers(self, family: Family) -> Series[Number]:
        """The figures of a counter or a gauge."""
        if family.name not in self._numbers:
            self._numbers[family.name] = Series(family, lambda labels: self._number(family, labels))
        return self._numbers[family.name]

    def distributions(self, family: Family) -> Series[Distribution]:
        """The figures of a histogram."""
        if family.name not in self._distributions:
            self._distributions[family.name] = Series(family, lambda labels: self._distribution(family, labels))
        return self._distributions[family.name]

    def collect(self) -> Iterator[Metric]:
        """As in `Collector`: the figures of this process."""
        for function in self.before_reading:
            function()
        for numbers in self._numbers.values():
            family, labels = numbers.family, list(numbers.family.labels)
            kind = CounterMetricFamily if family.kind == "counter" else GaugeMetricFamily
            simple = kind(family.base, family.text, labels=labels)
            for values, number in list(numbers.items()):
                simple.add_metric(values, number.value)
            yield simple
        for distributions in self._distributions.values():
            family = distributions.family
            bounds = [*map(bound_label, family.bounds), bound_label(float("inf"))]
            buckets = HistogramMetricFamily(family.base, family.text, labels=list(family.labels))
            for values, distribution in list(distributions.items()):
                cumulative = list(zip(bounds, accumulate(distribution.counts), strict=True))
                buckets.add_metric(values, cumulative, distribution.total)
            yield buckets

    def write(self) -> None:
        """Writes the figures that have changed where the other processes read them; called every second."""
        if self._file is not None:
            for function in self.before_reading:
                function()
            for written in self._written:
                written.write()

    def _number(self, family: Family, labels: tuple[str, ...]) -> Number:
        number = Number()
        if self._file is not None:
            kind, suffix = ("counter", "_total") if family.kind == "counter" else (f"gauge_{family.combine}", "")
            file, keys = self._opened(kind), [_key(family, suffix, labels)]
            before = None  # a gauge is absent until it is set.
            if family.kind == "counter":
                number.value = file.read(keys[0])
                before = [number.value]
            self._written.append(_Written(file, keys, lambda: [number.value], before))
        return number

    def _distribution(self, family: Family, labels: tuple[str, ...]) -> Distribution:
        distribution = Distribution(family.bounds)
        if self._file is not None:
            file, keys = self._opened("histogram"), [_key(family, "_sum", labels)]
            for bound in (*family.bounds, float("inf")):
                keys.append(_key(family, "_bucket", labels, le=bound_label(bound)))
            distribution.total, *counts = map(file.read, keys)
            distribution.counts = [int(count) for count in counts]
            figures: Callable[[], list[float]] = lambda: [distribution.total, *distribution.counts]  # noqa: E731
            self._written.append(_Written(file, keys, figures, figures()))
        return distribution

    def _opened(self, kind: str) -> MetricsFile:
        assert self._file is not None
        if kind not in self._files:
            self._files[kind] = MetricsFile(self._file(kind))
        return self._files[kind]


class _Written:
    """One figure in the file that other processes read.

    Arguments:
        before: the numbers in the file; None if the file has none.
    """

    __slots__ = ("_before", "_file", "_keys", "_numbers")

    def __init__(
        self, file: MetricsFile, keys: list[str], numbers: Callable[[], list[float]], before: list[float] | None
    ) -> None:
        self._file = file
        self._keys = keys
        self._numbers = numbers
        self._before = before

    def write(self) -> None:
        """Writes the changed numbers."""
        numbers, before = self._numbers(), self._before
        if numbers != before:
            for place, (key, number) in enumerate(zip(self._keys, numbers, strict=True)):
                if before is None or number != before[place]:
                    self._file.write(key, float(number))
            self._before = numbers


def _key(family: Family, suffix: str, labels: tuple[str, ...], **more: str) -> str:
    named = dict(zip(family.labels, labels, strict=True)) | more
    return metric_key((family.base, family.text), suffix, named)
