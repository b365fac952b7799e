"""Feeds with one session in them."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from twisted.internet.defer import Deferred, fail, succeed

from craftnet.crafting.updates import materials_snapshot, progress_update
from craftnet.errors import NotFound
from craftnet.interfaces import ISubscriber
from craftnet.tests.support.samples import AT, SESSION, running
from craftnet.tests.support.udp_lab import table


class OneSession:
    """Feeds with one session in them."""

    def __init__(self) -> None:
        self.watchers: list[ISubscriber] = []
        self.answer: Callable[[], Deferred[None]] = lambda: succeed(None)

    def subscribe_session(
        self, session_id: UUID, watcher: ISubscriber, resume: object = None, expected: bool = False
    ) -> Deferred[None]:
        """Snapshots first, as the hub does."""
        if session_id != SESSION:
            return fail(NotFound("No such session."))
        self.watchers.append(watcher)
        watcher.deliver(progress_update(running(), AT))
        watcher.deliver(materials_snapshot(table(), AT))
        return self.answer()

    def unsubscribe_session(self, session_id: UUID, watcher: ISubscriber) -> None:
        """Unknown ones are no error."""
        if watcher in self.watchers:
            self.watchers.remove(watcher)
