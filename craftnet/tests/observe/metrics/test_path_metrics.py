"""Tests for `craftnet.observe.metrics.registry`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.metrics.registry import PathMetrics
from craftnet.observe.metrics.store import MetricStore
from craftnet.protocols.udp.core.pacing import MAX_RATE, MIN_RATE

NAMES = {
    "round_trip_seconds": 0.03,
    "round_trip_variation_seconds": 0.02,
    "jitter_seconds": 0.01,
    "clock_offset_seconds": 7.0,
    "loss_ratio": 0.2,
    "loss_in_ratio": 0.3,
    "reordering_ratio": 0.4,
    "rate_bytes_per_second": 25_000.0,
    "send_queue_records": 3.0,
}


class LinesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.registry = CollectorRegistry()
        store = MetricStore()
        self.registry.register(store)
        self.lines = PathMetrics(store)

    def _measure(self, round_trip: float | None, offset: float | None) -> None:
        self.lines.measured(
            round_trip=round_trip,
            variation=0.02,
            jitter=0.01,
            offset=offset,
            loss_out=0.2,
            loss_in=0.3,
            reordered=0.4,
            rate=25_000.0,
            queued=3,
        )

    def _sample(self, name: str, of: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"craftnet_udp_{name}_{of}", labels)

    def test_each_figure_has_its_own(self) -> None:
        self._measure(0.03, 7.0)
        self.assertEqual({name: self._sample(name, "sum") for name in NAMES}, NAMES)

    def test_a_clock_that_is_slow_is_as_far_off_as_one_that_is_fast(self) -> None:
        self._measure(0.03, -7.0)
        self.assertEqual(self._sample("clock_offset_seconds", "sum"), 7.0)

    def test_what_is_not_known_yet_is_not_counted(self) -> None:
        self._measure(None, None)
        unknown = {name for name in NAMES if self._sample(name, "count") == 0}
        self.assertEqual(unknown, {"round_trip_seconds", "round_trip_variation_seconds", "clock_offset_seconds"})

    def test_rates_are_measured_from_the_lowest_to_the_highest(self) -> None:
        self._measure(None, None)
        for rate in (MIN_RATE, MAX_RATE):
            self.assertEqual(self._sample("rate_bytes_per_second", "bucket", le=f"{rate:.1f}"), float(rate == MAX_RATE))
