"""Tests for `craftnet.client.core.credentials`, and of a watch that outlives its token, against a whole service."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.development import sign_token
from craftnet.client.core.address import Address
from craftnet.client.core.credentials import RENEWAL_MARGIN, Credentials, Renew, expiry, from_file
from craftnet.client.core.endings import EndingKind, connection_lost, request_refused, websocket_closed
from craftnet.client.core.watch import Watch, WatchVerdict
from craftnet.client.transports.websocket import WebSocketTransport
from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.runtime.backoff import Backoff
from craftnet.tests.support.eventually import until
from craftnet.tests.support.live import LiveTestCase, envelope, started, token
from craftnet.tests.support.observers import EndingRecorder
from craftnet.tests.support.samples import IRON, NOW, PLAYER, SESSION


def ending_at(expires: float) -> str:
    """A token."""
    return sign_token(b"x" * 32, PLAYER, (), expires - NOW, NOW)


class ExpiryTests(SynchronousTestCase):
    def test_a_token(self) -> None:
        self.assertEqual(expiry(ending_at(NOW + 600)), NOW + 600)

    @settings(deadline=None, derandomize=True)
    @given(st.one_of(st.text(), st.text().map(lambda junk: f"a.{junk}.c")))
    def test_anything_else(self, junk: str) -> None:
        self.assertIsNone(expiry(junk))


class CredentialsTests(SynchronousTestCase):
    def current(self, credentials: Credentials, now: float) -> str:
        return self.successResultOf(Deferred.fromCoroutine(credentials.current(now)))

    def test_a_token_and_nothing_more(self) -> None:
        """It is shown until it is refused, and that is the end."""
        only = ending_at(NOW + 10)
        credentials = Credentials(only)
        self.assertIsNone(credentials.due(NOW))
        self.assertEqual(self.current(credentials, NOW + 20), only)
        self.assertEqual(credentials.after(websocket_closed(4001, None)).kind, EndingKind.REFUSED)

    def test_renewed_before_its_end(self) -> None:
        fresh = ending_at(NOW + 1200)
        ways: list[Renew] = [lambda: fresh, lambda: succeed(fresh)]
        for renew in ways:
            first = ending_at(NOW + 600)
            credentials = Credentials(first, renew)
            self.assertEqual(credentials.due(NOW), NOW + 600 - RENEWAL_MARGIN)
            self.assertEqual(self.current(credentials, NOW + 569), first)
            self.assertEqual(self.current(credentials, NOW + 570), fresh)
            self.assertEqual(credentials.due(NOW + 570), NOW + 1200 - RENEWAL_MARGIN)

    def test_brief_ones_are_not_renewed_all_the_time(self) -> None:
        self.assertEqual(Credentials(ending_at(NOW + 8), str).due(NOW), NOW + 6)

    def test_after_a_refusal(self) -> None:
        """A fresh one is asked for, until there is one."""
        tokens = iter(["old", "new", "newer"])
        credentials = Credentials("old", lambda: next(tokens))
        self.assertEqual(self.current(credentials, NOW), "old")
        self.assertEqual(credentials.after(request_refused(401, b"")).kind, EndingKind.LOST)
        self.assertEqual([self.current(credentials, NOW) for _ in range(3)], ["old", "new", "new"])
        self.assertEqual(credentials.after(connection_lost("gone")), connection_lost("gone"))
        self.assertEqual(credentials.after(websocket_closed(4003, None)).kind, EndingKind.REFUSED)

    def test_a_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text("a.b.c\n")
        credentials = from_file(str(path))
        path.write_text(" d.e.f")
        credentials.after(websocket_closed(4001, None))
        self.assertEqual(self.current(credentials, NOW), "d.e.f")
        for content, problem in (
            (b" \n", "it is empty"),
            (b"Bearer a.b.c", "letters, digits"),
            (b"\xff", "not ASCII"),
            ("a.b.c".encode("utf-16-be"), "null characters, as UTF-16"),
        ):
            path.write_bytes(content)
            error = self.assertRaises(ConfigurationError, from_file, str(path))
            self.assertIn(f"{path}: ", str(error))
            self.assertIn(problem, str(error))
        for content, encoding in ((b"\xef\xbb\xbfa.b.c", "UTF-8"), ("a.b.c".encode("utf-16"), "UTF-16")):
            path.write_bytes(content)  # as editors and PowerShell write it.
            error = self.assertRaises(ConfigurationError, from_file, str(path))
            self.assertIn(f"{encoding} with a byte order mark", str(error))
        path.unlink()
        credentials.after(websocket_closed(4001, None))
        failure = self.failureResultOf(Deferred.fromCoroutine(credentials.current(NOW)), ConfigurationError)
        self.assertIn("No such file", failure.getErrorMessage())


class LongWatchTests(LiveTestCase):
    """`Watch` over WebSocket, against a whole service."""

    def watch(self, credentials: Credentials) -> tuple[Watch, EndingRecorder]:
        recorder = EndingRecorder()
        clock = cast(IClock, self.clock)
        transport = WebSocketTransport(clock, Address(self.url), SESSION, PLAYER, credentials)
        return Watch(clock, SESSION, [transport], recorder, Backoff(first=0.05)), recorder

    async def complete(self) -> None:
        data = {"session_id": str(SESSION), "result_item_id": str(IRON), "duration_seconds": 60}
        await self.publish(envelope("crafting.session.complete", data))

    async def test_outlives_its_token(self) -> None:
        """On one connection."""
        await self.publish(started())
        brief, renewed = token(ttl=40.0), Deferred[str]()
        watch, recorder = self.watch(Credentials(brief, lambda: renewed))
        watching = watch.start()
        without_another, its = self.watch(Credentials(brief))
        refused = without_another.start()
        await recorder.heard
        await its.heard
        self.clock.advance(35)
        renewed.callback(token(ttl=600))
        until_then = self.clock.seconds() + 60
        await until(lambda: any(feed.principal.expires > until_then for feed in self.service.feeds.open))
        self.clock.advance(7)
        self.assertIs((await refused).verdict, WatchVerdict.REFUSED)
        await self.complete()
        self.assertIs((await watching).verdict, WatchVerdict.COMPLETED)
        self.assertEqual(recorder.endings, [])

    async def test_reconnects_with_a_fresh_one(self) -> None:
        """Where the old one was refused."""
        await self.publish(started())
        watch, recorder = self.watch(Credentials("stale", lambda: token()))
        watching = watch.start()
        await recorder.heard
        await self.complete()
        self.assertIs((await watching).verdict, WatchVerdict.COMPLETED)
        self.assertEqual([(ending.kind, ending.stale) for ending in recorder.endings], [(EndingKind.LOST, True)])

    async def test_comes_back_when_the_server_says(self) -> None:
        await self.publish(started())
        watch, recorder = self.watch(Credentials(token()))
        watching = watch.start()
        await recorder.heard
        await self.service.stopService()
        while not recorder.endings:
            await deferLater(reactor, 0.01, lambda: None)
        watching.cancel()
        with self.assertRaises(CancelledError):
            await watching
        wait = recorder.endings[0].retry_after
        assert wait is not None
        self.assertTrue(wait <= recorder.delays[0] <= wait + 0.05)
