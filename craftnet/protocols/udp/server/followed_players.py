"""Adds the sessions of a player to the connections that asked for all of them, as the sessions start."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.interfaces import IPlayerListener, IPlayerSessions
from craftnet.protocols.udp.server.connection import ServerConnection
from craftnet.runtime.deferreds import RestartedTask

RETRY_DELAY = 5.0
"""Seconds until the sessions of a player are asked for again, when they could not be read."""

Add = Callable[[ServerConnection, UUID], None]
"""Adds a session to a connection."""


@implementer(IPlayerListener)
class _FollowingConnection:
    """One connection."""

    def __init__(self, sessions: IPlayerSessions, peer: ServerConnection, add: Add, clock: IReactorTime) -> None:
        self._sessions = sessions
        self._peer = peer
        self._add = add
        self._known: set[UUID] = set()
        self._following = RestartedTask(
            self._add_all, "following a player's sessions", RETRY_DELAY, clock, expected=(Unavailable,), once=True
        )

    def start(self) -> None:
        """Adds the sessions that are under way, and from now on each that starts."""
        self._following.start()

    def stop(self) -> None:
        """Adds no more."""
        self._following.stop()
        self._sessions.unwatch_player(self._peer.player_id, self)

    def session_started(self, session_id: UUID) -> None:
        """As in `IPlayerListener`. Each session is added once: the client may have left it since."""
        if session_id not in self._known:
            self._known.add(session_id)
            self._add(self._peer, session_id)

    async def _add_all(self) -> None:
        for session_id in await self._sessions.watch_player(self._peer.player_id, self):
            self.session_started(session_id)


class FollowedPlayers:
    """The open connections that asked for all sessions of their player.

    Arguments:
        sessions: knows the sessions of a player.
        add: called with each session that a connection may lack.
    """

    def __init__(self, sessions: IPlayerSessions, add: Add, clock: IReactorTime) -> None:
        self._sessions = sessions
        self._add = add
        self._clock = clock
        self._followers: dict[ServerConnection, _FollowingConnection] = {}

    def __len__(self) -> int:
        return len(self._followers)

    def opened(self, peer: ServerConnection) -> None:
        """Adds the sessions that are under way, and from now on each that starts."""
        follower = self._followers[peer] = _FollowingConnection(self._sessions, peer, self._add, self._clock)
        follower.start()

    def gone(self, peer: ServerConnection) -> None:
        """The connection is closed."""
        follower = self._followers.pop(peer, None)
        if follower is not None:
            follower.stop()
