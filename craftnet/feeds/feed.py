"""What all feeds share: watchers, and the opening that the first of them sets off.

A feed listens to the sources while it has watchers. All watchers of a feed hold the same copy, so that an update is
made, and encoded, once for all of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator

from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from craftnet.closecodes import CloseCode
from craftnet.interfaces import IWatcher
from craftnet.updates import Update


class Feed(ABC):
    """The watchers of one thing.

    Arguments:
        counted: called with how many watchers came (or, negative, went), each time after the fact.
    """

    def __init__(self, counted: Callable[[int], None]) -> None:
        self._counted = counted
        # In the order of delivery; False until the watcher has its snapshot.
        self._watchers: dict[IWatcher, bool] = {}
        self._waiting: list[Deferred[None]] = []
        self._open = False

    @property
    def watched(self) -> bool:
        """Whether anybody watches, or is about to."""
        return bool(self._watchers)

    def join(self, watcher: IWatcher) -> Deferred[None]:
        """Give `watcher` the current state, and tell it of every change from then on.

        Returns:
            A Deferred that fires when the snapshot was delivered, or when the watcher left before that.

        Fails:
            NotFound: there is nothing to watch.
            Unavailable: a source is out of reach.
        """
        self._watchers[watcher] = False
        self._counted(1)
        if self._open:
            self._greet(watcher)
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        waiting.addCallback(lambda _: self._greet(watcher))
        self._waiting.append(waiting)
        if len(self._waiting) == 1:
            Deferred.fromCoroutine(self.open()).addCallbacks(self._opened, self._failed)
        return waiting

    def leave(self, watcher: IWatcher) -> None:
        """Tell `watcher` no more. Unknown ones are no error."""
        if self._watchers.pop(watcher, None) is not None:
            self._counted(-1)

    def tell(self, update: Update) -> None:
        """Deliver to every watcher that has its snapshot."""
        for watcher in tuple(self._watchers):
            if self._watchers.get(watcher):  # telling one may make another leave.
                watcher.deliver(update)

    def end(self, code: CloseCode) -> None:
        """The feed is over: every watcher is told, and none is left."""
        for watcher in self._dismiss():
            watcher.ended(code)

    def _opened(self, _: None) -> None:
        self._open = True
        if not self._watchers:
            self.close()  # all left meanwhile, and parts of `open` came after the first `close`.
        self._release(None)

    def _failed(self, failure: Failure) -> None:
        self._dismiss()
        self.close()  # parts of `open` may have come after the first `close`.
        self._release(failure)

    def _dismiss(self) -> Iterable[IWatcher]:
        watchers, self._watchers = self._watchers, {}
        if watchers:
            self._counted(-len(watchers))
        return watchers

    def _release(self, result: Failure | None) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred in waiting:
            deferred.callback(result)

    def _greet(self, watcher: IWatcher) -> None:
        for update in self.snapshot():
            if watcher in self._watchers:  # being told may make it leave.
                watcher.deliver(update)
        if watcher in self._watchers:
            self._watchers[watcher] = True

    @abstractmethod
    async def open(self) -> None:
        """Listen to the sources and learn the current state; raises as `join` fails."""

    @abstractmethod
    def close(self) -> None:
        """Listen no more. May be called twice."""

    @abstractmethod
    def snapshot(self) -> Iterator[Update]:
        """The current state, as the watchers hold it."""
