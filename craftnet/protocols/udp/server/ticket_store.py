"""The tickets that may open UDP connections: one for each answered …/connect, unless it joined another. Pure.

A ticket is valid for any number of connections, one at a time, until it was unused for a while or the bearer tokens
behind it expire. Permits are bounded in number, in all and for one player's session.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from uuid import UUID

from craftnet.access.principal import Principal
from craftnet.errors import TooManyRequests
from craftnet.protocols.udp.core.keys import SECRET_SIZE, SessionToken
from craftnet.protocols.udp.core.negotiation import MAX_INDEXES, MAX_SESSIONS, Agreement
from craftnet.protocols.udp.server.tickets import TICKET_IDLE_TIMEOUT, TOKEN_RENEWAL, SessionPermit, Ticket
from craftnet.runtime.multimap import Multimap
from craftnet.runtime.timers import Deadlines

MAX_TICKETS = 20_000
"""Sessions of all tickets."""

MAX_TICKETS_PER_PLAYER = 8
"""Tickets of one player for one session: as many devices, or restarts within `TICKET_IDLE_TIMEOUT`."""


class TicketStore:
    """All tickets.

    Arguments:
        random: returns that many random bytes.
        capacity, per_player: see `MAX_TICKETS` and `MAX_TICKETS_PER_PLAYER`.
        renewal: seconds after which a ticket's session_token is replaced.
    """

    def __init__(
        self,
        random: Callable[[int], bytes],
        *,
        capacity: int = MAX_TICKETS,
        per_player: int = MAX_TICKETS_PER_PLAYER,
        renewal: float = TOKEN_RENEWAL,
    ) -> None:
        self._random = random
        self._capacity = capacity
        self._per_player = per_player
        self.renewal = renewal
        self._tickets: dict[int, Ticket] = {}
        self._of_session: Multimap[Ticket] = Multimap()
        self._permits = 0
        self._deadlines: Deadlines[int] = Deadlines()

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(
        self,
        session_id: UUID,
        player_id: UUID,
        agreement: Agreement,
        expires: float,
        now: float,
        bearer: Principal | None = None,
    ) -> Ticket:
        """A new ticket. When the player has too many for this session, the oldest unused one is withdrawn.

        Raises:
            TooManyRequests: a limit is exceeded.
        """
        self._make_room(session_id, player_id, now)
        ticket = Ticket(self._new_token(), player_id, agreement, bearer, now, self.renewal)
        self._tickets[ticket.connection_id] = ticket
        self._permit(ticket, session_id, expires, bearer)
        self._deadlines.set(ticket.connection_id, ticket.lapses)
        return ticket

    def extend(
        self, ticket: Ticket, session_id: UUID, expires: float, now: float, bearer: Principal | None
    ) -> SessionPermit | None:
        """Adds a session to the ticket, or extends it to this time; with it those that the server added by itself.

        Returns:
            None when the ticket has no index left.

        Raises:
            TooManyRequests: a limit is exceeded.
        """
        permit = ticket.permit_for(session_id)
        if permit is not None:
            for each in ticket.permits:
                if each is permit or each.named:
                    each.expires, each.bearer = expires, bearer
            return permit
        if ticket.unused == MAX_INDEXES:
            return None
        if len(ticket.permits) >= MAX_SESSIONS:
            raise self._full("Too many sessions of this UDP connection.", MAX_SESSIONS, now)
        self._make_room(session_id, ticket.player_id, now, keep=ticket)
        return self._permit(ticket, session_id, expires, bearer)

    def withdraw(self, ticket: Ticket, permit: SessionPermit) -> None:
        """That session ended for this ticket, and its holder knows."""
        if permit in ticket.permits:
            ticket.permits = tuple(each for each in ticket.permits if each is not permit)
            self._forget(ticket, permit)

    def holder(self, token: SessionToken, now: float) -> Ticket | None:
        """The ticket with this session_token, if it is valid."""
        ticket = self.find(token.connection_id, now)
        return None if ticket is None or not ticket.holds(token, now) else ticket

    def find(self, connection_id: int, now: float) -> Ticket | None:
        """The ticket with this connection id, if it is valid."""
        ticket = self._tickets.get(connection_id)
        return None if ticket is None or now >= ticket.lapses else ticket

    def of_bearers(self, covered: Callable[[Principal], bool]) -> list[tuple[Ticket, list[SessionPermit]]]:
        """The tickets with permits of bearers that are `covered`, and those permits.

        All permits of a ticket that was first issued for one of them: the holder of the bearer token may have the
        session_token.
        """
        found = []
        for ticket in self._tickets.values():
            all_of_it = ticket.bearer is not None and covered(ticket.bearer)
            theirs = [
                permit
                for permit in ticket.permits
                if all_of_it or (permit.over is None and permit.bearer is not None and covered(permit.bearer))
            ]
            if theirs:
                found.append((ticket, theirs))
        return found

    def occupy(self, ticket: Ticket, cookie_us: int) -> None:
        """A connection was opened with a cookie issued at `cookie_us`."""
        ticket.unused_until = inf
        ticket.rest()
        ticket.last_cookie_us = cookie_us
        self._deadlines.discard(ticket.connection_id)  # its connection ends before it does.

    def release(self, ticket: Ticket, now: float) -> None:
        """Its connection is closed; another may be opened."""
        ticket.unused_until = now + TICKET_IDLE_TIMEOUT
        if ticket.connection_id in self._tickets:
            self._deadlines.set(ticket.connection_id, ticket.lapses)

    def revoke(self, ticket: Ticket) -> None:
        """Withdraws it."""
        if self._tickets.pop(ticket.connection_id, None) is None:
            return
        self._deadlines.discard(ticket.connection_id)
        permits, ticket.permits = ticket.permits, ()  # its connection may last for a while, and withdraw them.
        for permit in permits:
            self._forget(ticket, permit)

    def for_session(self, session_id: UUID, player_id: UUID) -> list[Ticket]:
        """A player's tickets for a session, oldest first."""
        return [ticket for ticket in self._of_session.of(session_id) if ticket.player_id == player_id]

    def _make_room(self, session_id: UUID, player_id: UUID, now: float, keep: Ticket | None = None) -> None:
        self._drop_lapsed(now)
        theirs = self.for_session(session_id, player_id)
        if len(theirs) >= self._per_player:
            unused = next((ticket for ticket in theirs if ticket.unused_until < inf and ticket is not keep), None)
            if unused is None:
                raise self._full("Too many UDP connections of this player to this session.", self._per_player, now)
            self.revoke(unused)
        if self._permits >= self._capacity:
            raise self._full("The server accepts no more UDP connections.", self._capacity, now)

    def _permit(self, ticket: Ticket, session_id: UUID, expires: float, bearer: Principal | None) -> SessionPermit:
        permit = SessionPermit(ticket.unused, session_id, expires, bearer)
        ticket.unused += 1
        ticket.permits = (*ticket.permits, permit)
        self._of_session.add(session_id, ticket)
        self._permits += 1
        return permit

    def _forget(self, ticket: Ticket, permit: SessionPermit) -> None:
        self._permits -= 1
        if all(each.session_id != permit.session_id for each in ticket.permits):  # else it was added again.
            self._of_session.remove(permit.session_id, ticket)

    def _drop_lapsed(self, now: float) -> None:
        for connection_id in self._deadlines.due(now):
            ticket = self._tickets[connection_id]
            if now >= ticket.lapses:
                self.revoke(ticket)
            else:
                self._deadlines.set(connection_id, ticket.lapses)

    def _full(self, message: str, limit: int, now: float) -> TooManyRequests:
        return TooManyRequests(message, retry_after=round(TICKET_IDLE_TIMEOUT), limit=limit)

    def _new_token(self) -> SessionToken:
        while True:
            connection_id = int.from_bytes(self._random(4), "big")
            if connection_id not in self._tickets:
                return SessionToken(connection_id, self._random(SECRET_SIZE))
