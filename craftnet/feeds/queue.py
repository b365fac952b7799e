"""The feed of one player's places in queues, at all stations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from uuid import UUID

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.feeds.feed import Feed
from craftnet.feeds.places import Places
from craftnet.interfaces import IQueueListener
from craftnet.messages import QueueNews
from craftnet.sources import Sources
from craftnet.state import QueueChange
from craftnet.updates import Update, queue_update


@implementer(IQueueListener)
class QueueFeed(Feed):
    """One player."""

    def __init__(self, player_id: UUID, counted: Callable[[int], None], sources: Sources, clock: IReactorTime) -> None:
        super().__init__(counted)
        self._player_id = player_id
        self._sources = sources
        self._clock = clock
        self._places = Places()

    async def open(self) -> None:
        """As in `Feed`. A player in no queue can be watched, too."""
        self._places.answered(await self._sources.queues.watch(self._player_id, self))

    def close(self) -> None:
        """As in `Feed`."""
        self._sources.queues.unwatch(self._player_id, self)

    def snapshot(self) -> Iterator[Update]:
        """As in `Feed`: one update for each station."""
        now = self._clock.seconds()
        for entry in self._places:
            yield queue_update(QueueChange(entry, QueueNews.QUEUE_POSITION, True), now)

    def queue_changed(self, change: QueueChange) -> None:
        """As in `IQueueListener`."""
        self._places.changed(change)
        self.tell(queue_update(change, self._clock.seconds(), change.accepted))
