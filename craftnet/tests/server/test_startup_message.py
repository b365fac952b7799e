"""The start-up text for an operator, and how it gets there."""

from __future__ import annotations

import io
import sys

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from craftnet.server.startup_message import Announcer, ServedSummary, watch_hint
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import PLAYER, SESSION, running


class ServedTests(SynchronousTestCase):
    def test_caution_only_where_there_is_reason(self) -> None:
        served = ServedSummary("http://127.0.0.1:8080", "off", "memory", "anybody")
        self.assertFalse([line for line in served.lines if "loopback" in line])
        careful = ServedSummary("http://127.0.0.1:8080", "off", "memory", "anybody", "because")
        self.assertIn("Only loopback is served: because", careful.lines)


class WatchHintTests(SynchronousTestCase):
    def test_command_and_address(self) -> None:
        text = watch_hint(running(), "TOKEN", "https://127.0.0.1:8443", "/a path/craftnet")
        self.assertIn(f"'/a path/craftnet' watch --player {PLAYER} --url https://127.0.0.1:8443 --token TOKEN", text)
        address = f"wss://127.0.0.1:8443/ws/crafting/{SESSION}?player_id={PLAYER}"
        self.assertIn(address, text)


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
