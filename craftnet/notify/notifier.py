"""Decides which players are notified: those who have no connection when something happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from msgspec.structs import replace
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.contract.events import Event, EventOutcome
from craftnet.errors import Unavailable
from craftnet.interfaces import ISharedConnectionSlots
from craftnet.notify.notices import Notice, notices
from craftnet.providers.sources import Sources


class Notifier(Service):
    """Looks at the events that the sources of this process apply.

    Arguments:
        is_connected: whether a player, in a session where there is one, has a connection to this process.
        shared: the players' connections on all nodes; None without other nodes.
        send: takes the notifications.
    """

    _log = Logger()

    def __init__(
        self,
        sources: Sources,
        is_connected: Callable[[UUID, UUID | None], bool],
        shared: ISharedConnectionSlots | None,
        send: Callable[[Notice], None],
    ) -> None:
        self._sources = sources
        self._is_connected = is_connected
        self._shared = shared
        self._send = send

    def startService(self) -> None:
        """Begins to look."""
        super().startService()
        self._sources.add_tap(self.applied)

    def applied(self, events: Sequence[Event], outcomes: Sequence[EventOutcome]) -> None:
        """Notifies of what happened by these events."""
        if not self.running:
            return
        for notice in notices(events, outcomes):
            Deferred.fromCoroutine(self._notify(notice)).addErrback(self._failed, notice)

    def _failed(self, failure: Failure, notice: Notice) -> None:
        ids: dict[str, Any] = {"session_id": notice.session_id, "player_id": notice.player_id}
        self._log.failure("a player cannot be notified", failure, **ids)

    async def _notify(self, notice: Notice) -> None:
        player_id = notice.player_id
        try:
            if player_id is None and notice.session_id is not None:
                state = await self._sources.sessions.get(notice.session_id)
                player_id = None if state is None else state.player_id
        except Unavailable:
            return  # the next back end that is asked says so in the log, and in /health.
        if player_id is None or self._is_connected(player_id, notice.session_id):
            return
        if self._shared is not None:
            # There is no other question about all nodes: whether this would be the player's only connection.
            if not await self._shared.enter(player_id, 1):
                return
            self._shared.leave(player_id)
        self._send(replace(notice, player_id=player_id))
