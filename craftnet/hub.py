"""The hub: which feeds are open. It opens a feed for its first watcher and closes it a while after the last.

Who comes back meanwhile, with a position from here or from another node that shares the sources, misses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

from twisted.internet.defer import Deferred

from craftnet.clocks import IClock
from craftnet.epochs import Epochs
from craftnet.feeds.feed import Feed
from craftnet.feeds.queue import QueueFeed
from craftnet.feeds.session import SessionFeed
from craftnet.interfaces import IWatcher
from craftnet.model import Tolerance
from craftnet.observe.metrics import Metrics
from craftnet.positions import REACH, Position
from craftnet.sources import Sources
from craftnet.wheel import Wheel

REFRESH_SLOTS = 100
"""Into how many turns of the wheel one refresh period is cut."""

VISIT_SLOTS = REFRESH_SLOTS // 2 - 1
"""Turns after which a feed comes round again: twice in a period, so that one told lately can be left until then."""

MAX_LEFT = 10_000
"""How many feeds of a kind stay open although nobody watches them."""

AnyFeed = TypeVar("AnyFeed", bound=Feed)


class FeedTable(Generic[AnyFeed]):
    """The open feeds of one kind.

    Arguments:
        make: builds the feed of an id; its second argument is `Feed`'s `counted`.
        counted: called with how many watchers came or went.
        linger: seconds for which a feed stays open after its last watcher, who may come back.
    """

    def __init__(
        self,
        make: Callable[[UUID, Callable[[UUID, int], None]], AnyFeed],
        counted: Callable[[int], None],
        clock: IClock,
        linger: float,
    ) -> None:
        self._make = make
        self._counted = counted
        self._changed = self._watchers_changed  # one for all: a method of its own would be kept by each feed.
        self._clock = clock
        self._linger = linger
        self._feeds: dict[UUID, AnyFeed] = {}
        # Feeds that nobody watches, in the order they were left, each with the time to close it.
        self._left: dict[UUID, float] = {}

    def __getitem__(self, key: UUID) -> AnyFeed:
        """The feed of `key`, opened if need be; to be joined at once."""
        self._left.pop(key, None)
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = self._make(key, self._changed)
        return feed

    def get(self, key: UUID) -> AnyFeed | None:
        """The feed of `key` if it is open."""
        return self._feeds.get(key)

    def expire(self) -> None:
        """Close what was left long enough ago."""
        now = self._clock.seconds()
        while self._left:
            key, due = next(iter(self._left.items()))
            if due > now:
                break
            self._close(key)

    def _watchers_changed(self, key: UUID, change: int) -> None:
        self._counted(change)
        feed = self._feeds.get(key)
        if feed is None or feed.watched:
            return
        if not self._linger or not feed.resumable:
            self._close(key)
            return
        self._left[key] = self._clock.seconds() + self._linger
        if len(self._left) > MAX_LEFT:
            self._close(next(iter(self._left)))

    def _close(self, key: UUID) -> None:
        self._left.pop(key, None)
        self._feeds.pop(key).close()


class Hub:
    """Every open feed of this process.

    Arguments:
        refresh: seconds within which a moving session is told again even if nobody needs it.
        linger: seconds for which a feed stays open after its last watcher, who may come back and miss nothing.
    """

    def __init__(
        self,
        sources: Sources,
        clock: IClock,
        metrics: Metrics,
        *,
        tolerance: Tolerance | None = None,
        refresh: float = 5.0,
        linger: float = REACH,
    ) -> None:
        self._sources = sources
        epochs = Epochs(sources)
        allowed = tolerance or Tolerance()
        self.turn_interval = refresh / REFRESH_SLOTS
        self._wheel: Wheel[UUID] = Wheel(VISIT_SLOTS)
        self._clock = clock
        # Who was told so lately can wait until the feed comes round once more.
        self._lately = refresh - VISIT_SLOTS * self.turn_interval
        back, back_in_queue = partial(metrics.came_back, "crafting"), partial(metrics.came_back, "queue")
        self._sessions = FeedTable(
            lambda key, counted: SessionFeed(key, counted, back, epochs, sources, clock, allowed, refresh),
            partial(metrics.watching, "crafting"),
            clock,
            linger,
        )
        self._queues = FeedTable(
            lambda key, counted: QueueFeed(key, counted, back_in_queue, epochs, sources, clock),
            partial(metrics.watching, "queue"),
            clock,
            linger,
        )

    def check_hearing(self) -> None:
        """Whether whoever begins to watch would be told what is, and not what was; raises as `Sources` does."""
        self._sources.check_hearing()

    def watch_session(self, session_id: UUID, watcher: IWatcher, resume: Position | None = None) -> Deferred[None]:
        """Tell `watcher` of this session, its current state first; `resume` and failures are those of `Feed.join`."""
        self._wheel.add(session_id)
        return self._sessions[session_id].join(watcher, resume)

    def unwatch_session(self, session_id: UUID, watcher: IWatcher) -> None:
        """Tell `watcher` of this session no more. Unknown ones are no error."""
        feed = self._sessions.get(session_id)
        if feed is not None:
            feed.leave(watcher)

    def session_heartbeat(self, session_id: UUID, watcher: IWatcher) -> None:
        """Tell `watcher` of this session where its feed is."""
        feed = self._sessions.get(session_id)
        if feed is not None:
            feed.send_heartbeat(watcher)

    def watch_queue(self, player_id: UUID, watcher: IWatcher, resume: Position | None = None) -> Deferred[None]:
        """Tell `watcher` of this player's places in queues, the current ones first, as `watch_session` does."""
        return self._queues[player_id].join(watcher, resume)

    def unwatch_queue(self, player_id: UUID, watcher: IWatcher) -> None:
        """Tell `watcher` of these queues no more. Unknown ones are no error."""
        feed = self._queues.get(player_id)
        if feed is not None:
            feed.leave(watcher)

    def queue_heartbeat(self, player_id: UUID, watcher: IWatcher) -> None:
        """Tell `watcher` of these queues where their feed is."""
        feed = self._queues.get(player_id)
        if feed is not None:
            feed.send_heartbeat(watcher)

    def turn(self) -> None:
        """Refresh the sessions that are due, close what was left; to be called every `turn_interval` seconds."""
        self._sessions.expire()
        self._queues.expire()
        told_before = self._clock.seconds() - self._lately
        for session_id in self._wheel.turn():
            feed = self._sessions.get(session_id)
            if feed is None:
                self._wheel.discard(session_id)
            else:
                feed.refresh(told_before)
