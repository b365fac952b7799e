"""Which sessions a player has: an index in Redis, and the listeners of this node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec
from msgspec import Struct

from craftnet.crafting.state import SessionState
from craftnet.interfaces import IPlayerListener, ISessionListener
from craftnet.providers.redis.connection import RedisConnection
from craftnet.providers.redis.key_names import KeyNames
from craftnet.providers.redis.store import Store
from craftnet.runtime.deferreds import gathered

PLAYERS_PER_READ = 200
"""Indexes that are read at once after a reconnection."""


class _Owned(Struct):
    """The part of a session's first state that says whose it is."""

    player_id: UUID


_read_owner = msgspec.json.Decoder(_Owned).decode


class PlayerIndex:
    """The index, and the players who are watched on this node.

    A node of an earlier version does not maintain the index: a session may be missing from it until the next one of its
    player starts, and an ended one may still be in it.
    """

    def __init__(
        self,
        keys: KeyNames,
        link: RedisConnection,
        store: Store[SessionState | None, SessionState | None, ISessionListener],
    ) -> None:
        self._keys = keys
        self._link = link
        self._store = store
        self._listeners: dict[UUID, dict[IPlayerListener, None]] = {}

    def __bool__(self) -> bool:
        """Whether any player is watched."""
        return bool(self._listeners)

    def add(self, player_id: UUID, listener: IPlayerListener) -> None:
        """Adds a listener."""
        self._listeners.setdefault(player_id, {})[listener] = None

    def remove(self, player_id: UUID, listener: IPlayerListener) -> None:
        """Removes a listener. Unknown ones are ignored."""
        listeners = self._listeners.get(player_id, {})
        listeners.pop(listener, None)
        if not listeners:
            self._listeners.pop(player_id, None)

    async def under_way(self, player_id: UUID) -> Sequence[UUID]:
        """The player's sessions that have started and not ended, oldest first.

        Raises:
            Unavailable: Redis does not answer.
        """
        found = []
        for session_id in await self._listed(player_id):
            state = (await self._store.look(session_id)).state
            if state is None or state.progress.status.terminal:
                await self._link.ask("ZREM", self._keys.player_sessions(player_id), str(session_id))
            else:
                found.append(session_id)
        return found

    def changed(self, fields: Mapping[bytes, bytes]) -> None:
        """Handles a change in a stream: the first one of a watched player's session is its start.

        Raises:
            KeyError, ValueError, msgspec.DecodeError: the change is not craftnet's.
        """
        if self._listeners and fields[b"version"] == b"1" and fields[b"kind"] == b"session":
            self._notify(_read_owner(fields[b"change"]).player_id, [UUID(fields[b"id"].decode())])

    async def compare(self) -> None:
        """Notifies all listeners of all sessions, because starts may have been missed.

        Raises:
            Unavailable: Redis does not answer.
        """
        players = list(self._listeners)
        while players:
            some, players = players[:PLAYERS_PER_READ], players[PLAYERS_PER_READ:]
            found = await gathered(self._listed(one) for one in some)
            for player_id, sessions in zip(some, found, strict=True):
                self._notify(player_id, sessions)

    async def _listed(self, player_id: UUID) -> list[UUID]:
        """The entries of the index."""
        answer: list[bytes] = await self._link.ask("ZRANGE", self._keys.player_sessions(player_id), 0, -1)
        return [UUID(text.decode()) for text in answer]

    def _notify(self, player_id: UUID, sessions: Sequence[UUID]) -> None:
        for session_id in sessions:
            for listener in tuple(self._listeners.get(player_id, ())):
                listener.session_started(session_id)
