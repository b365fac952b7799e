"""What all feeds share: watchers, and the opening that the first of them sets off.

A feed listens to the sources while it has watchers. All watchers of a feed hold the same copy, so that an update is
made, and encoded, once for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from craftnet.clocks import IClock, Moment, moment
from craftnet.closecodes import CloseCode
from craftnet.epochs import Epochs
from craftnet.errors import Unavailable
from craftnet.feeds.returns import Missed, Past, missed
from craftnet.interfaces import IWatcher
from craftnet.positions import Position, Versions
from craftnet.state import MaterialsChange, QueueChange
from craftnet.updates import Update


class Feed(ABC):
    """The watchers of one thing.

    Arguments:
        key: the id of what is watched.
        counted: called with it, and how many watchers came (or, negative, went), each time after the fact, and at the
            end.
        came_back: called for each watcher that came with a position, with whether all that it missed was known.
        epochs: of the positions.
    """

    __slots__ = ("_came_back", "_clock", "_closed", "_counted", "_epochs", "_key", "_past", "_waiting", "_watchers")

    def __init__(
        self,
        key: UUID,
        counted: Callable[[UUID, int], None],
        came_back: Callable[[bool], None],
        epochs: Epochs,
        clock: IClock,
    ) -> None:
        self._key = key
        self._counted = counted
        self._came_back = came_back
        self._epochs = epochs
        self._clock = clock
        # In the order of delivery; False until the watcher has its snapshot.
        self._watchers: dict[IWatcher, bool] = {}
        self._waiting: tuple[Deferred[None], ...] = ()
        self._past: Past | None = None  # there is one while the feed is open.
        self._closed = False

    @property
    def position(self) -> Position:
        """Where the feed is."""
        return Position(self._epochs.now(), self.versions().packed)

    @property
    def past(self) -> Past | None:
        """What was told lately, in the epoch of now; None while the feed is not open."""
        if self._past is not None and self._past.epoch != self._epochs.now():
            self._past = Past(self._epochs.now(), self.versions())
        return self._past

    @property
    def resumable(self) -> bool:
        """Whether it is worth while to keep the feed open for watchers that come back."""
        return self._past is not None

    @property
    def watched(self) -> bool:
        """Whether anybody watches, or is about to."""
        return bool(self._watchers)

    def join(self, watcher: IWatcher, resume: Position | None = None) -> Deferred[None]:
        """Give `watcher` the current state, and tell it of every change from then on.

        Arguments:
            resume: where the watcher was when it was lost, here or at another node. It is told whether that is still
                known; if so, what it missed follows instead of the state.

        Returns:
            A Deferred that fires when the snapshot was delivered, or when the watcher left before that.

        Fails:
            NotFound: there is nothing to watch.
            Unavailable: a source is out of reach, or this node is behind what others may have told already.
        """
        self._watchers[watcher] = False
        self._counted(self._key, 1)
        if self._past is not None:
            return Deferred.fromCoroutine(self._greet(watcher, resume))
        waiting: Deferred[None] = Deferred()
        waiting.addCallback(lambda _: Deferred.fromCoroutine(self._greet(watcher, resume)))
        self._waiting = (*self._waiting, waiting)
        if len(self._waiting) == 1:
            Deferred.fromCoroutine(self.open()).addCallbacks(self._opened, self._failed)
        return waiting

    def leave(self, watcher: IWatcher) -> None:
        """Tell `watcher` no more. Unknown ones are no error."""
        if self._watchers.pop(watcher, None) is not None:
            self._counted(self._key, -1)

    def send_heartbeat(self, watcher: IWatcher) -> None:
        """Tell `watcher` where the feed is. One that has no snapshot yet is told nothing, and unknown ones neither."""
        if self._watchers.get(watcher):
            watcher.deliver(self.heartbeat())

    def tell(self, update: Update) -> None:
        """Deliver to every watcher that has its snapshot."""
        for watcher in tuple(self._watchers):
            if self._watchers.get(watcher):  # telling one may make another leave.
                watcher.deliver(update)

    def told_at(self, change: MaterialsChange | QueueChange) -> Moment:
        """When those who were there heard of it; now, if nobody knows."""
        now = moment(self._clock)
        return Moment(change.accepted, now.date(change.accepted)) if change.accepted else now

    def end(self, code: CloseCode) -> None:
        """The feed is over: every watcher is told, and none is left."""
        self._past = None
        for watcher in self._dismiss():
            watcher.ended(code)

    def _opened(self, _: None) -> None:
        if self._closed:
            self.unlisten()  # all left meanwhile, and parts of `open` came after `close`.
        else:
            self._past = Past(self._epochs.now(), self.versions())
        self._release(None)

    def _failed(self, failure: Failure) -> None:
        self._dismiss()
        self.unlisten()  # parts of `open` may have come after the first `close`.
        self._release(failure)

    def _dismiss(self) -> Iterable[IWatcher]:
        watchers, self._watchers = self._watchers, {}
        self._counted(self._key, -len(watchers))
        return watchers

    def _release(self, result: Failure | None) -> None:
        waiting, self._waiting = self._waiting, ()
        for deferred in waiting:
            deferred.callback(result)

    async def _greet(self, watcher: IWatcher, resume: Position | None) -> None:
        try:
            await self.caught_up()
        except Unavailable:
            if watcher not in self._watchers:
                return
            self.leave(watcher)
            raise
        lost = None if resume is None else await missed(self, resume, self._epochs, self._clock)
        if watcher not in self._watchers:
            return
        if resume is None:
            self._hand_over(watcher, self.snapshot())
            return
        self._came_back(lost is not None)
        if lost is None:
            self._hand_over(watcher, chain([self.returned(False, self.position)], self.snapshot()))
        else:
            first = [self.returned(True, resume)]
            self._hand_over(watcher, chain(first, self.again(lost), self.newest(), self.unheard(resume)))

    def _hand_over(self, watcher: IWatcher, updates: Iterable[Update]) -> None:
        """All that it is told first; then it hears every change."""
        for update in updates:
            if watcher not in self._watchers:  # being told may make it leave.
                return
            watcher.deliver(update)
        if watcher in self._watchers:
            self._watchers[watcher] = True

    def close(self) -> None:
        """Listen no more. Nobody may join any more. May be called twice."""
        self._closed = True
        self._past = None
        self.unlisten()

    @abstractmethod
    async def open(self) -> None:
        """Listen to the sources and learn the current state; raises as `join` fails."""

    @abstractmethod
    def unlisten(self) -> None:
        """Tell the sources to be silent. May be called twice."""

    @abstractmethod
    def versions(self) -> Versions:
        """Of all that the sources told."""

    @abstractmethod
    async def caught_up(self) -> None:
        """Wait until the feed has heard all that watchers may have been told elsewhere; raises `Unavailable`."""

    @abstractmethod
    async def recall(self, since: Versions) -> Missed:
        """What the sources know to have followed, as far as they do; raises `Unavailable`."""

    @abstractmethod
    def snapshot(self) -> Iterator[Update]:
        """The current state, as the watchers hold it."""

    @abstractmethod
    def newest(self) -> Iterator[Update]:
        """The part of the snapshot that replaces itself: what no history keeps, and who comes back is told anyway."""

    def unheard(self, resume: Position) -> Iterator[Update]:
        """The part of the snapshot that who was told this position was never told."""
        return iter(())

    @abstractmethod
    def again(self, lost: Missed) -> Iterator[Update]:
        """Everything that was missed, each with the position of who was told so much of it."""

    @abstractmethod
    def heartbeat(self) -> Update:
        """What says where the feed is, and nothing else."""

    @abstractmethod
    def returned(self, recovered: bool, at: Position) -> Update:
        """What tells a watcher how its return went, and where it is with this."""
