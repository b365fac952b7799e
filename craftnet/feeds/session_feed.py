"""The feed of one crafting session: its progress, its materials, and its queue entry while it waits."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from math import inf
from uuid import UUID

from msgspec.structs import replace
from zope.interface import implementer

from craftnet.clocks import Moment, moment
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.messages import QueueMessageType
from craftnet.contract.position import Position, Versions
from craftnet.crafting.progress import Tolerance, misled_by, rebase
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.crafting.updates import (
    Update,
    materials_snapshot,
    materials_update,
    progress_update,
    session_heartbeat,
    session_queue_update,
    session_return,
)
from craftnet.errors import no_session
from craftnet.feeds.feed import Feed, FeedContext
from craftnet.feeds.recovery import MissedChanges
from craftnet.interfaces import IMaterialListener, IQueueListener, ISessionListener, ISubscriber
from craftnet.observe.metrics.store import Distribution


class SessionFeedContext(FeedContext, frozen=True, kw_only=True):
    """Shared by the feeds of all sessions.

    Attributes:
        tolerance: how wrong the watchers' copy of the progress may be.
        horizon: seconds for which the copy must stay within it; the session is refreshed after that anyway.
        corrections: counts the points of progress by which the copy was wrong, at each correction.
    """

    tolerance: Tolerance
    horizon: float
    corrections: Distribution


@implementer(ISessionListener, IMaterialListener, IQueueListener)
class SessionFeed(Feed[SessionFeedContext]):
    """The feed of one session."""

    __slots__ = ("_held", "_materials", "_owner", "_queue", "_truth")

    def __init__(self, session_id: UUID, context: SessionFeedContext) -> None:
        super().__init__(session_id, context)
        self._owner: UUID | None = None
        self._truth: SessionState | None = None
        # The model from which the watchers extrapolate; may differ from the truth within the tolerance.
        self._held: SessionState | None = None
        self._materials = MaterialsState(session_id)
        self._queue: QueueState | None = None

    async def open(self) -> None:
        """As in `Feed`. A session that only waits in a queue is one as well."""
        state = await self._context.sources.sessions.watch(self._key, self)
        if state is not None and (self._truth is None or self._truth.version < state.version):
            self._truth = state
        entry = None if self._truth else await self._context.sources.queues.find(self._key)
        if self._truth is not None:  # it may have started during the look-up of its entry.
            self._owner = self._truth.player_id
        elif entry is not None:
            self._owner = entry.player_id
        else:
            raise no_session()
        materials = await self._context.sources.materials.watch(self._key, self)
        if self._materials.version < materials.version:
            self._materials = materials
        queue = await self._context.sources.queues.watch(self._owner, self)
        if self.versions().queue < queue.version:  # nothing is kept of a player who never queued.
            self._queue = queue

    def unlisten(self) -> None:
        """As in `Feed`."""
        self._context.sources.sessions.unwatch(self._key, self)
        self._context.sources.materials.unwatch(self._key, self)
        if self._owner is not None:
            self._context.sources.queues.unwatch(self._owner, self)

    def versions(self) -> Versions:
        """As in `Feed`."""
        session = 0 if self._truth is None else self._truth.version
        return Versions(session, self._materials.version, 0 if self._queue is None else self._queue.version)

    async def caught_up(self) -> None:
        """As in `Feed`."""
        await self._context.sources.caught_up(self._key, self._owner)

    async def recall(self, since: Versions) -> MissedChanges:
        """As in `Feed`: the newer changes of each part for which the feed's own history has a gap."""
        materials: Sequence[MaterialsChange] = ()
        queue: Sequence[QueueChange] = ()
        if since.materials < self._materials.version:
            materials = await self._context.sources.recall_materials(self._key, since.materials)
        if self._owner is not None and since.queue < self.versions().queue:
            queue = await self._context.sources.recall_queue(self._owner, since.queue)
        return MissedChanges(since, materials, queue)

    def snapshot(self, subscriber: ISubscriber) -> Iterator[Update]:
        """As in `Feed`: progress, then the queue, then the materials."""
        now, at = moment(self._context.clock), self.position
        yield from self.newest(subscriber)
        yield from self._queue_entries()
        if self._materials.version:
            yield materials_snapshot(self._materials, now, at)

    def newest(self, subscriber: ISubscriber) -> Iterator[Update]:
        """As in `Feed`: the progress."""
        if self._held is None:
            self._held = self._truth
        if self._held is not None:
            yield progress_update(self._held, moment(self._context.clock), None, self.position)

    def unheard(self, resume: Position) -> Iterator[Update]:
        """As in `Feed`: UDP delivers nothing about queues."""
        if resume.over_udp:
            yield from self._queue_entries()

    def again(self, lost: MissedChanges) -> Iterator[Update]:
        """As in `Feed`: the materials, then the queue."""
        epoch, at = self.position.epoch, lost.since
        for change in lost.materials:
            at = replace(at, materials=change.state.version)
            yield materials_update(change, self.position_of(change), None, Position(epoch, at.encoded))
        for queued in lost.queue:
            at = replace(at, queue=queued.state.version)
            if self._concerns(queued.entry):
                yield session_queue_update(
                    self._key, queued, self.position_of(queued), None, Position(epoch, at.encoded)
                )

    def heartbeat(self) -> Update:
        """As in `Feed`."""
        return session_heartbeat(self._key, moment(self._context.clock), self.position)

    def returned(self, recovered: bool, at: Position) -> Update:
        """As in `Feed`."""
        return session_return(self._key, recovered, moment(self._context.clock), at)

    def refresh(self, sent_before: float = inf) -> None:
        """Sends the watchers the truth again if it moves, whether they need it or not.

        Arguments:
            sent_before: unless they received an update at or after this moment of the steady clock, seconds.
        """
        truth, held = self._truth, self._held
        if truth is None or not self.subscribed or not truth.progress.moving:
            return
        if held is None or held.progress.anchor < sent_before:
            self._broadcast_progress(truth, self._context.clock.seconds(), None)

    def session_changed(self, state: SessionState | None) -> None:
        """As in `ISessionListener`."""
        if state is None:
            self.end(CloseCode.NORMAL)
            return
        context = self._context
        self._truth, held, now = state, self._held, context.clock.seconds()
        if held is not None:
            off = misled_by(held.progress, state.progress, now, now + context.horizon, context.tolerance)
            if off is None:
                return
            corrections = context.corrections  # written out, since a call takes longer.
            corrections.total += off
            corrections.counts[bisect_left(corrections.bounds, off)] += 1
        self._broadcast_progress(state, now, state.accepted)

    def materials_changed(self, change: MaterialsChange) -> None:
        """As in `IMaterialListener`."""
        past = self.past
        self._materials, now = change.state, moment(self._context.clock)
        at = self.position
        if past is not None:
            past.materials.keep(change, now.steady)
        self.broadcast(materials_update(change, now, change.accepted, at))

    def queue_changed(self, change: QueueChange) -> None:
        """As in `IQueueListener`."""
        past = self.past
        self._queue, now = change.state, moment(self._context.clock)
        at = self.position
        if past is not None:
            past.queue.keep(change, now.steady)
        if self._concerns(change.entry):
            self.broadcast(session_queue_update(self._key, change, now, change.accepted, at))

    def queue_reset(self, state: QueueState) -> None:
        """As in `IQueueListener`."""
        self._queue = state

    def _queue_entries(self) -> Iterator[Update]:
        """The session's queue entries, each as if it were news."""
        if self._queue is not None:
            now, at = moment(self._context.clock), self.position
            for entry in filter(self._concerns, self._queue.entries):
                change = QueueChange(self._queue, entry, QueueMessageType.QUEUE_POSITION, True)
                yield session_queue_update(self._key, change, now, None, at)

    def _concerns(self, entry: QueueEntry) -> bool:
        """Whether an entry concerns this session: one without a session concerns all of the player's."""
        return entry.session_id is None or entry.session_id == self._key

    def _broadcast_progress(self, state: SessionState, now: float, accepted: float | None) -> None:
        self._held = held = replace(state, progress=rebase(state.progress, now))
        self.broadcast(progress_update(held, Moment(now, self._context.clock.wall()), accepted, self.position))
