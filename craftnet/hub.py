"""The hub: which feeds are open. It opens a feed for its first watcher and closes it after the last."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Generic, TypeVar
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from craftnet.feeds.feed import Feed
from craftnet.feeds.queue import QueueFeed
from craftnet.feeds.session import SessionFeed
from craftnet.interfaces import IWatcher
from craftnet.model import Tolerance
from craftnet.observe.metrics import Metrics
from craftnet.sources import Sources
from craftnet.wheel import Wheel

REFRESH_SLOTS = 50
"""Into how many turns of the wheel one refresh period is cut."""

AnyFeed = TypeVar("AnyFeed", bound=Feed)


class FeedTable(Generic[AnyFeed]):
    """The open feeds of one kind.

    Arguments:
        make: builds the feed of an id; its second argument is `Feed`'s `counted`.
        counted: called with how many watchers came or went.
    """

    def __init__(self, make: Callable[[UUID, Callable[[int], None]], AnyFeed], counted: Callable[[int], None]) -> None:
        self._make = make
        self._counted = counted
        self._feeds: dict[UUID, AnyFeed] = {}

    def __getitem__(self, key: UUID) -> AnyFeed:
        """The feed of `key`, opened if need be."""
        feed = self._feeds.get(key)
        if feed is None:
            feed = self._feeds[key] = self._make(key, partial(self._watchers_changed, key))
        return feed

    def get(self, key: UUID) -> AnyFeed | None:
        """The feed of `key` if it is open."""
        return self._feeds.get(key)

    def _watchers_changed(self, key: UUID, change: int) -> None:
        self._counted(change)
        feed = self._feeds[key]
        if not feed.watched:
            del self._feeds[key]
            feed.close()


class Hub:
    """Every open feed of this process.

    Arguments:
        refresh: seconds after which a moving session is told again even if nobody needs it.
    """

    def __init__(
        self,
        sources: Sources,
        clock: IReactorTime,
        metrics: Metrics,
        *,
        tolerance: Tolerance | None = None,
        refresh: float = 5.0,
    ) -> None:
        allowed = tolerance or Tolerance()
        self.turn_interval = refresh / REFRESH_SLOTS
        self._wheel: Wheel[UUID] = Wheel(REFRESH_SLOTS)
        self._sessions = FeedTable(
            lambda key, counted: SessionFeed(key, counted, sources, clock, allowed, refresh),
            partial(metrics.watching, "crafting"),
        )
        self._queues = FeedTable(
            lambda key, counted: QueueFeed(key, counted, sources, clock), partial(metrics.watching, "queue")
        )

    def watch_session(self, session_id: UUID, watcher: IWatcher) -> Deferred[None]:
        """Tell `watcher` of this session, its current state first; fails as `Feed.join` does."""
        self._wheel.add(session_id)
        return self._sessions[session_id].join(watcher)

    def unwatch_session(self, session_id: UUID, watcher: IWatcher) -> None:
        """Tell `watcher` of this session no more. Unknown ones are no error."""
        feed = self._sessions.get(session_id)
        if feed is not None:
            feed.leave(watcher)

    def watch_queue(self, player_id: UUID, watcher: IWatcher) -> Deferred[None]:
        """Tell `watcher` of this player's places in queues, the current ones first; fails as `Feed.join` does."""
        return self._queues[player_id].join(watcher)

    def unwatch_queue(self, player_id: UUID, watcher: IWatcher) -> None:
        """Tell `watcher` of these queues no more. Unknown ones are no error."""
        feed = self._queues.get(player_id)
        if feed is not None:
            feed.leave(watcher)

    def turn(self) -> None:
        """Refresh the sessions that are due; to be called every `turn_interval` seconds."""
        for session_id in self._wheel.turn():
            feed = self._sessions.get(session_id)
            if feed is None:
                self._wheel.discard(session_id)
            else:
                feed.refresh()
