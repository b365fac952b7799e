"""The hub: the open feeds. It opens a feed for its first watcher and closes it a while after the last.

A watcher that returns meanwhile, with a position from here or from another node on the same sources, misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar
from uuid import UUID

from twisted.internet.defer import Deferred

from craftnet.clocks import IClock
from craftnet.contract.position import HISTORY_SECONDS, Position
from craftnet.crafting.progress import Tolerance
from craftnet.crafting.state import MaterialsChange, QueueChange
from craftnet.feeds.epoch import FeedEpochs
from craftnet.feeds.feed import DeliveryTracer, Feed, FeedContext
from craftnet.feeds.forecast_feed import Forecaster, ForecastFeed
from craftnet.feeds.queue_feed import QueueFeed
from craftnet.feeds.session_feed import SessionFeed, SessionFeedContext
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.sources import Sources
from craftnet.runtime.timers import TimingWheel

REFRESH = 5.0
"""Seconds within which a running craft is sent again even if nothing changed."""

REFRESH_SLOTS = 100
"""The number of turns of the timer wheel in one refresh period."""

VISIT_SLOTS = REFRESH_SLOTS // 2 - 1
"""Turns after which a feed is due again: twice in a period, so a recently updated one can wait for the second."""

MAX_IDLE_FEEDS = 10_000
"""Feeds of a kind that stay open without watchers."""

AnyFeed = TypeVar("AnyFeed", bound=Feed[Any])


class FeedTable(Generic[AnyFeed]):
    """The open feeds of one kind.

    Arguments:
        make: given the `counted` of a `FeedContext`, returns what makes the feed of an id.
        counted: called with the number of watchers added or removed.
        linger: seconds for which a feed stays open after its last watcher, which may return.
    """

    def __init__(
        self,
        make: Callable[[Callable[[UUID, int], None]], Callable[[UUID], AnyFeed]],
        counted: Callable[[int], None],
        clock: IClock,
        linger: float,
    ) -> None:
        self._make = make(self._subscribers_changed)
        self._counted = counted
        self._clock = clock
        self._linger = linger
        self._feeds: dict[UUID, AnyFeed] = {}
        # Feeds without watchers in the order in which they were left, each with its closing time.
        self._left: dict[UUID, float] = {}

    def __getitem__(self, key: UUID) -> AnyFeed:
        """The feed of `key`, created if necessary; the caller joins it at once."""
        self._left.pop(key, None)
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = self._make(key)
        return feed

    def get(self, key: UUID) -> AnyFeed | None:
        """The feed of `key` if it is open."""
        return self._feeds.get(key)

    def expire(self) -> None:
        """Closes the feeds that were left long enough ago."""
        now = self._clock.seconds()
        while self._left:
            key, due = next(iter(self._left.items()))
            if due > now:
                break
            self._close(key)

    def _subscribers_changed(self, key: UUID, change: int) -> None:
        self._counted(change)
        feed = self._feeds.get(key)
        if feed is None or feed.subscribed:
            return
        if not self._linger or not feed.resumable:
            self._close(key)
            return
        self._left[key] = self._clock.seconds() + self._linger
        if len(self._left) > MAX_IDLE_FEEDS:
            self._close(next(iter(self._left)))

    def _close(self, key: UUID) -> None:
        self._left.pop(key, None)
        self._feeds.pop(key).close()


class Hub:
    """All open feeds of this process.

    Arguments:
        refresh: seconds within which a moving session is sent again even if nothing unexpected has happened.
        linger: seconds for which a feed stays open after its last watcher, which may return without a loss.
        tracer: delivers updates with spans; None: without.
        forecaster: forecasts crafts; None: nothing does.

    Attributes:
        forecasts: whether its feeds forecast crafts.
        traced: the sessions that administrators trace, each with functions that are called with a new subscriber.
    """

    def __init__(
        self,
        sources: Sources,
        clock: IClock,
        metrics: Metrics,
        *,
        tolerance: Tolerance | None = None,
        refresh: float = REFRESH,
        linger: float = HISTORY_SECONDS,
        tracer: DeliveryTracer | None = None,
        forecaster: Forecaster | None = None,
    ) -> None:
        self._sources = sources
        self._epochs = epochs = FeedEpochs(sources)
        allowed = tolerance or Tolerance()
        self.turn_interval = refresh / REFRESH_SLOTS
        self._wheel: TimingWheel[UUID] = TimingWheel(VISIT_SLOTS)
        self._clock = clock
        self.traced: dict[UUID, list[Callable[[ISubscriber], None]]] = {}
        # A feed updated since then can wait until it is due once more.
        self._lately_refreshed = refresh - VISIT_SLOTS * self.turn_interval
        self.forecasts = forecaster is not None
        back, back_in_queue = partial(metrics.came_back, "crafting"), partial(metrics.came_back, "queue")

        def session_feeds(counted: Callable[[UUID, int], None]) -> Callable[[UUID], SessionFeed]:
            context = SessionFeedContext(
                *(counted, back, epochs, sources, clock, tracer),
                tolerance=allowed,
                horizon=refresh,
                corrections=metrics.corrections,
            )
            if forecaster is None:
                return partial(SessionFeed, context=context)
            return partial(ForecastFeed, context=context, forecaster=forecaster)

        self._sessions = FeedTable(session_feeds, partial(metrics.watching, "crafting"), clock, linger)
        self._queues = FeedTable(
            lambda counted: partial(
                QueueFeed, context=FeedContext(counted, back_in_queue, epochs, sources, clock, tracer)
            ),
            partial(metrics.watching, "queue"),
            clock,
            linger,
        )

    @property
    def epoch(self) -> str:
        """The epoch of the positions of all feeds."""
        return self._epochs.now()

    def check_hearing(self) -> None:
        """Raises `Unavailable`, as `Sources` does, while new watchers would receive an outdated state."""
        self._sources.check_hearing()

    def subscribe_session(
        self, session_id: UUID, subscriber: ISubscriber, resume: Position | None = None, expected: bool = False
    ) -> Deferred[None]:
        """Adds `subscriber` to this session's feed, its current state first; `resume` and failures as in
        `Feed.subscribe`.

        Arguments:
            expected: it extrapolates by the expected time, where messages state one.
        """
        self._wheel.add(session_id)
        if self.traced:
            for function in self.traced.get(session_id, ()):
                function(subscriber)
        feed = self._sessions[session_id]
        if expected and isinstance(feed, ForecastFeed):
            feed.expect(subscriber)
        return feed.subscribe(subscriber, resume)

    def session_subscribers(self, session_id: UUID) -> tuple[ISubscriber, ...]:
        """The subscribers of this session's feed."""
        feed = self._sessions.get(session_id)
        return () if feed is None else feed.subscribers

    def session_position(self, session_id: UUID) -> Position | None:
        """The position of this session's feed; None while it is not open."""
        feed = self._sessions.get(session_id)
        return None if feed is None or feed.past is None else feed.position

    def unsubscribe_session(self, session_id: UUID, subscriber: ISubscriber) -> None:
        """Removes `subscriber` from this session's feed. Unknown ones are ignored."""
        feed = self._sessions.get(session_id)
        if feed is not None:
            feed.unsubscribe(subscriber)

    def session_heartbeat(self, session_id: UUID, subscriber: ISubscriber) -> None:
        """Sends `subscriber` the position of this session's feed."""
        feed = self._sessions.get(session_id)
        if feed is not None:
            feed.send_heartbeat(subscriber)

    def subscribe_queue(
        self, player_id: UUID, subscriber: ISubscriber, resume: Position | None = None
    ) -> Deferred[None]:
        """Adds `subscriber` to this player's queue feed, the current entries first, as `subscribe_session` does."""
        return self._queues[player_id].subscribe(subscriber, resume)

    def unsubscribe_queue(self, player_id: UUID, subscriber: ISubscriber) -> None:
        """Removes `subscriber` from this player's queue feed. Unknown ones are ignored."""
        feed = self._queues.get(player_id)
        if feed is not None:
            feed.unsubscribe(subscriber)

    def queue_heartbeat(self, player_id: UUID, subscriber: ISubscriber) -> None:
        """Sends `subscriber` the position of this player's queue feed."""
        feed = self._queues.get(player_id)
        if feed is not None:
            feed.send_heartbeat(subscriber)

    def queue_position(self, player_id: UUID) -> Position | None:
        """The position of this player's queue feed; None while it is not open."""
        feed = self._queues.get(player_id)
        return None if feed is None or feed.past is None else feed.position

    def recent_materials(self, session_id: UUID, version: int) -> list[MaterialsChange]:
        """The changes of a session's materials after a version; empty where its feed does not know all of them."""
        feed = self._sessions.get(session_id)
        if feed is None or feed.past is None or feed.versions().materials < version:
            return []
        return feed.past.materials.since(version, self._clock.seconds()) or []

    def recent_queue(self, player_id: UUID, version: int) -> list[QueueChange]:
        """The changes of a player's queue entries after a version, as `recent_materials` does."""
        feed = self._queues.get(player_id)
        if feed is None or feed.past is None or feed.versions().queue < version:
            return []
        return feed.past.queue.since(version, self._clock.seconds()) or []

    def turn(self) -> None:
        """Refreshes the sessions that are due and closes abandoned feeds; called every `turn_interval` seconds."""
        self._sessions.expire()
        self._queues.expire()
        sent_before = self._clock.seconds() - self._lately_refreshed
        for session_id in self._wheel.turn():
            feed = self._sessions.get(session_id)
            if feed is None:
                self._wheel.discard(session_id)
            else:
                feed.refresh(sent_before)
