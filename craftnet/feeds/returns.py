"""What a returning watcher missed, perhaps while it was away from another node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime

from craftnet.epochs import Epochs
from craftnet.errors import Unavailable
from craftnet.feeds.history import History
from craftnet.positions import Position, Versions, unpacked
from craftnet.state import MaterialsChange, QueueChange


class Missed(Struct, frozen=True):
    """What followed `since`, each part in its own order."""

    since: Versions
    materials: Sequence[MaterialsChange] = ()
    queue: Sequence[QueueChange] = ()


class Past:
    """The recent changes of a feed in one epoch, from `here` on."""

    __slots__ = ("epoch", "materials", "queue")

    def __init__(self, epoch: str, here: Versions) -> None:
        self.epoch = epoch
        self.materials: History[MaterialsChange] = History(here.materials)
        self.queue: History[QueueChange] = History(here.queue)

    def since(self, at: Versions, now: float, recalled: Missed | None = None) -> Missed | None:
        """The changes after `at`, which the feed has reached; None when not all are known."""
        earlier = recalled or Missed(at)
        materials = self.materials.since(at.materials, now, earlier.materials)
        queue = self.queue.since(at.queue, now, earlier.queue)
        return None if materials is None or queue is None else Missed(at, materials, queue)


class Returnable(Protocol):
    """A feed as seen by returning watchers."""

    @property
    def past(self) -> Past | None:
        """Its recent changes in the present epoch; None when it has closed."""

    def versions(self) -> Versions:
        """Its present versions."""

    async def recall(self, since: Versions) -> Missed:
        """The changes since then that the sources remember. Raises `Unavailable`."""


async def missed(feed: Returnable, resume: Position, epochs: Epochs, clock: IReactorTime) -> Missed | None:
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


def _at(feed: Returnable, resume: Position, epochs: Epochs) -> Versions | None:
    """The watcher's versions; None for another epoch, and for a position that no feed can have delivered."""
    if resume.epoch != epochs.now():
        return None
    here = feed.versions()
    at = unpacked(resume.version, here)
    return at if at is not None and here.reach(at) else None
