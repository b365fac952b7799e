from __future__ import annotations

from random import Random
from uuid import UUID

from twisted.trial.unittest import SynchronousTestCase

from craftnet.errors import TooManyRequests
from craftnet.protocols.agreement import PLAIN
from craftnet.protocols.tickets import IDLE, Ticket
from craftnet.protocols.ticketstore import TicketStore
from craftnet.tests.samples import NOW, OTHER_SESSION, PLAYER, SESSION


class TicketStoreTests(SynchronousTestCase):
    """Who may connect, and for how long."""

    def setUp(self) -> None:
        self.store = TicketStore(Random(1).randbytes, capacity=5, per_player=2)

    def _issue(self, *, session_id: UUID = SESSION, expires: float = NOW + 1000, now: float = NOW) -> Ticket:
        return self.store.issue(session_id, PLAYER, PLAIN, expires, now)

    def test_an_unused_one_lapses(self) -> None:
        ticket = self._issue()
        self.assertIs(self.store.find(ticket.connection_id, NOW + IDLE - 0.1), ticket)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + IDLE))

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
        self.assertIs(self.store.find(ticket.connection_id, NOW + 500 + IDLE - 1), ticket)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW + 500 + IDLE))

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
        self.assertTrue(error.headers["X-RateLimit-Reset"].endswith("Z"))
        self._issue(session_id=OTHER_SESSION)

    def test_the_store_is_bounded_and_frees_itself(self) -> None:
        for number in range(5):
            self._issue(session_id=UUID(int=number + 1))
        self.assertRaises(TooManyRequests, self._issue)
        self._issue(now=NOW + IDLE)
        self.assertEqual(len(self.store), 1)

    def test_one_in_use_is_not_swept(self) -> None:
        ticket = self._issue()
        self.store.occupy(ticket, 1)
        self._issue(now=NOW + IDLE + 1)
        self.assertIs(self.store.find(ticket.connection_id, NOW + IDLE + 1), ticket)

    def test_a_revoked_one_is_gone(self) -> None:
        ticket = self._issue()
        self.store.revoke(ticket)
        self.store.revoke(ticket)
        self.store.release(ticket, NOW)
        self.assertIsNone(self.store.find(ticket.connection_id, NOW))
        self._issue(now=NOW + IDLE)

    def test_connection_ids_differ(self) -> None:
        """Even when the random source repeats itself."""
        numbers = iter([b"\0\0\0\1", bytes(32), b"\0\0\0\1", b"\0\0\0\2", bytes(32)])
        store = TicketStore(lambda size: next(numbers))
        found = [store.issue(SESSION, PLAYER, PLAIN, NOW + 1, NOW).connection_id for _ in range(2)]
        self.assertEqual(found, [1, 2])
