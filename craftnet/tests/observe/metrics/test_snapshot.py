"""Tests for `craftnet.observe.metrics.snapshot`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.metrics.registry import Metrics
from craftnet.observe.metrics.snapshot import Buckets


class SnapshotTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.metrics = Metrics()
        for transport, latency in (("udp", 0.0004), ("udp", 0.0004), ("websocket", 0.004), ("sse", None)):
            self.metrics.delivered(transport, 2, latency)

    def test_totals_are_summed_over_the_labels_that_are_not_given(self) -> None:
        snapshot, name = self.metrics.snapshot(), "craftnet_deliveries_total"
        self.assertEqual((snapshot.total(name), snapshot.total(name, transport="udp")), (8, 4))
        self.assertEqual(snapshot.by(name, "transport"), {"udp": 4, "websocket": 2, "sse": 2})

    def test_what_is_unknown_is_zero(self) -> None:
        snapshot = self.metrics.snapshot()
        self.assertEqual((snapshot.total("nothing"), snapshot.by("nothing", "label")), (0, {}))
        self.assertEqual(snapshot.buckets("nothing").quantile(0.5), None)

    def test_buckets_are_summed_as_well(self) -> None:
        snapshot, name = self.metrics.snapshot(), "craftnet_event_to_delivery_seconds"
        both, udp = snapshot.buckets(name), snapshot.buckets(name, transport="udp")
        self.assertEqual((both.count, udp.count), (3, 2))
        self.assertAlmostEqual(both.total, 0.0048)
        mean = udp.mean
        assert mean is not None
        self.assertAlmostEqual(mean, 0.0004)

    def test_a_quantile_of_what_came_since(self) -> None:
        name = "craftnet_event_to_delivery_seconds"
        before = self.metrics.snapshot().buckets(name)
        self.metrics.delivered("udp", 1, 0.07)
        since = self.metrics.snapshot().buckets(name).since(before)
        self.assertEqual(since.count, 1)
        self.assertEqual(since.quantile(1.0), 0.1)

    def test_a_server_that_started_again_has_counted_everything_since(self) -> None:
        before, now = Buckets((1.0,), (5.0, 5.0), 9.0), Buckets((1.0,), (1.0, 0.0), 0.5)
        self.assertEqual(now.since(before), now)

    @settings(derandomize=True)
    @given(some.lists(some.floats(0.0, 2.0), min_size=1), some.floats(0.0, 1.0))
    def test_a_quantile_is_in_the_bucket_of_its_observation(self, values: list[float], quantile: float) -> None:
        bounds = (0.25, 0.5, 1.0)
        counts = [0.0] * 4
        for value in values:
            counts[sum(value > bound for bound in bounds)] += 1
        found = Buckets(bounds, tuple(counts), sum(values)).quantile(quantile)
        assert found is not None
        exact = sorted(values)[max(0, -int(-quantile * len(values) // 1) - 1)]
        place = sum(exact > bound for bound in bounds)
        lower, upper = (0.0, *bounds)[place], (*bounds, 1.0)[place]
        self.assertTrue(lower <= found <= upper, (found, exact))
