from __future__ import annotations

from msgspec.structs import replace
from twisted.trial.unittest import SynchronousTestCase

from craftnet.contract.messages import Check, HealthResponse, HealthStatus, Service, rfc3339, to_json
from craftnet.observe.health.report import (
    ALWAYS_LATE,
    CERTIFICATE_NOTICE,
    LATE_ONCE,
    Unready,
    as_check,
    certificate_check,
    health_batch,
    health_message,
    loop_check,
    own_report,
    report_from_answer,
    starting_report,
    unconfigured_report,
    unreachable_report,
    unready,
    urgent_message_type,
    worst,
)
from craftnet.tests.support.samples import NOW

OK, DEGRADED, CRITICAL = HealthStatus.OK, HealthStatus.DEGRADED, HealthStatus.CRITICAL
OWN, CRAFTING, COMBAT = Service.CRAFTING_NETWORK, Service.CRAFTING_SERVICE, Service.REAL_TIME_COMBAT


def report(status: HealthStatus, **checks: HealthStatus) -> HealthResponse:
    made = {name: Check(status=each) for name, each in checks.items()}
    return HealthResponse(status=status, timestamp=rfc3339(NOW), checks=made or None)


class StatusTests(SynchronousTestCase):
    def test_worst(self) -> None:
        self.assertIs(worst([]), OK)
        self.assertIs(worst([OK, DEGRADED, OK]), DEGRADED)
        self.assertIs(worst([CRITICAL, DEGRADED, OK]), CRITICAL)

    def test_own_report(self) -> None:
        checks = {"sessions": Check(status=OK), "crafting-service": Check(status=DEGRADED)}
        made = own_report(checks, version="1.2.3", uptime=61.9, now=NOW)
        self.assertEqual((made.status, made.version, made.uptime, made.checks), (DEGRADED, "1.2.3", 61, checks))
        self.assertEqual(made.message, "crafting-network: see crafting-service")
        self.assertIs(own_report({}, version="1", uptime=0.0, now=NOW).status, OK)

    def test_others_only_degrade(self) -> None:
        for status, seen in ((OK, OK), (DEGRADED, DEGRADED), (CRITICAL, DEGRADED)):
            self.assertEqual(as_check(report(status), 5), Check(status=seen, response_time=5))

    def test_what_is_not_known(self) -> None:
        self.assertIs(starting_report(OWN, NOW).status, CRITICAL)
        self.assertIs(starting_report(CRAFTING, NOW).status, DEGRADED)
        self.assertIs(unconfigured_report(CRAFTING, NOW).status, DEGRADED)
        down = unreachable_report(CRAFTING, "TimeoutError", NOW)
        self.assertIs(down.status, CRITICAL)
        self.assertEqual(down.message, "crafting-service: unreachable (TimeoutError)")


class ReadinessTests(SynchronousTestCase):
    def test_ready(self) -> None:
        """A service next to this one that is not well does not keep requests away."""
        for status in (OK, DEGRADED):
            self.assertIsNone(unready(report(status), checked=True, draining=False))

    def test_not_ready(self) -> None:
        for status, checked, draining, reason in (
            (CRITICAL, True, False, Unready.CRITICAL),
            (CRITICAL, False, False, Unready.STARTING),
            (OK, True, True, Unready.DRAINING),
            (CRITICAL, False, True, Unready.DRAINING),
        ):
            self.assertIs(unready(report(status), checked=checked, draining=draining), reason)


class BatchTests(SynchronousTestCase):
    def test_the_worst_counts(self) -> None:
        reports = {OWN: report(OK), CRAFTING: report(DEGRADED), COMBAT: report(CRITICAL)}
        for services, overall in (
            ([], "healthy"),
            ([OWN], "healthy"),
            ([OWN, CRAFTING], "degraded"),
            ([COMBAT, OWN, CRAFTING, OWN], "critical"),
        ):
            made = health_batch(reports, services, NOW + 1)
            self.assertEqual((made.overall_status, made.timestamp), (overall, rfc3339(NOW + 1)))
            self.assertEqual(made.results, {service: reports[service] for service in services})


class AnsweredTests(SynchronousTestCase):
    def test_report(self) -> None:
        theirs = replace(report(DEGRADED, disk=DEGRADED), message="disk is full", version="3.2.1")
        seen = report_from_answer(CRAFTING, 503, to_json(theirs), NOW + 9)
        self.assertEqual((seen.status, seen.version, seen.checks), (DEGRADED, "3.2.1", theirs.checks))
        self.assertEqual((seen.timestamp, seen.message), (rfc3339(NOW + 9), "crafting-service: disk is full"))

    def test_no_report(self) -> None:
        for code, body, status in (
            (200, b"fine", OK),
            (204, b"", OK),
            (404, b"{}", CRITICAL),
            (500, b"\xff", CRITICAL),
        ):
            seen = report_from_answer(COMBAT, code, body, NOW)
            self.assertEqual((seen.status, seen.message), (status, f"real-time-combat: answered {code}"))


class LoopTests(SynchronousTestCase):
    def test_on_time(self) -> None:
        for delays in ([], [0.0], [LATE_ONCE, 0.0]):
            self.assertEqual(loop_check(delays), Check(status=OK))

    def test_late_once(self) -> None:
        made = loop_check([0.001, 2.0, 0.0])
        self.assertIs(made.status, DEGRADED)
        self.assertIn("2000 ms late", made.message or "")

    def test_always_late(self) -> None:
        """Such a process should receive no requests."""
        late = ALWAYS_LATE + 0.1
        self.assertIs(loop_check([late] * 3).status, CRITICAL)
        self.assertIs(loop_check([late, late, 0.0]).status, DEGRADED)


class CertificateTests(SynchronousTestCase):
    def test_ends(self) -> None:
        ends = NOW + CERTIFICATE_NOTICE
        self.assertEqual(certificate_check(NOW, ends, NOW), Check(status=OK))
        soon = certificate_check(NOW, ends, NOW + 1)
        self.assertIs(soon.status, DEGRADED)
        self.assertIn(rfc3339(ends), soon.message or "")
        for now, word in ((ends, "has expired"), (NOW - 1, "is not valid yet")):
            made = certificate_check(NOW, ends, now)
            self.assertIs(made.status, CRITICAL)
            self.assertIn(word, made.message or "")


class NewsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.before = {OWN: report(OK, sessions=OK), CRAFTING: report(OK), COMBAT: report(DEGRADED)}

    def test_nothing_new(self) -> None:
        after = {service: replace(each, timestamp=rfc3339(NOW + 10)) for service, each in self.before.items()}
        for service in Service:
            self.assertIsNone(urgent_message_type(self.before, after, service))

    def test_check_changed(self) -> None:
        after = {**self.before, OWN: report(DEGRADED, sessions=OK, combat=DEGRADED)}
        self.assertEqual(urgent_message_type(self.before, after, OWN), "health_alert")
        self.assertIsNone(urgent_message_type(self.before, after, CRAFTING))
        self.assertEqual(urgent_message_type(after, self.before, OWN), "health_alert")

    def test_own_breakdown(self) -> None:
        after = {**self.before, OWN: report(CRITICAL, sessions=CRITICAL)}
        self.assertEqual(urgent_message_type(self.before, after, OWN), "service_down")
        self.assertIsNone(urgent_message_type(after, after, OWN))
        self.assertEqual(urgent_message_type(after, self.before, OWN), "health_alert")

    def test_breakdown_of_another(self) -> None:
        after = {**self.before, CRAFTING: report(CRITICAL)}
        self.assertEqual(urgent_message_type(self.before, after, OWN), "service_down")
        self.assertEqual(urgent_message_type(self.before, after, CRAFTING), "service_down")
        self.assertIsNone(urgent_message_type(self.before, after, COMBAT))

    def test_message(self) -> None:
        made = health_message("health_update", self.before[OWN], NOW + 5)
        self.assertEqual((made.timestamp, made.message_timestamp), (rfc3339(NOW + 5), rfc3339(NOW)))
