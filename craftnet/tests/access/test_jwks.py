"""Key sets that change while the service runs."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

from treq.client import HTTPClient
from treq.testing import RequestTraversalAgent
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, globalLogPublisher
from twisted.trial.unittest import SkipTest, SynchronousTestCase, TestCase
from twisted.web.client import Agent
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site
from zope.interface import implementer
from zope.interface.verify import verifyObject

from craftnet.access import jwks as module
from craftnet.access.jwks import (
    FETCH_INTERVAL,
    FETCH_TIMEOUT,
    FILE_INTERVAL,
    MAX_DOCUMENT,
    MAX_STALENESS,
    REFRESH_AFTER,
    JwksFile,
    JwksUrl,
)
from craftnet.access.verification_keys import IKeySource, VerificationKey
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW
from craftnet.tests.support.signing import ec_key, jwk, jwks

OLD = jwks(jwk(ec_key(), "old"))
BOTH = jwks(jwk(ec_key(), "old"), jwk(ec_key(1), "new"))
NEW = jwks(jwk(ec_key(1), "new"))


def clock_at_now() -> SteppedClock:
    clock = SteppedClock()
    clock.advance(NOW)
    return clock


class FileTests(SynchronousTestCase):
    """A file."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.clock = clock_at_now()
        self.mtime = 1_000_000_000

    def write(self, content: bytes, *, touched: bool = True) -> None:
        self.path.write_bytes(content)
        self.mtime += touched
        os.utime(self.path, (self.mtime, self.mtime))

    def source(self, content: bytes = OLD) -> JwksFile:
        self.write(content)
        return JwksFile(self.path, self.clock)

    def knows(self, source: JwksFile, key_id: str) -> bool:
        return self.successResultOf(source.find(key_id, "ES256")) is not None

    def test_interface(self) -> None:
        verifyObject(IKeySource, self.source())

    def test_rotation(self) -> None:
        """A new key is found, a withdrawn one is not, both within the interval."""
        source = self.source()
        self.assertEqual((self.knows(source, "old"), self.knows(source, "new")), (True, False))
        self.write(NEW)
        self.assertTrue(self.knows(source, "old"))
        self.clock.advance(FILE_INTERVAL)
        self.assertEqual((self.knows(source, "old"), self.knows(source, "new")), (False, True))

    def test_unknown_key_reads_again(self) -> None:
        """Even if nothing shows that the file has changed: same size, same time."""
        self.assertEqual(len(OLD), len(NEW))
        source = self.source()
        self.write(NEW, touched=False)
        self.clock.advance(FILE_INTERVAL)
        self.assertTrue(self.knows(source, "new"))

    def test_published_just_after_a_look(self) -> None:
        """A token with an unknown key looks at once whether the file has changed."""
        source = self.source()
        self.write(BOTH)
        self.assertTrue(self.knows(source, "new"))

    def test_broken_meanwhile(self) -> None:
        """The keys it held are used until it is whole again."""
        source = self.source()
        for breaking in (lambda: self.write(OLD[:20]), self.path.unlink):
            breaking()
            self.clock.advance(FILE_INTERVAL)
            self.assertTrue(self.knows(source, "old"))
        self.write(NEW)
        self.clock.advance(FILE_INTERVAL)
        self.assertTrue(self.knows(source, "new"))

    def test_problem(self) -> None:
        source = self.source()
        self.assertEqual(source.problem(), "")
        self.write(OLD[:20])
        self.assertIn("the previous keys are still used: it is not a JSON Web Key Set", source.problem())
        self.write(NEW)
        self.assertEqual((source.problem(), source.known()[0].key_id), ("", "new"))

    def test_no_start_without_keys(self) -> None:
        self.assertRaises(ConfigurationError, JwksFile, self.path, self.clock)
        self.assertRaises(ConfigurationError, self.source, b"{}")


class LoginService(Resource):
    """Publishes a key set. `document` None: does not answer."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.document: bytes | None = OLD
        self.status = 200
        self.encoding: str | None = None
        self.requests: list[Request] = []

    def render_GET(self, request: Request) -> Any:
        self.requests.append(request)
        if self.document is None:
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        if self.encoding is not None:
            request.setHeader("Content-Encoding", self.encoding)
        return self.document


class UrlTests(SynchronousTestCase):
    """A URL, in memory."""

    def setUp(self) -> None:
        self.clock = clock_at_now()
        self.service = LoginService()
        self.agent = RequestTraversalAgent(self.service)
        self.source = JwksUrl("http://login.example/keys?tenant=hush", HTTPClient(self.agent), self.clock)

    def find(self, key_id: str = "old") -> Deferred[VerificationKey | None]:
        found: Deferred[VerificationKey | None] = self.source.find(key_id, "ES256")
        self.agent.flush()
        return found

    def knows(self, key_id: str) -> bool:
        return self.successResultOf(self.find(key_id)) is not None

    def test_interface(self) -> None:
        verifyObject(IKeySource, self.source)

    def test_cached(self) -> None:
        self.assertEqual(len(self.service.requests), 0)
        self.assertTrue(self.knows("old"))
        self.assertTrue(self.knows("old"))
        self.assertEqual(len(self.service.requests), 1)

    def test_rotation(self) -> None:
        """A token with a new key makes it ask again."""
        self.assertTrue(self.knows("old"))
        self.service.document = BOTH
        self.clock.advance(FETCH_INTERVAL)
        self.assertTrue(self.knows("new"))
        self.assertEqual(len(self.service.requests), 2)

    def test_invented_keys(self) -> None:
        """However many lookups there are, one fetch per interval; the refusal says when the next one follows."""
        self.assertTrue(self.knows("old"))
        self.clock.advance(FETCH_INTERVAL)
        self.assertFalse(self.knows("invented"))
        self.clock.advance(0.5)
        for number in range(10):
            failure = self.failureResultOf(self.find(f"invented-{number}"), Unavailable)
            self.assertEqual(failure.value.retry_after, FETCH_INTERVAL)
        self.assertEqual(len(self.service.requests), 2)

    def test_published_just_after_a_fetch(self) -> None:
        """Its token is asked to come again, and is not refused for good."""
        self.assertTrue(self.knows("old"))
        self.service.document = BOTH
        self.clock.advance(1)
        failure = self.failureResultOf(self.find("new"), Unavailable)
        self.clock.advance(failure.value.retry_after)
        self.assertTrue(self.knows("new"))

    def test_unknown_while_fetches_fail(self) -> None:
        """The key may be there by now: no final refusal before a fetch succeeds."""
        self.assertTrue(self.knows("old"))
        self.service.status = 500
        self.clock.advance(FETCH_INTERVAL)
        self.failureResultOf(self.find("new"), Unavailable)

    def test_hanging_service(self) -> None:
        """No token of a known key waits for it, however long it hangs."""
        self.assertTrue(self.knows("old"))
        self.service.document = None
        for _ in range(100):
            self.clock.advance(REFRESH_AFTER)
            self.assertTrue(self.knows("old"))
            self.clock.advance(FETCH_TIMEOUT)
            self.agent.flush()
        self.assertEqual(len(self.service.requests), 101)

    def test_after_a_quiet_time(self) -> None:
        """A withdrawn key does not count after a time without lookups."""
        self.assertTrue(self.knows("old"))
        self.service.document = NEW
        self.clock.advance(MAX_STALENESS)
        self.assertFalse(self.knows("old"))

    def test_compressed(self) -> None:
        self.service.document, self.service.encoding = gzip.compress(OLD), "gzip"
        self.assertTrue(self.knows("old"))
        self.clock.advance(FETCH_INTERVAL)
        self.service.document = gzip.compress(BOTH + b" " * MAX_DOCUMENT)
        self.failureResultOf(self.find("new"), Unavailable)

    def test_unnamed_key(self) -> None:
        """Where that is asked for, a token that names a key may mean the only one, if it has no name."""
        self.service.document = jwks(jwk(ec_key()))
        self.assertFalse(self.knows("some"))
        self.source = JwksUrl("http://login.example/keys", HTTPClient(self.agent), self.clock, unnamed=True)
        self.assertTrue(self.knows("some"))

    def test_withdrawn_key(self) -> None:
        self.assertTrue(self.knows("old"))
        self.service.document = NEW
        self.clock.advance(REFRESH_AFTER - 1)
        self.assertTrue(self.knows("old"))
        self.assertEqual(len(self.service.requests), 1)
        self.clock.advance(1)
        self.assertTrue(self.knows("old"))  # and is fetched behind it.
        self.clock.advance(FETCH_INTERVAL)
        self.assertFalse(self.knows("old"))

    def test_shared_fetch(self) -> None:
        """Lookups that come while one is under way wait for it; cancelling one does not disturb the others."""
        self.service.document = None
        first, second, third = self.find(), self.find("unknown"), self.find()
        self.assertEqual(len(self.service.requests), 1)
        second.addErrback(lambda _: None)
        second.cancel()
        self.service.requests[0].write(OLD)
        self.service.requests[0].finish()
        self.agent.flush()
        self.assertIsNotNone(self.successResultOf(first))
        self.assertIsNotNone(self.successResultOf(third))

    def test_never_had(self) -> None:
        """Unavailable, not unauthorized: the token may be good. It asks again after the interval."""
        self.service.status = 500
        for _ in range(3):
            self.failureResultOf(self.find(), Unavailable)
        self.assertEqual(len(self.service.requests), 1)
        self.service.status = 200
        self.clock.advance(FETCH_INTERVAL)
        self.assertTrue(self.knows("old"))

    def test_stale_keys_are_kept(self) -> None:
        """… whatever goes wrong with the URL."""
        self.assertTrue(self.knows("old"))
        for status, document in ((404, NEW), (200, b"<html>"), (200, jwks()), (200, NEW + b" " * MAX_DOCUMENT)):
            self.service.status, self.service.document = status, document
            self.clock.advance(REFRESH_AFTER)
            asked = len(self.service.requests)
            self.assertTrue(self.knows("old"), document[:20])
            self.assertEqual(len(self.service.requests), asked + 1)

    def test_redirect_is_not_followed(self) -> None:
        self.service.status = 302
        self.failureResultOf(self.find(), Unavailable)
        self.assertEqual(len(self.service.requests), 1)

    def test_timeout(self) -> None:
        """No answer at all, and one that stops half-way."""
        self.service.document = None
        for begun in (b"", b'{"keys":['):
            waiting = self.find()
            if begun:
                self.service.requests[-1].write(begun)
                self.agent.flush()
            self.assertNoResult(waiting)
            gone = self.service.requests[-1].notifyFinish()
            self.clock.advance(FETCH_TIMEOUT)
            self.agent.flush()
            self.failureResultOf(waiting, Unavailable)
            self.failureResultOf(gone)
            self.clock.advance(FETCH_INTERVAL)

    def problem(self) -> str:
        """What the health check says, after the fetch that it may start."""
        self.source.problem()
        self.agent.flush()
        return self.source.problem()

    def test_problem(self) -> None:
        """A check fetches at the start, and when the keys are old; it waits for nothing, and reports what lasts."""
        self.service.status = 503
        self.assertIn("keys could not be fetched; no token", self.problem().replace("at http://login.example/", ""))
        self.assertNotIn("hush", self.problem())
        self.service.status = 200
        self.clock.advance(FETCH_INTERVAL)
        self.assertEqual(self.problem(), "")
        self.assertTrue(self.knows("old"))
        self.service.status, asked = 503, len(self.service.requests)
        for _ in range(3):
            self.assertEqual(self.problem(), "")
        self.assertEqual(len(self.service.requests), asked)
        self.clock.advance(REFRESH_AFTER)
        self.assertEqual(self.problem(), "")  # the keys are old, and not too old yet.
        self.assertEqual(len(self.service.requests), asked + 1)
        self.clock.advance(MAX_STALENESS - REFRESH_AFTER)
        self.assertIn("could not be fetched for 15 minutes; those fetched before are still used", self.problem())
        self.service.document = None  # it hangs.
        self.clock.advance(FETCH_INTERVAL)
        self.assertIn("15 minutes", self.problem())

    def test_log(self) -> None:
        """The operator learns of it, without the URL's query."""
        events: list[dict[str, Any]] = []

        @implementer(ILogObserver)
        def observe(event: dict[str, Any]) -> None:
            events.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        self.service.status = 503
        self.failureResultOf(self.find(), Unavailable)
        [logged] = [event for event in events if event["log_namespace"].startswith(module.__name__)]
        text = logged["log_format"].format(**logged)
        self.assertIn("http://login.example/keys cannot be fetched; no token can be checked", text)
        self.assertIn("503", text)
        self.assertNotIn("hush", text)


class RealServerTests(TestCase):
    """A URL, over the loopback interface."""

    async def test_ipv6_literal(self) -> None:
        try:
            port = await TCP6ServerEndpoint(reactor, 0, interface="::1").listen(Site(LoginService()))
        except CannotListenError:
            raise SkipTest("This machine has no IPv6.") from None
        self.addCleanup(port.stopListening)
        source = JwksUrl(f"http://[::1]:{port.getHost().port}/keys", HTTPClient(Agent(reactor)), clock_at_now())
        self.assertIsNotNone(await source.find("old", "ES256"))

    async def test_rotation(self) -> None:
        service = LoginService()
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(service))
        self.addCleanup(port.stopListening)
        clock = clock_at_now()
        source = JwksUrl(f"http://127.0.0.1:{port.getHost().port}/keys.json", HTTPClient(Agent(reactor)), clock)

        async def knows(key_id: str) -> bool:
            return await source.find(key_id, "ES256") is not None

        at_once = await gatherResults([source.find("old", "ES256") for _ in range(3)])
        self.assertNotIn(None, at_once)
        self.assertEqual(len(service.requests), 1)
        service.document = BOTH
        clock.advance(FETCH_INTERVAL)
        self.assertTrue(await knows("new"))
        await maybeDeferred(port.stopListening)
        clock.advance(MAX_STALENESS)
        self.assertTrue(await knows("old"))
