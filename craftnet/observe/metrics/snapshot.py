"""All metrics at one moment as plain numbers, for displays without Prometheus. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct
from prometheus_client.metrics_core import Metric


class Buckets(Struct, frozen=True):
    """How often each size of something occurred.

    Attributes:
        bounds: the upper bounds of the buckets, ascending.
        counts: the observations in each bucket, and above the last.
        total: the sum of the observations.
    """

    bounds: tuple[float, ...] = ()
    counts: tuple[float, ...] = (0.0,)
    total: float = 0.0

    @property
    def count(self) -> float:
        """The number of observations."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """The mean of the observations; None when there are none."""
        return self.total / self.count if self.count else None

    def since(self, earlier: Buckets) -> Buckets:
        """The observations since an earlier moment; all of them if the server has started since."""
        if earlier.bounds != self.bounds or earlier.count > self.count:
            return self
        counts = tuple(now - before for now, before in zip(self.counts, earlier.counts, strict=True))
        return Buckets(self.bounds, counts, self.total - earlier.total)

    def quantile(self, quantile: float) -> float | None:
        """The size that this share of the observations, 0 to 1, does not exceed; None when there are none.

        Interpolated within its bucket, as `histogram_quantile` of Prometheus does; at most the highest bound.
        """
        rank, below, lower = quantile * self.count, 0.0, 0.0
        if not self.count:
            return None
        for upper, count in zip(self.bounds, self.counts, strict=False):
            if count and below + count >= rank:
                return lower + (upper - lower) * (rank - below) / count
            below, lower = below + count, upper
        return lower


class Snapshot:
    """All metrics at one moment.

    Arguments:
        metrics: as prometheus-client collects them.
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for metric in metrics:
            for sample in metric.samples:
                self._samples[sample.name].append((sample.labels, sample.value))

    def total(self, name: str, **labels: str) -> float:
        """The sum of a counter or gauge over all label values except the given ones; 0.0 when there is none.

        Arguments:
            name: as Prometheus reads it, such as ``craftnet_deliveries_total``.
        """
        return sum(value for _, value in self._matching(name, labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """As `total`, for each value of a label."""
        sums: dict[str, float] = defaultdict(float)
        for found, value in self._matching(name, labels):
            sums[found[label]] += value
        return dict(sums)

    def buckets(self, name: str, **labels: str) -> Buckets:
        """A histogram, summed over all label values except the given ones.

        Arguments:
            name: without a suffix, such as ``craftnet_event_to_delivery_seconds``.
        """
        cumulative: dict[float, float] = defaultdict(float)
        for found, value in self._matching(f"{name}_bucket", labels):
            cumulative[float(found["le"])] += value
        if not cumulative:
            return Buckets()
        bounds = sorted(cumulative)
        counts = [cumulative[bound] - before for bound, before in zip(bounds, self._shifted(cumulative), strict=True)]
        return Buckets(tuple(bounds[:-1]), tuple(counts), self.total(f"{name}_sum", **labels))

    def _matching(self, name: str, labels: dict[str, str]) -> list[tuple[dict[str, str], float]]:
        wanted = labels.items()
        return [(found, value) for found, value in self._samples.get(name, ()) if wanted <= found.items()]

    @staticmethod
    def _shifted(cumulative: dict[float, float]) -> list[float]:
        return [0.0, *(cumulative[bound] for bound in sorted(cumulative)[:-1])]
