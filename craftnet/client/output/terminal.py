"""Shows a watch on a terminal: a progress bar that moves between updates, and the session's other state."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import Ending
from craftnet.client.core.feed import WatchedSession
from craftnet.client.core.interfaces import IObserver
from craftnet.client.output import wording
from craftnet.client.output.line_output import note
from craftnet.client.output.smoothing import SmoothedProgress
from craftnet.contract.messages import Status
from craftnet.crafting.progress import expected_model, remaining_at
from craftnet.crafting.updates import Update

FRAMES = 10
"""Frames per second."""

SHOWN_RESOLUTION = 0.1
"""Points of progress lost because the figure is rounded down."""

_COLOURS = {
    Status.ACTIVE: "cyan",
    Status.PAUSED: "yellow",
    Status.INTERRUPTED: "yellow",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
}


def picture(
    feed: WatchedSession,
    percent: float,
    remaining: float | None,
    connection: str,
    expected: str = "",
    devices: str = "",
) -> RenderableType:
    """Everything that is known, for a terminal.

    Arguments:
        percent: the value of the bar, 0 to 100.
        remaining: seconds.
        connection: the transport and its measurements, or why there is no connection.
        expected: how long the craft is expected to take still.
        devices: the player's devices.
    """
    rows: list[RenderableType] = [Text(f"craft {feed.session_id}", style="bold")]
    progress = feed.progress
    if progress is not None:
        colour = _COLOURS[progress.status]
        bar = Table.grid(padding=(0, 1), expand=True)
        bar.add_column(ratio=1)
        bar.add_column(justify="right", no_wrap=True)
        left = "" if remaining is None or progress.status.terminal else f"{wording.clock(remaining)} to go"
        bar.add_row(
            ProgressBar(total=100, completed=percent, style="grey37", complete_style=colour, finished_style=colour),
            # Rounded down to the shown digits: 100 % is for completed crafts.
            Text(f"{int(percent * 10) / 10:5.1f} %  {left}"),
        )
        rows.append(bar)
        says = wording.failure(progress.failure_reason) if progress.status is Status.FAILED else progress.status.value
        known = filter(None, (says, expected, wording.quality(progress.quality, progress.target_quality)))
        rows.append(Text(", ".join(known), style=colour))
    if feed.queue is not None and not feed.over:
        rows.append(Text(wording.queue(feed.queue), style="magenta"))
    rows.extend(Text(wording.material(problem), style="yellow") for problem in feed.problems)
    if devices:
        rows.append(Text(devices, style="dim"))
    rows.append(Text(connection, style="dim"))
    return Group(*rows)


@implementer(IObserver)
class Screen:
    """Shows a watch on a terminal, live.

    Arguments:
        reactor: the clock, also for frames.
        console: the terminal.
        feed: the state at the start.
        devices: returns what is shown of the player's devices.
    """

    def __init__(
        self, reactor: IReactorTime, console: Console, feed: WatchedSession, devices: Callable[[], str] = str
    ) -> None:
        self._reactor = reactor
        self._feed = feed
        self._devices = devices
        self._connection = ""
        self._line: ConnectionQuality | None = None
        self._display = SmoothedProgress()
        self._live = Live(console=console, auto_refresh=False)
        self._frames = LoopingCall(self._draw)
        self._frames.clock = reactor

    def start(self) -> None:
        """Starts drawing."""
        self._live.start()
        self._frames.start(1 / FRAMES)

    def stop(self) -> None:
        """Leaves the last frame on the terminal and releases it."""
        if self._frames.running:
            self._draw()
            self._frames.stop()
        self._live.stop()

    def connecting(self, transport: str) -> None:
        """See `IObserver`."""
        self._connection, self._line = f"connecting over {transport}", None

    def updated(self, transport: str, update: Update, feed: WatchedSession) -> None:
        """See `IObserver`."""
        if feed.progress is not None and feed.progress is not self._feed.progress:
            take = self._display.update if update.messages else self._display.correct
            take(expected_model(feed.progress, feed.expected), self._reactor.seconds())
        self._feed = feed
        self._connection = f"over {transport}"

    def measured(self, transport: str, quality: ConnectionQuality) -> None:
        """See `IObserver`."""
        self._connection, self._line = f"over {transport}", quality

    def waiting(self, delay: float, ending: Ending) -> None:
        """See `IObserver`."""
        self._connection, self._line = note(delay, ending), None

    def _draw(self) -> None:
        now = self._reactor.seconds()
        percent, remaining, expected = self._display.percent(now), None, ""
        if (progress := self._feed.progress) is not None:
            remaining = remaining_at(progress, now)
            if (ahead := self._feed.expected) is not None and progress.moving:
                elapsed = now - progress.anchor
                expected = wording.expected(max(0.0, ahead.p50 - elapsed), max(0.0, ahead.p90 - elapsed))
        connection = self._connection
        if self._line is not None:
            connection += f", {self._line.shown(self._display.deviation(now) + SHOWN_RESOLUTION).words}"
        shown = picture(self._feed, percent, remaining, connection, expected, self._devices())
        self._live.update(shown, refresh=True)
