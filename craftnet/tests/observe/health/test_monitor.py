from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Check, HealthResponse, HealthStatus, Service, rfc3339
from craftnet.errors import Unavailable
from craftnet.observe.health.monitor import AsyncCheck, AsyncProbe, Monitor
from craftnet.observe.health.report import Reports, Unready
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW

OK, DEGRADED, CRITICAL = HealthStatus.OK, HealthStatus.DEGRADED, HealthStatus.CRITICAL
OWN, CRAFTING = Service.CRAFTING_NETWORK, Service.CRAFTING_SERVICE


async def fine() -> Check:
    return Check(status=OK)


async def well() -> HealthResponse:
    return HealthResponse(status=OK, timestamp=rfc3339(NOW))


def failing(error: Exception) -> Callable[[], Coroutine[Any, Any, NoReturn]]:
    """A check or probe that raises."""

    async def ask() -> NoReturn:
        raise error

    return ask


class MonitorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.rounds: list[tuple[Reports, Reports]] = []

    def monitor(self, checks: dict[str, AsyncCheck], probes: dict[Service, AsyncProbe] | None = None) -> Monitor:
        monitor = Monitor(checks, probes or {}, self.clock, version="1.2.3", interval=10.0, timeout=5.0)
        monitor.subscribe(lambda before, after: self.rounds.append((before, after)))
        monitor.startService()
        return monitor

    def test_all_well(self) -> None:
        others = {service: well for service in Service if service is not OWN}
        monitor = self.monitor({"sessions": fine}, others)
        self.assertEqual(
            {service: report.status for service, report in monitor.reports.items()}, dict.fromkeys(Service, OK)
        )
        self.assertEqual(set(monitor.reports[OWN].checks or {}), {"sessions", "crafting-service", "real-time-combat"})
        self.assertEqual(monitor.reports[OWN].version, "1.2.3")

    def test_before_the_first_round(self) -> None:
        monitor = Monitor({}, {}, self.clock, version="1")
        self.assertIs(monitor.reports[OWN].status, CRITICAL)
        self.assertIs(monitor.reports[CRAFTING].status, DEGRADED)

    def test_ready_after_the_first_round(self) -> None:
        asked: list[Deferred[Check]] = []

        async def slow() -> Check:
            asked.append(Deferred())
            return await asked[-1]

        monitor = self.monitor({"sessions": slow})
        self.assertIs(monitor.unready, Unready.STARTING)
        asked[0].callback(Check(status=OK))
        self.assertIsNone(monitor.unready)
        self.clock.advance(10)
        asked[1].callback(Check(status=CRITICAL))
        self.assertIs(monitor.unready, Unready.CRITICAL)
        monitor.draining = True
        self.assertIs(monitor.unready, Unready.DRAINING)

    def test_rounds(self) -> None:
        monitor = self.monitor({"sessions": fine})
        self.clock.advance(10)
        self.assertEqual(len(self.rounds), 2)
        self.assertIs(self.rounds[1][0], self.rounds[0][1])
        self.assertIs(self.rounds[1][1], monitor.reports)
        self.assertEqual(monitor.reports[OWN].uptime, 10)
        self.assertEqual(monitor.reports[OWN].timestamp, rfc3339(NOW + 10))

    def test_a_clock_that_is_set_dates_reports_and_delays_nothing(self) -> None:
        monitor = self.monitor({"sessions": fine})
        for number, step in enumerate((-3600.0, 7200.0), 2):
            self.clock.step(step)
            self.clock.advance(10)
            self.assertEqual(len(self.rounds), number)
            self.assertEqual(monitor.reports[OWN].uptime, 10 * (number - 1))
            self.assertEqual({report.timestamp for report in monitor.reports.values()}, {rfc3339(self.clock.wall())})

    def test_failing_check(self) -> None:
        check = failing(Unavailable("Redis is gone."))
        monitor = self.monitor({"sessions": check, "queues": fine})
        checks = monitor.reports[OWN].checks or {}
        self.assertIs(monitor.reports[OWN].status, CRITICAL)
        self.assertEqual(checks["sessions"].message, "does not answer (Redis is gone.)")
        self.assertIs(checks["queues"].status, OK)

    def test_unknown_errors_texts_are_not_published(self) -> None:
        monitor = self.monitor({"sessions": failing(ValueError("redis://user:secret@host"))})
        self.assertEqual((monitor.reports[OWN].checks or {})["sessions"].message, "does not answer (ValueError)")

    def test_failing_probe(self) -> None:
        monitor = self.monitor({}, {CRAFTING: failing(ConnectionRefusedError())})
        self.assertIs(monitor.reports[CRAFTING].status, CRITICAL)
        self.assertEqual(monitor.reports[CRAFTING].message, "crafting-service: unreachable (ConnectionRefusedError)")
        self.assertIs(monitor.reports[OWN].status, DEGRADED)

    def test_unconfigured_probe(self) -> None:
        monitor = self.monitor({"sessions": fine})
        self.assertIs(monitor.reports[CRAFTING].status, DEGRADED)
        self.assertIs(monitor.reports[OWN].status, DEGRADED)

    def test_silent_check(self) -> None:
        waiting: list[Deferred[Check]] = []

        async def silent() -> Check:
            waiting.append(Deferred())
            return await waiting[-1]

        monitor = self.monitor({"sessions": silent})
        self.clock.advance(4.9)
        self.assertEqual(self.rounds, [])
        self.clock.advance(0.2)
        self.assertEqual((monitor.reports[OWN].checks or {})["sessions"].message, "does not answer (TimeoutError)")
        self.clock.advance(4.9)
        self.clock.advance(0.25)
        waiting[1].callback(Check(status=OK))
        self.assertEqual((monitor.reports[OWN].checks or {})["sessions"], Check(status=OK, response_time=250))

    def test_stops_in_the_middle(self) -> None:
        async def silent() -> Check:
            return await Deferred()

        monitor = self.monitor({"sessions": silent})
        monitor.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.rounds, [])

    def test_stops(self) -> None:
        self.monitor({"sessions": fine}).stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_goes_on_after_a_bug(self) -> None:
        monitor = self.monitor({"sessions": fine})

        def broken(before: Reports, after: Reports) -> None:
            raise ZeroDivisionError

        monitor.subscribe(broken)
        self.clock.advance(10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.clock.advance(10)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.rounds), 3)
