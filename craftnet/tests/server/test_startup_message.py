"""The start-up text for an operator, and how it gets there."""

from __future__ import annotations

import io
import re
import sys

import jwt
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.auth_option import AuthSetup
from craftnet.access.development import key_source, random_secret
from craftnet.access.jwt import JwtVerifier
from craftnet.providers.workshop.backend import WorkshopBackend
from craftnet.providers.workshop.simulation.settings import WorkshopSettings
from craftnet.server.startup_message import PLAYERS_VIEW, Announcer, PageLink, ServedSummary, hint, watch_hint
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import NOW, PLAYER


class ServedTests(SynchronousTestCase):
    def test_caution_only_where_there_is_reason(self) -> None:
        served = ServedSummary("http://127.0.0.1:8080", "off", "memory", "any player")
        self.assertFalse([line for line in served.lines if "loopback" in line])
        careful = ServedSummary("http://127.0.0.1:8080", "off", "memory", "any player", "because")
        self.assertIn("Only loopback is served: because", careful.lines)


class WatchHintTests(SynchronousTestCase):
    def test_command_and_address(self) -> None:
        text = watch_hint(PLAYER, [], "TOKEN", "https://127.0.0.1:8443", "/a path/craftnet")
        self.assertIn(f"'/a path/craftnet' watch --player {PLAYER} --url https://127.0.0.1:8443 --token TOKEN", text)
        self.assertIn(f"wss://127.0.0.1:8443/ws/player/{PLAYER}", text)

    def test_pages(self) -> None:
        """Their links have a token in the fragment: the player's, or one with scopes. Never for another machine."""
        backend = WorkshopBackend(SteppedClock(), WorkshopSettings())
        backend.service.startService()
        self.addCleanup(backend.service.stopService)
        secret = random_secret()
        access = AuthSetup(JwtVerifier(key_source(secret), SteppedClock()), "", secret=secret)
        pages = (PLAYERS_VIEW, PageLink("Dashboard", "/dashboard/", ("crafting:admin",)))
        text = hint(backend, access, "http://127.0.0.1:8080", NOW, pages)
        assert text is not None
        tokens = dict(re.findall(r"127.0.0.1:8080/(demo|dashboard)/#token=(\S+)", text))
        claims = {name: jwt.decode(token, options={"verify_signature": False}) for name, token in tokens.items()}
        featured = backend.featured()
        assert featured is not None
        self.assertEqual(claims["demo"]["sub"], str(featured.player_id))
        self.assertEqual((claims["dashboard"]["scope"], claims["dashboard"].get("sub")), ("crafting:admin", None))
        remote = hint(backend, access, "http://10.0.0.1:8080", NOW, pages)
        assert remote is not None
        self.assertNotIn("#token", remote)


class AnnouncerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.terminal = io.StringIO()
        self.patch(sys, "__stdout__", self.terminal)

    def test_hint_is_not_logged(self) -> None:
        """It holds a token: the terminal sees it, the log does not."""
        announcer = Announcer(lambda: ["serving"], lambda: "secret hint", self.clock)
        with capturedLogs() as log:
            announcer.startService()
            self.assertEqual(log, [])
            self.clock.advance(0)
        self.assertEqual([entry["line"] for entry in log], ["serving"])
        self.assertEqual(self.terminal.getvalue(), "secret hint\n")

    def test_nothing_to_hint_at(self) -> None:
        Announcer(list, lambda: None, self.clock).startService()
        self.clock.advance(0)
        self.assertEqual(self.terminal.getvalue(), "")

    def test_stopped_before_it_spoke(self) -> None:
        announcer = Announcer(lambda: ["serving"], lambda: None, self.clock)
        announcer.startService()
        announcer.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
