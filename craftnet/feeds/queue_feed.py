"""The feed of one player's queue entries at all stations."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from zope.interface import implementer

from craftnet.clocks import moment
from craftnet.contract.messages import QueueMessageType
from craftnet.contract.position import Position, Versions
from craftnet.crafting.state import QueueChange, QueueState
from craftnet.crafting.updates import Update, queue_heartbeat, queue_return, queue_update
from craftnet.feeds.feed import Feed, FeedContext
from craftnet.feeds.recovery import MissedChanges
from craftnet.interfaces import IQueueListener, ISubscriber


@implementer(IQueueListener)
class QueueFeed(Feed[FeedContext]):
    """The feed of one player."""

    __slots__ = ("_queue",)

    def __init__(self, player_id: UUID, context: FeedContext) -> None:
        super().__init__(player_id, context)
        self._queue = QueueState(player_id)

    async def open(self) -> None:
        """As in `Feed`. A player without queue entries can be watched as well."""
        queue = await self._context.sources.queues.watch(self._key, self)
        if self._queue.version < queue.version:
            self._queue = queue

    def unlisten(self) -> None:
        """As in `Feed`."""
        self._context.sources.queues.unwatch(self._key, self)

    def versions(self) -> Versions:
        """As in `Feed`."""
        return Versions(queue=self._queue.version)

    async def caught_up(self) -> None:
        """As in `Feed`."""
        await self._context.sources.caught_up(None, self._key)

    async def recall(self, since: Versions) -> MissedChanges:
        """As in `Feed`."""
        return MissedChanges(since, queue=await self._context.sources.recall_queue(self._key, since.queue))

    def snapshot(self, subscriber: ISubscriber) -> Iterator[Update]:
        """As in `Feed`: one update for each station."""
        now, at = moment(self._context.clock), self.position
        for entry in self._queue.entries:
            yield queue_update(QueueChange(self._queue, entry, QueueMessageType.QUEUE_POSITION, True), now, None, at)

    def newest(self, subscriber: ISubscriber) -> Iterator[Update]:
        """As in `Feed`: empty, since every move is kept."""
        return iter(())

    def again(self, lost: MissedChanges) -> Iterator[Update]:
        """As in `Feed`."""
        for change in lost.queue:
            at = Position(self.position.epoch, Versions(queue=change.state.version).encoded)
            yield queue_update(change, self.position_of(change), None, at)

    def heartbeat(self) -> Update:
        """As in `Feed`."""
        return queue_heartbeat(self._key, moment(self._context.clock), self.position)

    def returned(self, recovered: bool, at: Position) -> Update:
        """As in `Feed`."""
        return queue_return(self._key, recovered, moment(self._context.clock), at)

    def queue_changed(self, change: QueueChange) -> None:
        """As in `IQueueListener`."""
        past = self.past
        self._queue, now = change.state, moment(self._context.clock)
        at = self.position
        if past is not None:
            past.queue.keep(change, now.steady)
        self.broadcast(queue_update(change, now, change.accepted, at))

    def queue_reset(self, state: QueueState) -> None:
        """As in `IQueueListener`."""
        self._queue = state
