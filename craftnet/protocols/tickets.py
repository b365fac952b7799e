"""Who may open a UDP connection: one ticket for each …/connect that was answered. Pure.

A ticket is good for any number of connections, one at a time, until it has lain unused for a while or the bearer
token behind it ends. The number of tickets is bounded, in all and for one player's session.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import UUID

from craftnet.access.principal import Principal
from craftnet.errors import BadDatagram, TooManyRequests
from craftnet.messages import instant
from craftnet.protocols.deadlines import Deadlines
from craftnet.protocols.keys import SECRET_SIZE, HandshakeKey, SessionToken
from craftnet.protocols.layouts import MAC_SIZE

CAPACITY = 20_000
"""Tickets in all."""

PER_PLAYER = 8
"""Tickets of one player for one session: as many devices, or restarts within `IDLE`."""

IDLE = 60.0
"""Seconds a ticket lives without a connection."""

TOKEN_LIFETIME = 3600.0
"""Seconds for which a session_token opens connections."""

RENEWAL = 1800.0
"""Seconds after which a new one is offered over the connection that is open …"""

RENEWAL_RETRY = 60.0
"""… and after which it is offered again if that was not acknowledged."""


class _Credential(NamedTuple):
    """One session_token and what is made of it."""

    token: SessionToken
    key: HandshakeKey
    until: float


class Ticket:
    """Leave to open a connection.

    Attributes:
        packet_size: the longest datagram the client takes.
        expires: when the bearer token ends, Unix seconds.
        renew_at: when to offer a new session_token, Unix seconds.
        bearer: whose bearer token it was given for, where that is known.
        last_cookie_us: when the cookie of the newest connection was issued; older handshakes are replays.
    """

    __slots__ = (
        "_current",
        "_offered",
        "bearer",
        "expires",
        "in_use",
        "last_cookie_us",
        "packet_size",
        "player_id",
        "renew_at",
        "session_id",
        "unused_until",
    )

    def __init__(
        self, token: SessionToken, session_id: UUID, player_id: UUID, packet_size: int, expires: float, now: float
    ) -> None:
        self._current = _Credential(token, HandshakeKey(token.secret), now + TOKEN_LIFETIME)
        self._offered: _Credential | None = None
        self.renew_at = now + RENEWAL
        self.session_id = session_id
        self.player_id = player_id
        self.packet_size = packet_size
        self.expires = expires
        self.bearer: Principal | None = None
        self.in_use = False
        self.unused_until = now + IDLE
        self.last_cookie_us = 0

    @property
    def token(self) -> SessionToken:
        """The session_token that holds. Never shown."""
        return self._current.token

    @property
    def connection_id(self) -> int:
        """How datagrams name it."""
        return self.token.connection_id

    def authenticate(self, datagram: bytes, now: float) -> tuple[HandshakeKey, bytes, bytes]:
        """Whether a handshake datagram was made with our session_token, or with the one offered instead of it.

        Returns:
            The key that signed it, the secret behind that, and the datagram without its MAC.

        Raises:
            BadDatagram: it was not, or the token is too old.
        """
        for credential in (self._current, self._offered):
            if credential is None or not credential.key.holds(datagram):
                continue
            if now >= credential.until:
                raise BadDatagram("unknown_connection", "a session_token that is too old")
            return credential.key, credential.token.secret, datagram[:-MAC_SIZE]
        raise BadDatagram("forged", "the MAC does not hold")

    def offer(self, random: Callable[[int], bytes], now: float) -> bytes:
        """The secret of a new session_token, the same until it is taken. The old one holds, too, until then."""
        if self._offered is None:
            token = SessionToken(self.connection_id, random(SECRET_SIZE))
            self._offered = _Credential(token, HandshakeKey(token.secret), now + TOKEN_LIFETIME)
        self.renew_at = now + RENEWAL_RETRY
        return self._offered.token.secret

    def renewed(self) -> None:
        """The client has the new session_token: the old one is void."""
        if self._offered is not None:
            self._current, self._offered = self._offered, None
            self.renew_at = self._current.until - TOKEN_LIFETIME + RENEWAL

    def used(self, secret: bytes) -> None:
        """A connection was opened with this secret; if it is the one that was offered, the client has that."""
        if self._offered is not None and secret == self._offered.token.secret:
            self.renewed()

    @property
    def lapses(self) -> float:
        """When it stops being good if nothing more happens, Unix seconds."""
        return self.expires if self.in_use else min(self.expires, self.unused_until)


class TicketStore:
    """All tickets.

    Arguments:
        random: gives that many random bytes.
        capacity, per_player: bounds, see `CAPACITY` and `PER_PLAYER`.
    """

    def __init__(
        self, random: Callable[[int], bytes], *, capacity: int = CAPACITY, per_player: int = PER_PLAYER
    ) -> None:
        self._random = random
        self._capacity = capacity
        self._per_player = per_player
        self._tickets: dict[int, Ticket] = {}
        self._of_player: dict[tuple[UUID, UUID], list[Ticket]] = {}
        self._deadlines: Deadlines[int] = Deadlines()

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(self, session_id: UUID, player_id: UUID, packet_size: int, expires: float, now: float) -> Ticket:
        """A new ticket. When the player has too many for this session, the oldest unused one stops being good.

        Raises:
            TooManyRequests: a bound is reached.
        """
        self._drop_lapsed(now)
        theirs = self._of_player.get((session_id, player_id), [])
        if len(theirs) >= self._per_player:
            unused = next((ticket for ticket in theirs if not ticket.in_use), None)
            if unused is None:
                raise self._full("Too many UDP connections of this player to this session.", self._per_player, now)
            self.revoke(unused)
        if len(self._tickets) >= self._capacity:
            raise self._full("No more UDP connections are taken.", self._capacity, now)
        ticket = Ticket(self._new_token(), session_id, player_id, packet_size, expires, now)
        self._tickets[ticket.connection_id] = ticket
        self._of_player.setdefault((session_id, player_id), []).append(ticket)
        self._deadlines.set(ticket.connection_id, ticket.lapses)
        return ticket

    def find(self, connection_id: int, now: float) -> Ticket | None:
        """The ticket of that name, if it is good."""
        ticket = self._tickets.get(connection_id)
        return None if ticket is None or now >= ticket.lapses else ticket

    def of_bearers(self, covered: Callable[[Principal], bool]) -> list[Ticket]:
        """The tickets of bearers that are `covered`."""
        return [each for each in self._tickets.values() if each.bearer is not None and covered(each.bearer)]

    def occupy(self, ticket: Ticket, cookie_us: int) -> None:
        """A connection was opened with a cookie issued at `cookie_us`."""
        ticket.in_use = True
        ticket.last_cookie_us = cookie_us

    def release(self, ticket: Ticket, now: float) -> None:
        """Its connection is gone; another may be opened."""
        ticket.in_use = False
        ticket.unused_until = now + IDLE
        if ticket.connection_id in self._tickets:
            self._deadlines.set(ticket.connection_id, ticket.lapses)

    def revoke(self, ticket: Ticket) -> None:
        """It is not good any more."""
        if self._tickets.pop(ticket.connection_id, None) is None:
            return
        self._deadlines.discard(ticket.connection_id)
        feed = (ticket.session_id, ticket.player_id)
        theirs = self._of_player[feed]
        theirs.remove(ticket)
        if not theirs:
            del self._of_player[feed]

    def for_session(self, session_id: UUID, player_id: UUID) -> list[Ticket]:
        """A player's tickets for a session, oldest first."""
        return self._of_player.get((session_id, player_id), [])

    def _drop_lapsed(self, now: float) -> None:
        for connection_id in self._deadlines.due(now):
            ticket = self._tickets[connection_id]
            if now >= ticket.lapses:
                self.revoke(ticket)
            else:
                self._deadlines.set(connection_id, ticket.lapses)

    def _full(self, message: str, limit: int, now: float) -> TooManyRequests:
        return TooManyRequests(message, retry_after=round(IDLE), limit=limit, reset=instant(now + IDLE))

    def _new_token(self) -> SessionToken:
        while True:
            connection_id = int.from_bytes(self._random(4), "big")
            if connection_id not in self._tickets:
                return SessionToken(connection_id, self._random(SECRET_SIZE))
