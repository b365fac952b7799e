"""What a metric is: its name, its meaning, its labels, and how the figures of several processes combine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

LabelValues = Mapping[str, tuple[str, ...]]
"""The possible values of each label; empty if the counting code names them."""

OTHER = "other"
"""The label value of everything that is not among the possible ones."""


class Family(Struct, frozen=True):
    """One metric.

    Attributes:
        name: as in the Prometheus text format; that of a counter ends in ``_total``.
        text: the meaning, with the unit.
        kind: counter, gauge or histogram.
        labels: the labels, with their possible values.
        bounds: the upper bounds of a histogram's buckets, ascending; one more bucket has everything above.
        combine: what several processes of one server (`--workers`) show of a gauge: the sum, the maximum or the
            minimum of those that live. Counters and histograms are summed.
    """

    name: str
    text: str
    kind: Literal["counter", "gauge", "histogram"]
    labels: LabelValues = {}
    bounds: tuple[float, ...] = ()
    combine: Literal["livesum", "livemax", "livemin"] = "livesum"

    @property
    def base(self) -> str:
        """The name without the suffix that marks a counter."""
        return self.name.removesuffix("_total")

    def bounded(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """The values of the labels, with `OTHER` for each that is not possible."""
        return tuple(
            value if not possible or value in possible else OTHER
            for value, possible in zip(values, self.labels.values(), strict=True)
        )


def counter(name: str, text: str, labels: LabelValues | None = None) -> Family:
    """A number that only grows while the server runs."""
    return Family(name, text, "counter", labels or {})


def gauge(
    name: str,
    text: str,
    labels: LabelValues | None = None,
    combine: Literal["livesum", "livemax", "livemin"] = "livesum",
) -> Family:
    """A number that rises and falls."""
    return Family(name, text, "gauge", labels or {}, combine=combine)


def histogram(name: str, text: str, bounds: tuple[float, ...], labels: LabelValues | None = None) -> Family:
    """How often each size of something occurred."""
    return Family(name, text, "histogram", labels or {}, bounds)
