from __future__ import annotations

from random import Random
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.access.principal import Principal
from craftnet.errors import TooManyRequests
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import PLAIN
from craftnet.protocols.udp.server.ticket_store import TicketStore
from craftnet.protocols.udp.server.tickets import TICKET_IDLE_TIMEOUT, TOKEN_LIFETIME, SessionPermit, Ticket
from craftnet.protocols.wire.records import CloseReason
from craftnet.tests.support.samples import NOW, OTHER_SESSION, PLAYER, SESSION


class TicketStoreTests(SynchronousTestCase):
    """Which tokens may connect, and for how long."""

    def setUp(self) -> None:
        self.store = TicketStore(Random(1).randbytes, capacity=5, per_player=2)

    def _issue(self, *, session_id: UUID = SESSION, expires: float = NOW + 1000, now: float = NOW) -> Ticket:
        return self.store.issue(session_id, PLAYER, PLAIN, expires, now)

    def test_an_unused_one_lapses(self) -> None:
        ticket = self._issue()
        self.assertIs(self.store.find(ticket.connection_id, NOW + TICKET_IDLE_TIMEOUT - 0.1), ticket)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + TICKET_IDLE_TIMEOUT))

    def test_one_in_use_lasts_as_long_as_its_bearer_token(self) -> None:
        ticket = self._issue()
        self.store.occupy(ticket, 1)
        self.assertIs(self.store.find(ticket.connection_id, NOW + 999), ticket)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + 1000))

    def test_the_bearer_token_ends_an_unused_one_too(self) -> None:
        ticket = self._issue(expires=NOW + 5)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + 5))

    def test_after_a_connection_it_may_be_used_again_for_a_while(self) -> None:
        ticket = self._issue()
        self.store.occupy(ticket, 1)
        self.store.release(ticket, NOW + 500)
        self.assertIs(self.store.find(ticket.connection_id, NOW + 500 + TICKET_IDLE_TIMEOUT - 1), ticket)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + 500 + TICKET_IDLE_TIMEOUT))

    def test_the_oldest_unused_one_of_a_player_makes_room(self) -> None:
        used, unused = self._issue(), self._issue()
        self.store.occupy(used, 1)
        newest = self._issue()
        self.assertIsNone(self.store.find(unused.connection_id, NOW))
        for ticket in (used, newest):
            self.assertIs(self.store.find(ticket.connection_id, NOW), ticket)

    def test_a_player_is_bounded(self) -> None:
        for _ in range(2):
            self.store.occupy(self._issue(), 1)
        error = self.assertRaises(TooManyRequests, self._issue)
        self.assertEqual(error.headers["X-RateLimit-Limit"], "2")
        self._issue(session_id=OTHER_SESSION)

    def test_the_store_is_bounded_and_frees_itself(self) -> None:
        for number in range(5):
            self._issue(session_id=UUID(int=number + 1))
        self.assertRaises(TooManyRequests, self._issue)
        self._issue(now=NOW + TICKET_IDLE_TIMEOUT)
        self.assertEqual(len(self.store), 1)

    def test_one_in_use_is_not_swept(self) -> None:
        ticket = self._issue()
        self.store.occupy(ticket, 1)
        self._issue(now=NOW + TICKET_IDLE_TIMEOUT + 1)
        self.assertIs(self.store.find(ticket.connection_id, NOW + TICKET_IDLE_TIMEOUT + 1), ticket)

    def test_a_revoked_one_is_gone(self) -> None:
        ticket = self._issue()
        self.store.revoke(ticket)
        self.store.revoke(ticket)
        self.store.release(ticket, NOW)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW))
        self._issue(now=NOW + TICKET_IDLE_TIMEOUT)

    def _extend(self, ticket: Ticket, session_id: UUID, *, expires: float = NOW + 1000) -> SessionPermit:
        permit = self.store.extend(ticket, session_id, expires, NOW, None)
        assert permit is not None
        return permit

    def test_sessions_of_one_ticket(self) -> None:
        """It lasts as long as the last of its bearer tokens, and each session is found by it."""
        ticket = self._issue(expires=NOW + 5)
        self.store.occupy(ticket, 1)
        permit = self._extend(ticket, OTHER_SESSION, expires=NOW + 50)
        self.assertEqual([each.index for each in ticket.permits], [0, 1])
        self.assertIs(self.store.find(ticket.connection_id, NOW + 49), ticket)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + 50))
        self.assertEqual(self.store.for_session(OTHER_SESSION, PLAYER), [ticket])
        self.store.withdraw(ticket, permit)
        self.store.withdraw(ticket, permit)
        self.assertEqual(self.store.for_session(OTHER_SESSION, PLAYER), [])
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + 5))

    def test_sessions_that_the_server_added_are_extended_with_any(self) -> None:
        ticket = self._issue(expires=NOW + 5)
        added, asked = self._extend(ticket, OTHER_SESSION), self._extend(ticket, UUID(int=3), expires=NOW + 7)
        added.named = True
        self._extend(ticket, SESSION, expires=NOW + 50)
        self.assertEqual([each.expires - NOW for each in ticket.permits], [50, 50, 7])
        self.assertIs(ticket.newest, ticket.permits[0])
        self.assertFalse(asked.named)

    def test_every_session_counts(self) -> None:
        """Within the limit of all, and of a player for one session; withdrawn tickets make room."""
        ticket = self._issue()
        permits = [self._extend(ticket, UUID(int=number)) for number in range(1, 5)]
        self.assertRaises(TooManyRequests, self._issue, session_id=OTHER_SESSION)
        self.store.withdraw(ticket, permits[0])
        other = self._issue(session_id=UUID(int=2))
        self.store.occupy(other, 1)
        self.store.withdraw(ticket, permits[1])
        self._extend(ticket, UUID(int=2))
        self.store.occupy(ticket, 1)
        self.store.withdraw(ticket, permits[2])
        self.assertRaises(TooManyRequests, self._issue, session_id=UUID(int=2))
        self.store.revoke(ticket)
        self.assertEqual(len(self.store), 1)

    def test_a_ticket_does_not_make_room_for_itself(self) -> None:
        """The oldest unused one of a session that has ended for it."""
        ticket, _ = self._issue(), self._issue()
        ticket.permits[0].over = CloseReason.ENDED
        self.store.occupy(self.store.for_session(SESSION, PLAYER)[1], 1)
        self.assertRaises(TooManyRequests, self._extend, ticket, SESSION)
        self.assertIs(self.store.find(ticket.connection_id, NOW), ticket)

    def test_permits_by_bearer_token(self) -> None:
        first, second = (Principal(PLAYER, frozenset(), NOW + 1000, token_id=name) for name in ("first", "second"))
        ticket = self.store.issue(SESSION, PLAYER, PLAIN, NOW + 1000, NOW, first)
        permit = self.store.extend(ticket, OTHER_SESSION, NOW + 1000, NOW, second)
        found = self.store.of_bearers(lambda bearer: bearer is second)
        self.assertEqual(found, [(ticket, [permit])])
        self.assertEqual(self.store.of_bearers(lambda bearer: bearer is first), [(ticket, list(ticket.permits))])
        self.assertEqual(self.store.of_bearers(lambda bearer: False), [])

    def test_the_holder_of_a_token(self) -> None:
        ticket = self._issue()
        self.assertIs(self.store.holder(ticket.token, NOW), ticket)
        self.assertIsNone(self.store.holder(SessionToken(ticket.connection_id, bytes(32)), NOW))
        self.assertIsNone(self.store.holder(ticket.token, NOW + TICKET_IDLE_TIMEOUT))
        self.store.occupy(ticket, 1)
        ticket.permits[0].expires = NOW + 2 * TOKEN_LIFETIME
        self.assertIsNone(self.store.holder(ticket.token, NOW + TOKEN_LIFETIME))

    def test_connection_ids_differ(self) -> None:
        """Even when the random source repeats itself."""
        numbers = iter([b"\0\0\0\1", bytes(32), b"\0\0\0\1", b"\0\0\0\2", bytes(32)])
        store = TicketStore(lambda size: next(numbers))
        found = [store.issue(SESSION, PLAYER, PLAIN, NOW + 1, NOW).connection_id for _ in range(2)]
        self.assertEqual(found, [1, 2])
