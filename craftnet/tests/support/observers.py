"""Observers and links for tests: record what a client's connections bring."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, DeferredQueue
from zope.interface import implementer

from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.endings import Ending
from craftnet.client.core.feed import WatchedSession
from craftnet.client.core.interfaces import ILinkListener, IObserver
from craftnet.contract.messages import WebSocketCraftingMessage
from craftnet.contract.position import Position
from craftnet.crafting.updates import Update


@implementer(IObserver)
class EndingRecorder:
    """Keeps how connections ended."""

    def __init__(self) -> None:
        self.endings: list[Ending] = []
        self.delays: list[float] = []
        self.heard: Deferred[None] = Deferred()

    def connecting(self, transport: str) -> None:
        """Not kept."""

    def updated(self, transport: str, update: Update, feed: WatchedSession) -> None:
        """A test may wait for it."""
        if not self.heard.called:
            self.heard.callback(None)

    def measured(self, transport: str, line: ConnectionQuality) -> None:
        """Nothing to keep."""

    def waiting(self, delay: float, ending: Ending) -> None:
        """Keep it."""
        self.endings.append(ending)
        self.delays.append(delay)


@implementer(IObserver)
class EventRecorder:
    """Records what it is shown."""

    def __init__(self) -> None:
        self.events: list[object] = []
        self.error: Exception | None = None

    def connecting(self, transport: str) -> None:
        """Keep it."""
        self.events.append(("connecting", transport))

    def updated(self, transport: str, update: Update, feed: WatchedSession) -> None:
        """Keep it, or fail."""
        if self.error is not None:
            raise self.error
        assert feed.progress is not None
        self.events.append(("updated", transport, feed.progress.percent))

    def measured(self, transport: str, line: ConnectionQuality) -> None:
        """Keep it."""
        self.events.append(("measured", transport, line.bound))

    def waiting(self, delay: float, ending: Ending) -> None:
        """Keep it."""
        self.events.append(("waiting", delay))


@implementer(IObserver)
class MessageTypes:
    """Lets a test wait for what a `Watch` receives."""

    def __init__(self) -> None:
        self.received_types: DeferredQueue[tuple[str, str]] = DeferredQueue()
        self.recovered: bool | None = None

    def connecting(self, transport: str) -> None:
        """Nothing to keep."""

    def updated(self, transport: str, update: Update, feed: WatchedSession) -> None:
        """Keep how it came, of which type each message is, and whether all that was missed follows."""
        for message in update.messages:
            if isinstance(message, WebSocketCraftingMessage) and message.recovered is not None:
                self.recovered = message.recovered
            self.received_types.put((transport, str(message.type)))

    def measured(self, transport: str, line: ConnectionQuality) -> None:
        """Nothing to keep."""

    def waiting(self, delay: float, ending: Ending) -> None:
        """Nothing to keep."""


@implementer(ILinkListener)
class LinkRecorder:
    """Records what a link brings."""

    def __init__(self, then: Callable[[], None] = lambda: None) -> None:
        self.events: list[str] = []
        self.positions: list[Position | None] = []
        self.done = Deferred[Ending]()
        self._then = then

    def opened(self) -> None:
        """Keep it."""
        self.events.append("opened")

    def updated(self, update: Update) -> None:
        """Keep it."""
        self.events.extend(str(message.type) for message in update.messages)
        self.positions.append(update.at)
        self._then()

    def measured(self, line: ConnectionQuality) -> None:
        """No WebSocket measures."""

    def ended(self, ending: Ending) -> None:
        """Fire."""
        self.events.append("ended")
        self.done.callback(ending)
