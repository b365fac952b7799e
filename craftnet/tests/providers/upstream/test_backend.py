"""The back end of an edge: its arguments, what it refuses, and the connection to its core."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.access.revocation.revocations import Revocation
from craftnet.client.core.credentials import Credentials
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.contract.messages import HealthStatus, to_json
from craftnet.errors import ConfigurationError, Misdirected, Unavailable
from craftnet.interfaces import IBackend, IBackendFactory, ICluster, IHealthChecks, ISharedRevocations
from craftnet.protocols.websocket.core.subprotocols import JSON, LZ4
from craftnet.providers.registry import Registry
from craftnet.providers.upstream.backend import TOKEN_VARIABLE, UpstreamBackend, UpstreamFactory, UpstreamSettings
from craftnet.relay.messages import PROTOCOL, ClockShown, RelayHello, Revoked
from craftnet.runtime.backoff import Backoff
from craftnet.tests.contracts.cluster import RevocationRecorder
from craftnet.tests.support.fakes import SteppedReactor
from craftnet.tests.support.samples import NOW, PLAYER, event, start

URL = "https://core.example/base/"
TOKEN = Revocation("t-1", None, 0.0, NOW + 60)
LOST = Ending(EndingKind.LOST, "the server dropped the connection")


class FactoryTests(SynchronousTestCase):
    def build(self, environ: dict[str, str] | None = None, **arguments: str) -> UpstreamBackend:
        """A back end for these arguments."""
        return UpstreamFactory({TOKEN_VARIABLE: "a.b.c"} if environ is None else environ).build(
            SteppedReactor(NOW), arguments
        )

    def test_interfaces(self) -> None:
        verifyObject(IBackendFactory, UpstreamFactory())
        backend = self.build(url=URL)
        for interface in (IBackend, ICluster, IHealthChecks):
            verifyObject(interface, backend)
        verifyObject(ISharedRevocations, backend.revocations)

    def test_found_by_name(self) -> None:
        self.assertTrue(Registry(SteppedReactor(NOW)).is_shared(f"upstream:url={URL}"))

    def test_wrong_arguments_say_what_to_do(self) -> None:
        for arguments, wanted in (
            ({}, "url= is missing"),
            ({"url": "core.example"}, "https://HOST:PORT"),
            ({"url": "https://core.example?x=1"}, "query"),
            ({"url": URL, "linger": "long"}, "linger must be a number of seconds, got 'long'"),
            ({"url": URL, "lost_after": "-1"}, "lost_after must be from 0 to 3600"),
            ({"url": URL, "linger": "nan"}, "linger must be from 0 to 3600"),
        ):
            error = self.assertRaises(ConfigurationError, self.build, **arguments)
            self.assertIn(wanted, str(error))

    def test_token(self) -> None:
        path = Path(self.mktemp())
        path.write_text("d.e.f\n")
        self.build({}, url=URL, token_file=str(path))
        for environ, arguments, wanted in (
            ({}, {}, f"set {TOKEN_VARIABLE}, or token_file=, to a token of the core with the scope crafting:relay"),
            ({TOKEN_VARIABLE: "not a token"}, {}, f"{TOKEN_VARIABLE}: a token consists of"),
            ({}, {"token_file": "/nowhere"}, "no token in /nowhere"),
        ):
            error = self.assertRaises(ConfigurationError, self.build, environ, url=URL, **arguments)
            self.assertIn(wanted, str(error))


class NoEndpoint:
    """Takes attempts to connect, and answers none."""

    def __init__(self) -> None:
        self.attempts = 0

    def connect(self, factory: Any) -> Deferred[object]:
        """Counts."""
        self.attempts += 1
        self.factory = factory
        return Deferred()


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = SteppedReactor(NOW)
        self.backend = UpstreamBackend(
            self.reactor, UpstreamSettings(URL), Credentials("a.b.c"), Backoff(cap=10.0, uniform=lambda low, high: high)
        )
        self.connection = self.backend.service
        self.endpoint = NoEndpoint()
        self.patch(self.connection, "endpoint", self.endpoint)
        self.connection.startService()
        self.addCleanup(self.stop)

    def stop(self) -> None:
        """Nothing is left."""
        self.successResultOf(self.connection.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def hello(self, protocol: int = PROTOCOL, epoch: str = "one") -> None:
        """The core's first message."""
        self.connection.opened()
        self.connection.heard(to_json(RelayHello(protocol, epoch)))

    def test_degraded_until_the_core_is_there(self) -> None:
        check = self.backend.health_checks["upstream"]
        self.assertIs(check().status, HealthStatus.DEGRADED)
        self.hello()
        self.assertIs(check().status, HealthStatus.OK)
        self.connection.ended(LOST)
        lost = check()
        self.assertIs(lost.status, HealthStatus.DEGRADED)
        assert lost.message is not None
        self.assertIn("https://core.example/base cannot be followed: the server dropped the connection", lost.message)
        self.assertEqual(len(self.flushLoggedErrors()), 0)

    def test_bounded_backoff(self) -> None:
        """It doubles up to ten seconds, and begins again once a connection lasted."""
        delays = []
        for _ in range(7):
            attempts = self.endpoint.attempts
            self.connection.ended(LOST)
            before = self.reactor.seconds()
            while self.endpoint.attempts == attempts:
                self.reactor.advance(0.5)
            delays.append(self.reactor.seconds() - before)
        self.assertEqual(delays, [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0])
        self.hello()
        self.reactor.advance(10.0)
        self.connection.ended(LOST)
        self.reactor.advance(0.5)
        self.assertEqual(self.endpoint.attempts, 9)

    def test_refused_is_tried_again(self) -> None:
        """The token may be replaced, and the core may wish for patience."""
        self.connection.ended(Ending(EndingKind.REFUSED, "the server answered 403", retry_after=5.0))
        self.reactor.advance(5.0)
        self.assertEqual(self.endpoint.attempts, 1)
        self.reactor.advance(0.5)
        self.assertEqual(self.endpoint.attempts, 2)

    def test_other_protocol(self) -> None:
        self.hello(PROTOCOL + 1)
        message = self.backend.health_checks["upstream"]().message
        assert message is not None
        self.assertIn(f"it speaks version {PROTOCOL + 1} of the relay protocol, and this server {PROTOCOL}", message)
        self.reactor.advance(0.5)
        self.assertEqual(self.endpoint.attempts, 2)

    def test_malformed(self) -> None:
        self.assertFalse(self.connection.heard(b"{}"))
        self.assertFalse(self.connection.heard(b'["jump"]'))

    def test_unknown_dictionary(self) -> None:
        """The next attempt offers no compression: the core's messages could not be read otherwise."""
        offered = [self.endpoint.factory.protocols]
        self.connection.cannot_decompress()
        self.connection.ended(LOST)
        self.reactor.advance(0.5)
        offered.append(self.endpoint.factory.protocols)
        self.assertEqual(offered, [[LZ4, JSON], [JSON]])

    def test_clock_is_asked(self) -> None:
        self.hello()
        self.reactor.advance(3.0)
        self.assertEqual(self.connection.lag, 3.0)
        self.connection.heard(to_json(ClockShown(NOW, NOW)))
        self.assertEqual(self.connection.lag, 0.0)
        self.reactor.advance(3.0)
        self.reactor.advance(1.0)
        self.assertEqual(self.connection.lag, 1.0)

    def test_events_are_refused(self) -> None:
        for source in (self.backend.sessions, self.backend.materials, self.backend.queues):
            refusal = self.failureResultOf(source.apply([event(start())]), Misdirected).value
            self.assertIn("post them to https://core.example/base/events", refusal.message)
            self.assertEqual(self.successResultOf(source.apply([])), [])

    def test_silent_core(self) -> None:
        self.hello()
        asked = self.backend.sessions.get(PLAYER)
        self.reactor.advance(5.0)
        self.assertIn("does not answer", self.failureResultOf(asked, Unavailable).value.message)

    def test_revocations(self) -> None:
        listener = RevocationRecorder()
        revocations = self.backend.revocations
        revocations.follow(listener)
        early = revocations.loaded()
        self.reactor.advance(5.0)
        self.failureResultOf(early, Unavailable)
        waiting = revocations.loaded()
        self.hello()
        self.connection.heard(to_json(Revoked((TOKEN,), complete=False)))
        self.assertNoResult(waiting)
        self.assertFalse(revocations.complete)
        self.connection.heard(to_json(Revoked((), complete=True)))
        self.successResultOf(waiting)
        self.assertEqual((listener.heard, revocations.complete), ({TOKEN}, True))
        self.connection.ended(LOST)
        self.assertFalse(revocations.complete)
        self.successResultOf(revocations.loaded())

    def test_revocation_at_the_edge(self) -> None:
        error = self.failureResultOf(self.backend.revocations.publish(TOKEN), Unavailable).value
        self.assertIn("post the revocation to https://core.example/base/revocations", error.message)

    def test_connections_are_not_counted_by_the_core(self) -> None:
        slots = self.backend.connection_slots
        self.assertTrue(self.successResultOf(slots.enter(PLAYER, 1)))
        slots.leave(PLAYER)
