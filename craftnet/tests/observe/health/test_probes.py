from __future__ import annotations

from collections.abc import Callable

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request

from craftnet.contract.messages import Check, HealthResponse, HealthStatus, Service, rfc3339, to_json
from craftnet.errors import Unavailable
from craftnet.observe.health.probes import LONGEST_REPORT, LOOP_INTERVAL, HttpProbe, LoopCheck, SharedCheck, SourceCheck
from craftnet.observe.metrics.registry import Metrics
from craftnet.observe.metrics.store import Distribution
from craftnet.runtime.http_client import DocumentTooLong
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW


class FixedAnswer(Resource):
    """Answers with its content on every path."""

    isLeaf = True

    def __init__(self, code: int, body: bytes) -> None:
        super().__init__()
        self.code = code
        self.body = body
        self.paths: list[bytes] = []

    def render_GET(self, request: Request) -> bytes:
        """Say it."""
        self.paths.append(request.uri)
        request.setResponseCode(self.code)
        request.setHeader("Location", "/elsewhere")
        return self.body


class LateClock(SteppedClock):
    """A clock whose calls can be late."""

    def skip(self, seconds: float) -> None:
        """The event loop stands still: time passes, and what is due is called after it."""
        self.rightNow += seconds
        self.advance(0)


class LoopCheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = LateClock(NOW)
        self.delays = Distribution((0.01, 0.1))
        self.loop = LoopCheck(self.clock, self.delays)
        self.loop.startService()

    def check(self) -> Check:
        """One round."""
        made: Check = self.successResultOf(Deferred.fromCoroutine(self.loop()))
        return made

    def test_on_time(self) -> None:
        self.assertIs(self.check().status, HealthStatus.OK)
        self.clock.pump([LOOP_INTERVAL] * 20)
        self.assertIs(self.check().status, HealthStatus.OK)

    def test_late(self) -> None:
        """A delay counts for one round."""
        self.clock.pump([LOOP_INTERVAL] * 2)
        self.clock.skip(LOOP_INTERVAL + 0.6)
        self.assertEqual((self.delays.counts, round(self.delays.total, 6)), ([2, 0, 1], 0.6))
        self.assertIs(self.check().status, HealthStatus.DEGRADED)
        self.clock.pump([LOOP_INTERVAL] * 2)
        self.assertIs(self.check().status, HealthStatus.OK)

    def test_always_late(self) -> None:
        for _ in range(5):
            self.clock.skip(LOOP_INTERVAL + 1.5)
        self.assertIs(self.check().status, HealthStatus.CRITICAL)

    def test_stops(self) -> None:
        self.loop.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SharedCheckTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.metrics = Metrics()
        self.complete = False

    def look(self, begun: Callable[[], Deferred[None]] | None = None) -> tuple[Check, float | None]:
        check = SharedCheck("places", lambda: self.complete, "they may be too many", self.metrics, begun)
        answer = self.successResultOf(Deferred.fromCoroutine(check()))
        return answer, self.metrics.registry.get_sample_value("craftnet_cluster_complete", {"what": "places"})

    def test_degrades(self) -> None:
        self.assertEqual(self.look(), (Check(status=HealthStatus.DEGRADED, message="they may be too many"), 0.0))
        self.complete = True
        self.assertEqual(self.look(), (Check(status=HealthStatus.OK), 1.0))

    def test_out_of_reach_is_no_more_than_that(self) -> None:
        """Providers have checks of their own."""
        self.assertEqual(self.look(lambda: fail(Unavailable("gone")))[0].status, HealthStatus.DEGRADED)

    def test_waits_for_the_beginning(self) -> None:
        def begun() -> Deferred[None]:
            self.complete = True
            return succeed(None)

        self.assertEqual(self.look(begun)[0].status, HealthStatus.OK)


class HttpProbeTests(SynchronousTestCase):
    def ask(self, answer: FixedAnswer) -> Deferred[HealthResponse]:
        clock = SteppedClock()
        clock.advance(NOW)
        client = HTTPClient(RequestTraversalAgent(answer))
        probe = HttpProbe(Service.CRAFTING_SERVICE, "http://crafting.example/health?x=y", client, clock)
        return Deferred.fromCoroutine(probe())

    def test_report(self) -> None:
        theirs = HealthResponse(status=HealthStatus.DEGRADED, timestamp=rfc3339(0), message="tired")
        answer = FixedAnswer(200, to_json(theirs))
        seen = self.successResultOf(self.ask(answer))
        self.assertEqual((seen.status, seen.message), (HealthStatus.DEGRADED, "crafting-service: tired"))
        self.assertEqual(seen.timestamp, rfc3339(NOW))
        self.assertEqual(answer.paths, [b"/health?x=y"])

    def test_error(self) -> None:
        seen = self.successResultOf(self.ask(FixedAnswer(500, b"<html>")))
        self.assertEqual((seen.status, seen.message), (HealthStatus.CRITICAL, "crafting-service: answered 500"))

    def test_goes_nowhere_else(self) -> None:
        """A redirect is no answer: it could lead anywhere."""
        answer = FixedAnswer(302, b"")
        self.assertIs(self.successResultOf(self.ask(answer)).status, HealthStatus.CRITICAL)
        self.assertEqual(len(answer.paths), 1)

    def test_too_long(self) -> None:
        self.failureResultOf(self.ask(FixedAnswer(200, b"x" * (LONGEST_REPORT + 1))), DocumentTooLong)


class ProviderCheckTests(SynchronousTestCase):
    def test_answers(self) -> None:
        check = SourceCheck(lambda: succeed(5))
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(check())), Check(status=HealthStatus.OK))

    def test_fails(self) -> None:
        check = SourceCheck(lambda: fail(Unavailable("gone")))
        self.failureResultOf(Deferred.fromCoroutine(check()), Unavailable)
