"""Tests for `craftnet.server.health_checks`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.contract.messages import Check, HealthStatus, Service
from craftnet.errors import ConfigurationError
from craftnet.interfaces import IHealthChecks
from craftnet.observe.health.report import Unready
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.server.health_checks import own_checks, probes
from craftnet.tests.support.certificates import self_signed
from craftnet.tests.support.eventually import until
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.live import LiveTestCase


@implementer(IHealthChecks)
class SelfAware(MemoryBackend):
    """A back end with its own check."""

    def __init__(self, clock: SteppedClock, status: HealthStatus) -> None:
        super().__init__(clock, MemorySettings())
        self.status = status
        self.health_checks = {"stream": lambda: Check(status=self.status, message="stands still")}


class OwnCheckTests(SynchronousTestCase):
    def test_what_back_ends_say_of_themselves(self) -> None:
        """Two of one name are both there; what changes is seen at the next round."""
        clock = SteppedClock()
        backends = [SelfAware(clock, HealthStatus.OK), SelfAware(clock, HealthStatus.CRITICAL)]
        verifyObject(IHealthChecks, backends[0])
        checks = own_checks(
            Sources.of(backends[0]), [*backends, MemoryBackend(clock, MemorySettings())], None, Metrics()
        )
        self.assertEqual(set(checks), {"sessions", "materials", "queues", "stream", "stream-2"})

        def status(name: str) -> HealthStatus:
            check: Check = self.successResultOf(Deferred.fromCoroutine(checks[name]()))
            return check.status

        self.assertEqual([status("stream"), status("stream-2")], [HealthStatus.OK, HealthStatus.CRITICAL])
        backends[0].status = HealthStatus.DEGRADED
        self.assertIs(status("stream"), HealthStatus.DEGRADED)


class PortCheckTests(LiveTestCase):
    """What `GET /health` says of the ports of a whole service."""

    def setUp(self) -> None:
        """Start, with TLS."""
        file = Path(self.mktemp())
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(self_signed("localhost"))  # good for a day.
        where = file.absolute()
        self.settings = replace(
            self.settings, http=f"ssl:0:interface=127.0.0.1:privateKey={where}:certKey={where}", health_interval=0.1
        )
        super().setUp()

    async def checks(self) -> dict[str, Check]:
        """The checks of the next round."""
        found: Deferred[dict[str, Check]] = Deferred()
        self.service.monitor.subscribe(
            lambda _, after: (
                None if found.called else found.callback(dict(after[Service.CRAFTING_NETWORK].checks or {}))
            )
        )
        return await found

    async def test_certificate_socket_and_loop(self) -> None:
        checks = await self.checks()
        self.assertLessEqual({"certificate", "udp", "loop"}, set(checks))
        self.assertIs(checks["certificate"].status, HealthStatus.DEGRADED)
        self.assertIn("renew it", checks["certificate"].message or "")
        self.assertIs(checks["udp"].status, HealthStatus.OK)

    async def test_closed_socket(self) -> None:
        assert self.service.udp_service is not None
        await maybeDeferred(self.service.udp_service.stopService)
        await self.checks()  # a round that may have begun before.
        checks = await self.checks()
        self.assertIs(checks["udp"].status, HealthStatus.CRITICAL)
        self.assertIs(self.service.monitor.unready, Unready.CRITICAL)

    async def test_expired_certificate(self) -> None:
        self.clock.advance(2 * 86400)
        await self.checks()
        checks = await self.checks()
        self.assertIs(checks["certificate"].status, HealthStatus.CRITICAL)


class ProbeTests(SynchronousTestCase):
    def test_urls(self) -> None:
        """An invalid URL is refused at the start, not reported as an unreachable service."""
        for text in ("http://127.0.0.1:9000/health", "HTTPS://combat.example", "http://[::1]:9000/health"):
            self.assertEqual(set(probes({Service.REAL_TIME_COMBAT: text}, reactor)), {Service.REAL_TIME_COMBAT})
        self.assertEqual(probes({Service.REAL_TIME_COMBAT: None}, reactor), {})
        for text in ("", "::1", "127.0.0.1:9000", "http://", "http://[::1", "http://x:port", "ws://x/health"):
            with self.assertRaisesRegex(ConfigurationError, "--real-time-combat .*expected a URL of http or https"):
                probes({Service.REAL_TIME_COMBAT: text}, reactor)


class KeysCheckTests(LiveTestCase):
    """A login service that cannot be reached: degraded, and ready all the same."""

    settings = replace(LiveTestCase.settings, auth="jwt:jwks=http://127.0.0.1:9/keys.json")

    async def test_unreachable(self) -> None:
        def said() -> str:
            checks = self.service.monitor.reports[Service.CRAFTING_NETWORK].checks or {}
            return checks["keys"].message or "" if "keys" in checks else ""

        await until(said)
        self.assertIn("no token can be checked", said())
        response = await self.request("GET", "/health")
        self.assertEqual((response.code, (await response.json())["checks"]["keys"]["status"]), (200, "degraded"))
        self.assertEqual((await self.request("GET", "/ready")).code, 200)
        metrics = await (await self.request("GET", "/metrics")).text()
        self.assertIn('craftnet_verification_keys_current{source="auth"} 0.0', metrics)
