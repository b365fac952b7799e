"""Deliveries, counted by one process alone and by one of several."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.metrics.hot_counters import LocalDeliveries, SharedDeliveries


class SharedTests(SynchronousTestCase):
    """The workers' files, read together."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def worker(self, name: str) -> SharedDeliveries:
        """Counts as the worker of this name, which may have ended before."""
        return SharedDeliveries(lambda kind: str(self.folder / f"{kind}_{name}-own.db"))

    def updated(self, registry: CollectorRegistry | None = None) -> list[str]:
        """The text that Prometheus gets; without a registry, of all workers."""
        if registry is None:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, str(self.folder))
        lines = generate_latest(registry).decode().splitlines()
        return sorted(line for line in lines if not line.startswith("#"))

    def test_as_one(self) -> None:
        """Several processes, one of them restarted, report the sum that one process would."""
        registry = CollectorRegistry()
        alone = LocalDeliveries(registry)
        workers = [self.worker("0"), self.worker("1")]
        counted = [
            ("udp", 2, None),
            ("udp", 1, 0.0001),
            ("websocket", 1, 0.004),
            ("websocket", 3, 9.0),
            ("udp", 1, -1.0),
        ]
        for number, (transport, messages, latency) in enumerate(counted):
            for deliveries in (alone, workers[number % 2]):
                deliveries[transport].count(messages, latency)
        for worker in workers:
            worker.write()
        again = self.worker("1")
        for deliveries in (alone, again):
            deliveries["udp"].count(1, 0.0007)
        again.write()
        self.assertEqual(self.updated(), self.updated(registry))
        self.assertIn('craftnet_deliveries_total{transport="udp"} 5.0', self.updated())
