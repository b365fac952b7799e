"""The figures of one process alone and of one of several; bounded labels."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.metrics.family import counter, gauge, histogram
from craftnet.observe.metrics.hot_counters import DeliveryCounts
from craftnet.observe.metrics.store import MAX_SERIES, MetricStore

REQUESTS = counter("test_requests_total", "Requests.", {"method": ("GET", "POST"), "route": ()})
OPEN = gauge("test_open", "Open things.")
LONGEST = gauge("test_longest", "The longest.", combine="livemax")
EARLIEST = gauge("test_earliest", "The earliest.", {"kind": ()}, combine="livemin")
SECONDS = histogram("test_seconds", "Durations.", (0.001, 0.1), {"transport": ()})


def lines(registry: CollectorRegistry) -> list[str]:
    """The samples that Prometheus gets."""
    return sorted(line for line in generate_latest(registry).decode().splitlines() if not line.startswith("#"))


class StoreTests(SynchronousTestCase):
    """One process."""

    def setUp(self) -> None:
        self.store, self.registry = MetricStore(), CollectorRegistry()
        self.registry.register(self.store)

    def test_a_metric_without_labels_is_there_from_the_start(self) -> None:
        self.store.numbers(OPEN)
        self.store.numbers(REQUESTS)
        self.assertEqual(lines(self.registry), ["test_open 0.0"])

    def test_an_observation_counts_in_the_bucket_that_it_does_not_exceed(self) -> None:
        seconds = self.store.distributions(SECONDS)["udp",]
        for value in (0.0005, 0.001, 0.05, 7.0):
            seconds.observe(value)
        self.assertEqual(
            lines(self.registry),
            [
                'test_seconds_bucket{le="+Inf",transport="udp"} 4.0',
                'test_seconds_bucket{le="0.001",transport="udp"} 2.0',
                'test_seconds_bucket{le="0.1",transport="udp"} 3.0',
                'test_seconds_count{transport="udp"} 4.0',
                'test_seconds_sum{transport="udp"} 7.0515',
            ],
        )

    def test_label_values_that_are_not_possible_count_as_one(self) -> None:
        requests = self.store.numbers(REQUESTS)
        for number in range(1000):
            requests[f"METHOD{number}", "/health"].value += 1
        requests["GET", "/health"].value += 1
        self.assertEqual(
            lines(self.registry),
            [
                'test_requests_total{method="GET",route="/health"} 1.0',
                'test_requests_total{method="other",route="/health"} 1000.0',
            ],
        )

    def test_series_of_one_metric_are_bounded(self) -> None:
        """Even where label values are not declared."""
        requests = self.store.numbers(REQUESTS)
        for number in range(MAX_SERIES + 100):
            requests["GET", str(number)].value += 1
        found = lines(self.registry)
        self.assertEqual(len(found), MAX_SERIES + 1)
        self.assertIn('test_requests_total{method="other",route="other"} 100.0', found)

    def test_a_gauge_that_is_not_counted_is_set_before_it_is_read(self) -> None:
        number = self.store.numbers(OPEN)[()]
        self.store.before_reading.append(lambda: setattr(number, "value", 7))
        self.assertEqual(lines(self.registry), ["test_open 7.0"])

    def test_the_sum_of_latencies_has_no_negative_ones(self) -> None:
        """A latency below 0 is that of a clock that was set."""
        counts = DeliveryCounts(self.store, "udp")
        latency = counts.latency
        counts.count(3, -1.0)
        counts.count(1, None)
        counts.count(1, 0.05)
        self.assertEqual((counts.messages.value, latency.total, sum(latency.counts)), (5, 0.05, 2))


class SharedTests(SynchronousTestCase):
    """The workers' files, read together."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def worker(self, name: str) -> MetricStore:
        """Counts as the worker of this name, which may have ended before."""
        return MetricStore(lambda kind: str(self.folder / f"{kind}_{name}.db"))

    def together(self) -> list[str]:
        """The text that Prometheus gets."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(self.folder))
        return lines(registry)

    def test_counters_and_histograms_are_those_of_one_process(self) -> None:
        """Several processes, one of them restarted, report the sum that one process would."""
        registry = CollectorRegistry()
        alone = MetricStore()
        registry.register(alone)
        workers = [self.worker("0"), self.worker("1")]
        observed = [0.0001, 0.05, 9.0, 0.1, 0.0]
        for number, value in enumerate(observed):
            for store in (alone, workers[number % 2]):
                store.distributions(SECONDS)["udp",].observe(value)
                store.numbers(REQUESTS)["GET", f"/{number}"].value += number
        for worker in workers:
            worker.write()
        again = self.worker("1")
        for store in (alone, again):
            store.distributions(SECONDS)["udp",].observe(0.0007)
            store.numbers(REQUESTS)["GET", "/1"].value += 10
        again.write()
        self.assertEqual(self.together(), lines(registry))

    def test_gauges_combine_as_they_are_declared(self) -> None:
        for name, figures in {"0": (3, 5.0, 80.0), "1": (4, 2.0, 90.0)}.items():
            worker = self.worker(name)
            worker.numbers(OPEN)[()].value, worker.numbers(LONGEST)[()].value = figures[:2]
            worker.numbers(EARLIEST)["tls",].value = figures[2]
            worker.write()
        self.assertEqual(self.together(), ['test_earliest{kind="tls"} 80.0', "test_longest 5.0", "test_open 7.0"])

    def test_a_worker_that_died_has_no_gauges(self) -> None:
        for name in ("0", "1"):
            worker = self.worker(name)
            worker.numbers(OPEN)[()].value = 4
            worker.numbers(REQUESTS)["GET", "/"].value = 1
            worker.write()
        mark_process_dead("1", str(self.folder))
        again = self.worker("1")
        self.assertEqual(again.numbers(OPEN)[()].value, 0)
        again.write()
        self.assertEqual(self.together(), ["test_open 4.0", 'test_requests_total{method="GET",route="/"} 2.0'])

    def test_a_gauge_is_absent_until_it_is_written(self) -> None:
        """Otherwise a minimum would be 0 for a moment."""
        self.worker("0").numbers(EARLIEST)["tls",].value = 80.0
        self.assertEqual(self.together(), [])
