"""Adds the sessions of a player to the connections that asked for all of them, as the sessions start."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.interfaces import IPlayerListener, IPlayerSessions
from craftnet.protocols.udp.server.connection import ServerConnection

RETRY_DELAY = 5.0
"""Seconds until the sessions of a player are asked for again, when they could not be read."""

Add = Callable[[ServerConnection, UUID], None]
"""Adds a session to a connection."""


@implementer(IPlayerListener)
class _FollowingConnection:
    """One connection."""

    def __init__(self, peer: ServerConnection, add: Add) -> None:
        self._peer = peer
        self._add = add
        self._known: set[UUID] = set()

    def session_started(self, session_id: UUID) -> None:
        """As in `IPlayerListener`. Each session is added once: the client may have left it since."""
        if session_id not in self._known:
            self._known.add(session_id)
            self._add(self._peer, session_id)


class FollowedPlayers:
    """The open connections that asked for all sessions of their player.

    Arguments:
        sessions: knows the sessions of a player.
        add: called with each session that a connection may lack.
    """

    _log = Logger()

    def __init__(self, sessions: IPlayerSessions, add: Add, clock: IReactorTime) -> None:
        self._sessions = sessions
        self._add = add
        self._clock = clock
        self._followers: dict[ServerConnection, _FollowingConnection] = {}

    def __len__(self) -> int:
        return len(self._followers)

    def opened(self, peer: ServerConnection) -> None:
        """Adds the sessions that are under way, and from now on each that starts."""
        follower = self._followers[peer] = _FollowingConnection(peer, self._add)
        self._follow(peer, follower)

    def gone(self, peer: ServerConnection) -> None:
        """The connection is closed."""
        follower = self._followers.pop(peer, None)
        if follower is not None:
            self._sessions.unwatch_player(peer.player_id, follower)

    def _follow(self, peer: ServerConnection, follower: _FollowingConnection) -> None:
        if self._followers.get(peer) is follower:
            following = Deferred.fromCoroutine(self._add_all(peer, follower))
            following.addErrback(self._not_followed, peer, follower)

    async def _add_all(self, peer: ServerConnection, follower: _FollowingConnection) -> None:
        under_way = await self._sessions.watch_player(peer.player_id, follower)
        if self._followers.get(peer) is not follower:
            self._sessions.unwatch_player(peer.player_id, follower)  # the connection closed meanwhile.
            return
        for session_id in under_way:
            follower.session_started(session_id)

    def _not_followed(self, failure: Failure, peer: ServerConnection, follower: _FollowingConnection) -> None:
        if not failure.check(Unavailable):
            self._log.failure("the sessions of a player could not be followed", failure)
        self._clock.callLater(RETRY_DELAY, self._follow, peer, follower)
