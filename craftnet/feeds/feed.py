"""The common part of all feeds: watchers, and the opening that the first of them triggers.

A feed listens to the sources while it has watchers. All watchers of a feed hold the same copy, so that an update is
made and encoded once for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from craftnet.clocks import IClock, Moment, moment
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.position import NOTHING, Position, Versions
from craftnet.crafting.state import MaterialsChange, QueueChange
from craftnet.crafting.updates import Update, whole_or_nothing
from craftnet.errors import Unavailable
from craftnet.feeds.epoch import FeedEpochs
from craftnet.feeds.recovery import NO_CHANGES, MissedChanges, RecentChanges, missed_changes
from craftnet.interfaces import ISubscriber
from craftnet.providers.sources import Sources
from craftnet.runtime.deferreds import Waiters, start


class DeliveryTracer(Protocol):
    """Delivers updates, with spans where their events are traced."""

    def deliver(self, update: Update, subscribers: Iterable[ISubscriber]) -> None:
        """Delivers `update` to each of `subscribers`, in order."""


class FeedContext(Struct, frozen=True):
    """Shared by all feeds of one kind: a feed is small, since each watched session has one.

    Attributes:
        counted: called with the key and the number of watchers added (or, negative, removed), after each change.
        came_back: called for each watcher that resumes, with whether everything it missed was known.
        epochs: the epochs of positions.
        tracer: delivers updates with spans; None: without.
    """

    counted: Callable[[UUID, int], None]
    came_back: Callable[[bool], None]
    epochs: FeedEpochs
    sources: Sources
    clock: IClock
    tracer: DeliveryTracer | None = None


AnyContext = TypeVar("AnyContext", bound=FeedContext)


class Feed(ABC, Generic[AnyContext]):
    """The watchers of one thing.

    Arguments:
        key: the id of what is watched.
    """

    __slots__ = ("_closed", "_context", "_greeted", "_key", "_opening", "_past", "_waiting")

    def __init__(self, key: UUID, context: AnyContext) -> None:
        self._key = key
        self._context = context
        # Tuples, since nearly every feed has one watcher: a dict of one takes four times the memory.
        self._greeted: tuple[ISubscriber, ...] = ()  # those that have their snapshot, in the order of delivery.
        self._waiting: tuple[ISubscriber, ...] = ()  # those that wait for it.
        self._opening: Waiters[None] | None = None  # while the sources are asked.
        self._past: RecentChanges | None = None  # set while the feed is open.
        self._closed = False

    @property
    def position(self) -> Position:
        """The present position of the feed."""
        return Position(self._context.epochs.now(), self.versions().encoded)

    @property
    def past(self) -> RecentChanges | None:
        """The recent changes in the present epoch; None while the feed is not open.

        A change is kept in the value from before it: nothing is kept of a feed before its first change.
        """
        past, epoch = self._past, self._context.epochs.now()
        if past is not None and past.epoch != epoch:
            past = self._past = RecentChanges.of(epoch, self.versions())
        return past

    @property
    def resumable(self) -> bool:
        """Whether keeping the feed open for returning watchers is worthwhile."""
        return self._past is not None

    @property
    def subscribed(self) -> bool:
        """Whether there are watchers, or some are about to be added."""
        return bool(self._greeted or self._waiting)

    @property
    def subscribers(self) -> tuple[ISubscriber, ...]:
        """Those that have their snapshot, or wait for it."""
        return self._greeted + self._waiting

    def subscribe(self, subscriber: ISubscriber, resume: Position | None = None) -> Deferred[None]:
        """Gives `subscriber` the current state and every change from then on.

        Arguments:
            resume: the watcher's last position, from this node or another. The watcher learns whether the changes since
                then are known; if so, they follow instead of the state.

        Returns:
            A Deferred that fires when the snapshot was delivered, or when the watcher left before that.

        Fails:
            NotFound: there is nothing to watch.
            Unavailable: a source is unreachable, or this node lags behind what others may have delivered.
        """
        self._waiting += (subscriber,)
        self._context.counted(self._key, 1)
        return start(self._greet_when_open(subscriber, resume))

    async def _greet_when_open(self, subscriber: ISubscriber, resume: Position | None) -> None:
        """Opens the feed, unless it is open, and greets the watcher."""
        if self._past is None:
            opening = self._opening or Waiters()
            opened = opening.wait()
            if self._opening is None:
                self._opening = opening
                start(self.open()).addCallbacks(self._opened, self._failed)
            await opened
        await self._greet(subscriber, resume)

    def unsubscribe(self, subscriber: ISubscriber) -> None:
        """Removes `subscriber`. Unknown ones are ignored."""
        if subscriber in self._greeted:
            self._greeted = _without(subscriber, self._greeted)
        elif subscriber in self._waiting:
            self._waiting = _without(subscriber, self._waiting)
        else:
            return
        self._context.counted(self._key, -1)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        """Sends `subscriber` the feed's position. Does nothing when it is unknown or has no snapshot yet."""
        if subscriber in self._greeted:
            subscriber.deliver(self.heartbeat())

    def broadcast(self, update: Update) -> None:
        """Delivers an update to every watcher that has its snapshot."""
        tracer = self._context.tracer
        if tracer is not None:
            tracer.deliver(update, self._recipients())
            return
        greeted = self._greeted
        for subscriber in greeted:
            if greeted is self._greeted or subscriber in self._greeted:  # delivering to one may remove another.
                subscriber.deliver(update)

    def broadcast_to(self, update: Update, subscribers: Iterable[ISubscriber]) -> None:
        """Delivers an update to those of `subscribers` that have their snapshot, in order."""
        recipients = (subscriber for subscriber in subscribers if subscriber in self._greeted)
        tracer = self._context.tracer
        if tracer is not None:
            tracer.deliver(update, recipients)
            return
        for subscriber in recipients:
            subscriber.deliver(update)

    def _recipients(self) -> Iterator[ISubscriber]:
        """The watchers that have their snapshot, each when it is its turn."""
        for subscriber in self._greeted:
            if subscriber in self._greeted:
                yield subscriber

    def position_of(self, change: MaterialsChange | QueueChange) -> Moment:
        """When the watchers of that time received the change; now, if unknown."""
        now = moment(self._context.clock)
        return Moment(change.accepted, now.date(change.accepted)) if change.accepted else now

    def end(self, code: CloseCode) -> None:
        """Ends the feed: closes and removes every watcher."""
        self._past = None
        for subscriber in self._dismiss():
            subscriber.ended(code)

    def _opened(self, _: None) -> None:
        if self._closed:
            self.unlisten()  # all watchers left meanwhile, and parts of `open` ran after `close`.
        else:
            self._past = NO_CHANGES
        self._release(None)

    def _failed(self, failure: Failure) -> None:
        self._dismiss()
        self.unlisten()  # parts of `open` may have run after the first `close`.
        self._release(failure)

    def _dismiss(self) -> Iterable[ISubscriber]:
        subscribers, self._greeted, self._waiting = self.subscribers, (), ()
        self._context.counted(self._key, -len(subscribers))
        return subscribers

    def _release(self, result: Failure | None) -> None:
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.release(result)

    async def _greet(self, subscriber: ISubscriber, resume: Position | None) -> None:
        try:
            await self.caught_up()
        except Unavailable:
            if subscriber not in self._waiting:
                return
            self.unsubscribe(subscriber)
            raise
        lost = None if resume is None else await missed_changes(self, resume, self._context.epochs, self._context.clock)
        if subscriber not in self._waiting:
            return
        self._hand_over(
            subscriber,
            whole_or_nothing([*self.snapshot(subscriber)])
            if resume is None
            else self._return(subscriber, resume, lost),
        )

    def _return(self, subscriber: ISubscriber, resume: Position, lost: MissedChanges | None) -> Iterable[Update]:
        """What a returning watcher receives; `lost` is what it missed, where that is known."""
        if resume.version != NOTHING:  # else it has nothing yet, and asks for a first position.
            self._context.came_back(lost is not None)
        if lost is None:
            updates = [self.returned(False, self.position), *self.snapshot(subscriber)]
        else:
            newest = self.newest(subscriber)
            updates = [self.returned(True, resume), *self.again(lost), *newest, *self.unheard(resume)]
        if (lost is not None and not resume.over_udp) or len(updates) == 1:
            return updates
        # The position follows in a message of its own: an encoding may have no room for it in the last part, and a
        # connection that is lost before must not resume after parts that it never received.
        return whole_or_nothing([*updates, self.heartbeat()])

    def _hand_over(self, subscriber: ISubscriber, updates: Iterable[Update]) -> None:
        """Delivers the first updates; from then on the watcher receives every change."""
        for update in updates:
            if subscriber not in self._waiting:  # a delivery may remove it.
                return
            subscriber.deliver(update)
        if subscriber in self._waiting:
            self._waiting = _without(subscriber, self._waiting)
            self._greeted += (subscriber,)

    def close(self) -> None:
        """Stops listening and accepts no more watchers. May be called twice."""
        self._closed = True
        self._past = None
        self.unlisten()

    @abstractmethod
    async def open(self) -> None:
        """Listens to the sources and reads the current state; raises as `subscribe` fails."""

    @abstractmethod
    def unlisten(self) -> None:
        """Stops listening to the sources. May be called twice."""

    @abstractmethod
    def versions(self) -> Versions:
        """The versions of everything that the sources reported."""

    @abstractmethod
    async def caught_up(self) -> None:
        """Waits until the feed has everything that watchers may have received elsewhere; raises `Unavailable`."""

    @abstractmethod
    async def recall(self, since: Versions) -> MissedChanges:
        """The changes since then that the sources remember; raises `Unavailable`."""

    @abstractmethod
    def snapshot(self, subscriber: ISubscriber) -> Iterator[Update]:
        """The current state, as the watchers hold it, for one that is added."""

    @abstractmethod
    def newest(self, subscriber: ISubscriber) -> Iterator[Update]:
        """The part of the snapshot that replaces itself: no history keeps it, and every returning watcher gets it."""

    def unheard(self, resume: Position) -> Iterator[Update]:
        """The part of the snapshot that a watcher with this position never received."""
        return iter(())

    @abstractmethod
    def again(self, lost: MissedChanges) -> Iterator[Update]:
        """Everything that was missed, each change with the position that it leads to."""

    @abstractmethod
    def heartbeat(self) -> Update:
        """An update that contains nothing but the feed's position."""

    @abstractmethod
    def returned(self, recovered: bool, at: Position) -> Update:
        """The update that says how a return went, and the position that it leads to."""


def _without(subscriber: ISubscriber, subscribers: tuple[ISubscriber, ...]) -> tuple[ISubscriber, ...]:
    at = subscribers.index(subscriber)
    return subscribers[:at] + subscribers[at + 1 :]
