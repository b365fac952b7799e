"""What a returning subscriber missed: the recent changes of a feed, bounded by count and by age."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from craftnet.contract.position import HISTORY_LENGTH, HISTORY_SECONDS, NOTHING, Position, Versions, decode_versions
from craftnet.crafting.state import MaterialsChange, QueueChange
from craftnet.errors import Unavailable
from craftnet.feeds.epoch import FeedEpochs

Change = TypeVar("Change", MaterialsChange, QueueChange)


class History(Generic[Change]):
    """The newest changes, without a gap between them.

    Arguments:
        version: the present version; the changes that led to it are unknown.
    """

    __slots__ = ("_complete_from", "_kept", "_version")

    def __init__(self, version: int) -> None:
        self._version = version
        self._complete_from = version
        # (time of delivery, change). Created with the first change: most feeds have nothing to keep.
        self._kept: deque[tuple[float, Change]] | None = None

    def keep(self, change: Change, now: float) -> None:
        """Records a delivered change. One that does not follow directly replaces others, which are unknown."""
        version, self._version = self._version, change.state.version
        if self._version != version + 1:
            self._complete_from, self._kept = self._version, None
            return
        if self._kept is None:
            self._kept = deque()
        self._kept.append((now, change))
        self._forget(now)

    def since(self, version: int, now: float, recalled: Sequence[Change] = ()) -> list[Change] | None:
        """The changes after `version`, which is not newer than the present one; None when they are not all known.

        Arguments:
            recalled: the changes after it that another source remembers, in order.
        """
        self._forget(now)
        earlier = [change for change in recalled if version < change.state.version <= self._complete_from]
        if [change.state.version for change in earlier] != [*range(version + 1, self._complete_from + 1)]:
            return None
        return earlier + [change for _, change in self._kept or () if change.state.version > version]

    def _forget(self, now: float) -> None:
        kept = self._kept
        while kept and (len(kept) > HISTORY_LENGTH or kept[0][0] < now - HISTORY_SECONDS):
            self._complete_from = kept.popleft()[1].state.version


class MissedChanges(Struct, frozen=True):
    """What followed `since`, each part in its own order."""

    since: Versions
    materials: Sequence[MaterialsChange] = ()
    queue: Sequence[QueueChange] = ()


class RecentChanges(Struct, eq=False, gc=False):
    """The recent changes of a feed in one epoch. Each history is created when it is needed."""

    epoch: str
    _materials_version: int
    _queue_version: int
    _materials: History[MaterialsChange] | None = None
    _queue: History[QueueChange] | None = None

    @classmethod
    def of(cls, epoch: str, here: Versions) -> RecentChanges:
        """A new one, from `here` on."""
        return cls(epoch, here.materials, here.queue)

    @property
    def materials(self) -> History[MaterialsChange]:
        """The changes of the materials."""
        if self._materials is None:
            self._materials = History(self._materials_version)
        return self._materials

    @property
    def queue(self) -> History[QueueChange]:
        """The changes of the queue."""
        if self._queue is None:
            self._queue = History(self._queue_version)
        return self._queue

    def since(self, at: Versions, now: float, recalled: MissedChanges | None = None) -> MissedChanges | None:
        """The changes after `at`, which the feed has reached; None when not all are known."""
        earlier = recalled or MissedChanges(at)
        materials = self.materials.since(at.materials, now, earlier.materials)
        queue = self.queue.since(at.queue, now, earlier.queue)
        return None if materials is None or queue is None else MissedChanges(at, materials, queue)


NO_CHANGES = RecentChanges("", 0, 0)
"""Of an open feed that has not changed yet: of no epoch, so that it is replaced when it is needed."""


class RecoverableFeed(Protocol):
    """A feed as seen by returning watchers."""

    @property
    def past(self) -> RecentChanges | None:
        """Its recent changes in the present epoch; None when it has closed."""

    def versions(self) -> Versions:
        """Its present versions."""

    async def recall(self, since: Versions) -> MissedChanges:
        """The changes since then that the sources remember. Raises `Unavailable`."""


async def missed_changes(
    feed: RecoverableFeed, resume: Position, epochs: FeedEpochs, clock: IReactorTime
) -> MissedChanges | None:
    """What a watcher that was at `resume` receives, at once, since the feed goes on. None when that is not known.

    The feed has caught up: it has everything that the watcher may have received.
    """
    past, at = feed.past, _at(feed, resume, epochs)
    if at is None or past is None:
        return None
    known = past.since(at, clock.seconds())
    if known is not None:
        return known
    try:
        recalled = await feed.recall(at)
    except Unavailable:
        return None
    past = feed.past
    if past is None or past.epoch != resume.epoch:
        return None
    return past.since(at, clock.seconds(), recalled)


def _at(feed: RecoverableFeed, resume: Position, epochs: FeedEpochs) -> Versions | None:
    """The watcher's versions; None for another epoch, for nothing, and for what no feed can have delivered."""
    if resume.epoch != epochs.now() or resume.version == NOTHING:
        return None
    here = feed.versions()
    at = decode_versions(resume.version, here)
    return at if at is not None and here.reach(at) else None
