from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Check, HealthResponse, HealthStatus, Service, WebSocketHealthMessage, rfc3339
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.samples import NOW

OWN, CRAFTING = Service.CRAFTING_NETWORK, Service.CRAFTING_SERVICE


class HealthFeedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.sessions = HealthStatus.OK
        self.crafting = HealthStatus.OK
        self.metrics = Metrics()
        self.monitor = Monitor({"sessions": self.check}, {CRAFTING: self.probe}, self.clock, version="1", interval=10.0)
        self.feed = HealthFeed(self.monitor, self.clock, self.metrics, interval=30.0)
        self.monitor.startService()
        self.feed.startService()
        self.watcher = RecordingWatcher()

    async def check(self) -> Check:
        return Check(status=self.sessions)

    async def probe(self) -> HealthResponse:
        return HealthResponse(status=self.crafting, timestamp=rfc3339(self.clock.seconds()))

    def watch(self, *services: Service) -> None:
        """Watches, and discards the first reports."""
        self.successResultOf(self.feed.subscribe(frozenset(services), self.watcher))
        self.watcher.updates.clear()

    def test_current_reports_at_once(self) -> None:
        self.successResultOf(self.feed.subscribe(frozenset({OWN, CRAFTING}), self.watcher))
        self.assertEqual(self.watcher.types, ["health_update", "health_update"])
        messages = [message for update in self.watcher.updates for message in update.messages]
        reports = [message.health for message in messages if isinstance(message, WebSocketHealthMessage)]
        self.assertEqual(reports, [self.monitor.reports[OWN], self.monitor.reports[CRAFTING]])

    def test_regular_updates(self) -> None:
        self.watch(OWN)
        self.clock.pump([10, 10, 10])
        self.assertEqual(self.watcher.types, ["health_update"])

    def test_alert(self) -> None:
        self.watch(OWN)
        self.crafting = HealthStatus.DEGRADED
        self.clock.advance(10)
        self.assertEqual(self.watcher.types, ["health_alert"])
        self.clock.advance(10)
        self.assertEqual(self.watcher.types, ["health_alert"])

    def test_breakdown(self) -> None:
        self.watch(OWN)
        self.sessions = HealthStatus.CRITICAL
        self.clock.advance(10)
        self.assertEqual(self.watcher.types, ["service_down"])

    def test_breakdown_of_another(self) -> None:
        self.watch(CRAFTING)
        bystander = RecordingWatcher()
        self.feed.subscribe(frozenset({Service.REAL_TIME_COMBAT}), bystander)
        self.crafting = HealthStatus.CRITICAL
        self.clock.advance(10)
        self.assertEqual(self.watcher.types, ["service_down"])
        self.assertEqual(bystander.types, ["health_update"])

    def test_one_update_for_all(self) -> None:
        """It is encoded once."""
        self.watch(OWN)
        other = RecordingWatcher()
        self.feed.subscribe(frozenset({OWN}), other)
        self.clock.advance(30)
        self.assertIs(self.watcher.updates[-1], other.updates[-1])

    def test_unwatch(self) -> None:
        self.watch(OWN)
        self.feed.unsubscribe(self.watcher)
        self.feed.unsubscribe(self.watcher)
        self.clock.advance(30)
        self.assertEqual(self.watcher.updates, [])
        self.assertEqual(self.watchers, 0)

    def test_counted_once(self) -> None:
        self.watch(OWN)
        self.watch(CRAFTING)
        self.assertEqual(self.watchers, 1)

    @property
    def watchers(self) -> float | None:
        """The figure."""
        return self.metrics.registry.get_sample_value("craftnet_watchers", {"feed": "health"})

    def test_stops(self) -> None:
        self.feed.stopService()
        self.monitor.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
