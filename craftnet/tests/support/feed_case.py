"""A session's feed on sources in memory whose answers wait for the test."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.contract.events import Event, EventVerdict, SessionProgress
from craftnet.contract.messages import (
    Status,
    WebSocketCraftingMessage,
    WebSocketQueueMessage,
)
from craftnet.crafting.progress import Tolerance
from craftnet.crafting.updates import Update
from craftnet.feeds.epoch import FeedEpochs
from craftnet.feeds.feed import Feed
from craftnet.feeds.session_feed import SessionFeed, SessionFeedContext
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.support.fakes import RecordingWatcher, SteppedClock
from craftnet.tests.support.late import LateMaterials, LateQueues, LateSessions
from craftnet.tests.support.samples import NOW, SESSION

HORIZON = 5.0


def report(percent: float, remaining: float, status: Status = Status.ACTIVE) -> SessionProgress:
    """The data of a report with the time to go."""
    return SessionProgress(
        session_id=SESSION, progress_percentage=percent, status=status, remaining_time_seconds=remaining
    )


@implementer(ISubscriber)
class Reacting(RecordingWatcher):
    """Does something after a number of updates."""

    def __init__(self, number: int, react: Callable[[], None]) -> None:
        super().__init__()
        self._number = number
        self._react = react

    def deliver(self, update: Update) -> None:
        super().deliver(update)
        if len(self.updates) == self._number:
            self._react()


class FeedTestCase(SynchronousTestCase):
    """Sources in memory, each behind one that answers when `answer` is called, if it is `late`."""

    def setUp(self) -> None:
        self.clock = SteppedClock()
        self.clock.advance(NOW)
        self.late = False
        self.pending: list[Callable[[], None]] = []
        self.memory = MemoryBackend(self.clock, MemorySettings(retention=30.0))
        self.sessions = LateSessions(self.memory.sessions, self._later)
        self.materials = LateMaterials(self.memory.materials, self._later)
        self.queues = LateQueues(self.memory.queues, self._later)
        self.sources = Sources(self.sessions, self.materials, self.queues)
        self.counts: list[int] = []
        self.returns: list[bool] = []

    def _later(self, act: Callable[[], None]) -> None:
        if self.late:
            self.pending.append(act)
        else:
            act()

    def answer(self, number: int | None = None) -> None:
        """Delivers `number` pending answers, or all, and those they lead to."""
        while self.pending and number != 0:
            self.pending.pop(0)()
            number = None if number is None else number - 1

    def happen(self, *events: Event) -> None:
        """Apply events to the memory, without delay."""
        for event_ in events:
            name = type(event_.data).__name__
            source = {"QueueUpdate": self.memory.queues, "MaterialsUpdate": self.memory.materials}.get(
                name, self.memory.sessions
            )
            (outcome,) = self.successResultOf(source.apply([event_]))
            self.assertIs(outcome.verdict, EventVerdict.ACCEPTED, outcome.reason)
            if name == "SessionStart":
                self.memory.materials.apply([event_])

    def joined(self, feed: Feed[Any]) -> RecordingWatcher:
        """A watcher that has its snapshot."""
        watcher = RecordingWatcher()
        self.assertIsNone(self.successResultOf(feed.subscribe(watcher)))
        return watcher

    def assert_no_listeners(self) -> None:
        self.assertEqual([source.listening for source in (self.sessions, self.materials, self.queues)], [set()] * 3)


def progress_of(update: Update) -> tuple[int, int | None]:
    """Percentage and remaining time, as a client reads them."""
    (message,) = update.messages
    assert isinstance(message, WebSocketCraftingMessage)
    assert message.progress_data is not None
    return message.progress_data.progress_percentage, message.progress_data.remaining_time_seconds


def positions(updates: Sequence[Update]) -> list[int | None]:
    """The queue positions received."""
    delivered: list[int | None] = []
    for update in updates:
        for message in update.messages:
            if isinstance(message, WebSocketQueueMessage):
                delivered.append(message.queue_position)
            elif isinstance(message, WebSocketCraftingMessage) and message.queue_data is not None:
                delivered.append(message.queue_data.queue_position)
    return delivered


class SessionFeedTestCase(FeedTestCase):
    def feed(self, session_id: UUID = SESSION) -> SessionFeed:
        """A feed that is closed with its last watcher, as the hub does it."""

        def counted(_: UUID, change: int) -> None:
            self.counts.append(change)
            if not feed.subscribed:
                feed.close()

        context = SessionFeedContext(
            *(counted, self.returns.append, FeedEpochs(self.sources), self.sources, self.clock),
            tolerance=Tolerance(),
            horizon=HORIZON,
            corrections=Metrics().corrections,
        )
        feed = SessionFeed(session_id, context)
        return feed
