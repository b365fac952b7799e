"""Tests for `craftnet.admin.figures`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.admin.figures import (
    KEPT_SECONDS,
    SERIES,
    STEP_SECONDS,
    FigureHistory,
    Sample,
    merged,
    merged_point,
    series,
    shown,
)
from craftnet.observe.metrics.families import LATENCY_BUCKETS
from craftnet.observe.metrics.snapshot import Buckets

STEPS = KEPT_SECONDS // STEP_SECONDS


def latencies(*counts: int) -> Buckets:
    """Buckets with these counts in the first of them."""
    rest = [0.0] * (len(LATENCY_BUCKETS) + 1 - len(counts))
    return Buckets(LATENCY_BUCKETS, (*map(float, counts), *rest), 0.0)


def sample(at: float, deliveries: float = 0.0, *, refused: int = 0, delivery: Buckets | None = None) -> Sample:
    """A sample with these figures."""
    return Sample(
        at=at,
        connections={"websocket": 2, "udp": 1},
        watchers={"crafting": 3},
        sessions=10,
        events=deliveries / 2,
        deliveries=deliveries,
        octets=None,
        delivery={} if delivery is None else {"websocket": delivery},
        round_trip=Buckets(),
        loop_delay=Buckets(),
        returns=4.0,
        recovered=3.0,
        refusals={"forbidden": refused} if refused else {},
        memory=1_000_000 + int(at) * 1000,
    )


class HistoryTests(SynchronousTestCase):
    def test_rates_are_of_the_last_seconds(self) -> None:
        history = FigureHistory(sample(0.0))
        history.add(sample(5.0, 1000.0))
        figures = shown(history.figures(sample(10.0, 1500.0)))
        self.assertEqual((figures.deliveries_per_second, figures.events_per_second), (100.0, 50.0))

    def test_latencies_are_of_the_last_minute(self) -> None:
        history = FigureHistory(sample(0.0, delivery=latencies(0, 0, 0, 0, 100)))
        for second in range(5, 70, 5):
            history.add(sample(float(second), delivery=latencies(0, 0, 0, 0, 100)))
        figures = shown(history.figures(sample(70.0, delivery=latencies(50, 0, 0, 0, 100))))
        self.assertEqual(figures.delivery["websocket"].count, 50)
        self.assertLessEqual(figures.delivery["websocket"].p99_ms or 9.9, 0.25)

    def test_counts_are_of_fifteen_minutes(self) -> None:
        history = FigureHistory(sample(0.0, refused=5))
        for step in range(1, STEPS + 10):
            history.add(sample(step * STEP_SECONDS, refused=5))
        figures = shown(history.figures(sample((STEPS + 10) * STEP_SECONDS, refused=7)))
        self.assertEqual(figures.refusals, {"forbidden": 2})

    def test_nothing_is_known_without_measurements(self) -> None:
        history = FigureHistory(sample(0.0))
        figures = shown(history.figures(sample(1.0)))
        self.assertEqual((figures.round_trip.count, figures.round_trip.p99_ms), (0, None))
        self.assertIsNone(figures.bytes_per_second)

    def test_memory_is_bounded(self) -> None:
        history = FigureHistory(sample(0.0))
        for step in range(1, 3 * STEPS):
            history.add(sample(step * STEP_SECONDS))
        self.assertEqual(len(history.points()), STEPS)

    def test_points_have_every_series(self) -> None:
        history = FigureHistory(sample(0.0))
        history.add(sample(5.0, 500.0))
        (point,) = history.points()
        self.assertEqual(set(point), set(SERIES))
        self.assertEqual(point["deliveries_per_second"], 100.0)


class MergeTests(SynchronousTestCase):
    """Figures of several nodes."""

    def test_sums_and_distributions(self) -> None:
        history = FigureHistory(sample(0.0))
        one = history.figures(sample(5.0, 500.0, delivery=latencies(99)))
        other = history.figures(sample(5.0, 500.0, delivery=latencies(0, 0, 0, 0, 0, 0, 1)))
        both = shown(merged([one, other], shared_sessions=False))
        self.assertEqual((both.sessions, both.deliveries_per_second), (20, 200.0))
        self.assertEqual(both.connections, {"websocket": 4, "udp": 2})
        self.assertEqual(both.delivery["websocket"].count, 100)
        self.assertEqual(shown(merged([one, other], shared_sessions=True)).sessions, 10)

    def test_no_nodes(self) -> None:
        self.assertEqual(shown(merged([], shared_sessions=True)).sessions, 0)

    def test_points(self) -> None:
        one = {"connections": 1.0, "websocket_p99_ms": 2.0, "udp_p99_ms": None}
        other = {"connections": 2.0, "websocket_p99_ms": 1.0}
        both = merged_point([one, other], shared_sessions=False)
        self.assertEqual(
            (both["connections"], both["websocket_p99_ms"], both["udp_p99_ms"], both["sessions"]),
            (3.0, 2.0, None, None),
        )

    def test_series_end_together(self) -> None:
        """A node that is younger lacks the oldest points."""
        old, young = [{"connections": 1.0}, {"connections": 2.0}], [{"connections": 10.0}]
        values = series([old, young], 0.0, shared_sessions=False).values
        self.assertEqual(values["connections"], [1.0, 12.0])
