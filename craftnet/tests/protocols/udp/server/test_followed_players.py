"""Tests for `craftnet.protocols.udp.server.followed_players`; `test_followed_player` has the real client."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.interfaces import IPlayerListener, IPlayerSessions
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import PLAIN
from craftnet.protocols.udp.server.connection import ServerConnection, Terms
from craftnet.protocols.udp.server.followed_players import RETRY_DELAY, FollowedPlayers
from craftnet.protocols.udp.server.tickets import Ticket
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION
from craftnet.tests.support.udp_lab import channels


@implementer(IPlayerSessions)
class LateSessions:
    """Answers when the test says so.

    Attributes:
        asked: the answers that are waited for.
        listeners: those that were not removed.
    """

    def __init__(self) -> None:
        self.asked: list[Deferred[Sequence[UUID]]] = []
        self.listeners: list[IPlayerListener] = []

    def watch_player(self, player_id: UUID, listener: IPlayerListener) -> Deferred[Sequence[UUID]]:
        """As in `IPlayerSessions`."""
        assert player_id == PLAYER
        self.listeners.append(listener)
        self.asked.append(Deferred())
        return self.asked[-1]

    def unwatch_player(self, player_id: UUID, listener: IPlayerListener) -> None:
        """As in `IPlayerSessions`."""
        self.listeners = [each for each in self.listeners if each is not listener]


class FollowedPlayersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.sessions = Clock(), LateSessions()
        self.added: list[UUID] = []
        self.followed = FollowedPlayers(
            self.sessions, lambda peer, session_id: self.added.append(session_id), self.clock
        )
        ticket = Ticket(SessionToken(1, bytes(32)), PLAYER, PLAIN, None, NOW)
        channel, _ = channels()
        self.peer = ServerConnection(ticket, ("127.0.0.1", 1), channel, Terms(), bytes, NOW)

    def test_each_session_once(self) -> None:
        self.followed.opened(self.peer)
        (listener,) = self.sessions.listeners
        listener.session_started(OTHER_SESSION)  # while the others are asked for.
        self.sessions.asked[0].callback([SESSION, OTHER_SESSION])
        listener.session_started(SESSION)  # as after an interruption of Redis.
        self.assertEqual(self.added, [OTHER_SESSION, SESSION])

    def test_it_is_asked_again(self) -> None:
        self.followed.opened(self.peer)
        self.sessions.asked[0].errback(Unavailable("out of reach"))
        self.clock.advance(RETRY_DELAY)
        self.sessions.asked[1].callback([SESSION])
        self.assertEqual(self.added, [SESSION])

    def test_a_connection_that_closes_meanwhile(self) -> None:
        self.followed.opened(self.peer)
        self.followed.gone(self.peer)
        self.sessions.asked[0].callback([SESSION])
        self.assertEqual((self.added, self.sessions.listeners, len(self.followed)), ([], [], 0))
        self.followed.opened(self.peer)
        self.sessions.asked[1].errback(Unavailable("out of reach"))
        self.followed.gone(self.peer)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(len(self.sessions.asked), 2)

    def test_a_connection_that_did_not_ask(self) -> None:
        self.followed.gone(self.peer)
        self.assertEqual(self.sessions.asked, [])
