"""Tests for `craftnet.client.output.terminal`."""

from __future__ import annotations

from io import StringIO

from msgspec.structs import replace
from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import connection_lost
from craftnet.client.core.feed import WatchedSession, apply_update, update_from_message
from craftnet.client.core.interfaces import IObserver
from craftnet.client.output.terminal import Screen, picture
from craftnet.clocks import Moment
from craftnet.contract.messages import QueueStatusData, Status
from craftnet.crafting.progress import Progress
from craftnet.crafting.state import SessionState
from craftnet.crafting.updates import Update, progress_update
from craftnet.protocols.udp.core.path_stats import PathStats
from craftnet.tests.support.fakes import SteppedClock
from craftnet.tests.support.samples import AT, NOW, PLAYER, SESSION, SHORT, message, progress, running

ACTIVE = Progress(Status.ACTIVE, 40.0, NOW, 36.0, 60, 80)


def drawn(feed: WatchedSession, percent: float = 0.0, remaining: float | None = None, connection: str = "") -> str:
    """The picture as text, on a terminal of 100 columns."""
    console = Console(file=StringIO(), width=100, color_system=None)
    with console.capture() as capture:
        console.print(picture(feed, percent, remaining, connection))
    return capture.get()


class PictureTests(SynchronousTestCase):
    """`picture`"""

    def test_before_anything_is_known(self) -> None:
        self.assertEqual(
            drawn(WatchedSession(SESSION), connection="connecting over ws").split("over")[-1].strip(), "ws"
        )

    def test_all_that_is_known(self) -> None:
        queue = QueueStatusData(player_id=PLAYER, queue_position=3)
        text = drawn(WatchedSession(SESSION, ACTIVE, (SHORT,), queue), 40.19, 35.5, "over udp")
        for part in (
            str(SESSION),
            "over udp",
            "40.1 %",
            "0:36 to go",
            "active, quality 60 of 80",
            "place 3",
            "dddddddd",
        ):
            self.assertIn(part, text)

    def test_a_hundred_is_for_completed_crafts(self) -> None:
        self.assertIn(" 99.9 %", drawn(WatchedSession(SESSION, ACTIVE), 99.99, 0.0))
        completed = Progress(Status.COMPLETED, 100.0, NOW, 0.0)
        text = drawn(
            WatchedSession(SESSION, completed, (), QueueStatusData(player_id=PLAYER, queue_position=3)), 100.0, 0.0
        )
        self.assertIn("100.0 %", text)
        self.assertNotIn("to go", text)
        self.assertNotIn("place", text)

    def test_failure(self) -> None:
        failed = replace(ACTIVE, status=Status.FAILED, failure_reason="[bold]\x1b[2Jx[/bold]")
        self.assertIn("failed ([bold]\ufffd[2Jx[/bold])", drawn(WatchedSession(SESSION, failed), 40.0, 0.0))


class ScreenTests(SynchronousTestCase):
    """`Screen`"""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.console = Console(
            file=StringIO(), width=100, force_terminal=True, color_system=None, legacy_windows=False, _environ={}
        )
        self.screen = Screen(self.clock, self.console, WatchedSession(SESSION))
        self.screen.start()
        self.addCleanup(self.screen.stop)

    def frames(self, number: int) -> str:
        """The output of the next frames."""
        output = self.console.file
        assert isinstance(output, StringIO)
        output.seek(0)
        output.truncate()
        self.clock.pump([0.1] * number)
        return output.getvalue()

    def test_interface(self) -> None:
        verifyObject(IObserver, self.screen)

    def test_moves_between_messages(self) -> None:
        update = progress_update(running(percent=40.0), AT)
        self.screen.updated("udp", update, apply_update(WatchedSession(SESSION), update, NOW))
        text = self.frames(12)
        for percent in (40.1, 40.5, 41.1):
            self.assertIn(f"{percent} %", text)
        self.assertIn("over udp", text)

    def test_goes_by_the_expected_time_and_says_the_authority_s(self) -> None:
        expected = replace(progress(40), expected_seconds_p50=60, expected_seconds_p90=80)
        update = update_from_message(message("progress_update", progress_data=expected))
        self.screen.updated("ws", update, apply_update(WatchedSession(SESSION), update, NOW))
        text = self.frames(60)
        self.assertIn(" 45.0 %  0:25 to go", text)
        self.assertIn("expected 0:55, 9 in 10 within 1:15", text)

    def deliver(self, state: SessionState) -> None:
        """It arrives now."""
        update = progress_update(state, Moment.agreed(self.clock.seconds()))
        self.screen.updated("udp", update, apply_update(WatchedSession(SESSION), update, self.clock.seconds()))

    def test_says_how_wrong_the_bar_may_be(self) -> None:
        """After a late pause the bar stays ahead as long as the pause lasts."""
        state = running(percent=40.05)
        self.deliver(state)
        self.screen.measured("udp", ConnectionQuality(PathStats(), 0.45))
        self.assertIn("over udp, 0% lost, progress ±0.6", self.frames(20))
        self.deliver(replace(state, progress=replace(state.progress, status=Status.PAUSED)))
        self.screen.measured("udp", ConnectionQuality(PathStats(), 0.45))
        text = self.frames(20)
        self.assertIn(" 42.0 %", text)
        self.assertIn("progress ±2.6", text)

    def test_a_better_clock_does_not_move_the_bar_back(self) -> None:
        state = running()
        self.deliver(state)
        self.frames(100)
        known = replace(state, progress=replace(state.progress, anchor=NOW + 5.0))
        update = Update(known, ())
        self.screen.updated("udp", update, apply_update(WatchedSession(SESSION), update, self.clock.seconds()))
        self.assertIn(" 16.6 %", self.frames(1))

    def test_says_why_nothing_comes(self) -> None:
        self.screen.connecting("ws")
        self.assertIn("connecting over ws", self.frames(1))
        self.screen.waiting(2.0, connection_lost("the server is silent"))
        self.assertIn("the server is silent; trying again in 2.0 s", self.frames(1))

    def test_draws_no_more_when_stopped(self) -> None:
        self.screen.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
