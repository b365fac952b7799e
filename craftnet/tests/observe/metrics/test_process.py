"""Tests for `craftnet.observe.metrics.process`."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from twisted.trial.unittest import SynchronousTestCase

from craftnet.observe.metrics.process import ProcessMetrics, resident_memory
from craftnet.observe.metrics.store import MetricStore


class ProcessMetricsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.store, self.registry = MetricStore(), CollectorRegistry()
        self.registry.register(self.store)
        self.memory, self.sessions, self.used = 60_000_000, 0, 0
        self.expiry: float | None = None
        self.measured = ProcessMetrics(
            self.store,
            "1.2.3",
            {"connections": (100, lambda: self.used)},
            lambda: self.sessions,
            memory=lambda: self.memory,
            certificate_expiry=lambda: self.expiry,
        )
        self.measured.startService()

    def sample(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"craftnet_{name}", labels)

    def test_memory_for_each_session(self) -> None:
        """The growth since the start, not what an empty server needs."""
        self.assertEqual(self.sample("memory_per_session_bytes"), 0)
        self.memory, self.sessions = 80_000_000, 4_000
        self.assertEqual(self.sample("memory_per_session_bytes"), 5_000)
        self.assertEqual(self.sample("resident_memory_bytes"), 80_000_000)
        self.assertEqual(self.sample("memory_at_start_bytes"), 60_000_000)

    def test_limits_and_their_use(self) -> None:
        self.used = 80
        self.assertEqual(self.sample("limit", limit="connections"), 100)
        self.assertEqual(self.sample("limit_used", limit="connections"), 80)

    def test_a_certificate_is_absent_without_tls(self) -> None:
        name = "certificate_expiry_timestamp_seconds"
        self.assertEqual(self.sample(name, port="http"), None)
        self.expiry = 1_900_000_000.0
        self.assertEqual(self.sample(name, port="http"), 1_900_000_000.0)

    def test_versions(self) -> None:
        ((labels, value),) = [
            (sample.labels, sample.value)
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == "craftnet_build_info"
        ]
        self.assertEqual((labels["version"], value), ("1.2.3", 1))
        self.assertTrue(labels["openssl"][0].isdigit(), labels)

    def test_this_process_has_memory(self) -> None:
        self.assertGreater(resident_memory(), 10_000_000)
