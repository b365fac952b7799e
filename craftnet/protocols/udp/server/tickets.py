"""A ticket: the right to open a UDP connection, and the sessions that it may subscribe to. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from craftnet.access.principal import Principal
from craftnet.errors import BadDatagram
from craftnet.limits.token_bucket import TokenBucket
from craftnet.protocols.udp.core.keys import SECRET_SIZE, HandshakeKey, SessionToken
from craftnet.protocols.udp.core.negotiation import Agreement
from craftnet.protocols.wire.layouts import MAC_SIZE
from craftnet.protocols.wire.records import CloseReason


class SessionPermit(Struct, eq=False, gc=False):
    """Leave to watch one session.

    Attributes:
        index: how the connection's datagrams name the session, 0–255.
        expires: when the bearer token ends, Unix seconds.
        bearer: whose token that is, where it is known.
        over: why the session is over for this ticket, while the client has not heard of that; else None.
    """

    index: int
    session_id: UUID
    expires: float
    bearer: Principal | None
    over: CloseReason | None = None


TICKET_IDLE_TIMEOUT = 60.0
"""Seconds a ticket lives without a connection."""

TOKEN_LIFETIME = 3600.0
"""Seconds for which a session_token opens connections."""

RENEWAL = 1800.0
"""Seconds after which a new one is offered over the connection that is open …"""

RENEWAL_RETRY = 60.0
"""… and after which it is offered again if that was not acknowledged."""


OPENINGS_PER_SECOND = 1.0
"""Connections per second that one ticket opens …"""

OPENINGS_BURST = 5
"""… and this many at once: each is told everything, and has limits of its own."""

_OPENINGS = TokenBucket(OPENINGS_PER_SECOND, OPENINGS_BURST)


class _TokenSecret(Struct, eq=False, gc=False):
    """The secret of one session_token, and the key made of it, while handshakes are to be expected."""

    secret: bytes
    until: float
    _key: HandshakeKey | None = None

    __repr__ = object.__repr__

    @classmethod
    def of(cls, secret: bytes, now: float) -> _TokenSecret:
        """A new one."""
        return cls(secret, now + TOKEN_LIFETIME)

    @property
    def key(self) -> HandshakeKey:
        """What signs handshake datagrams."""
        key = self._key
        if key is None:
            key = self._key = HandshakeKey.of(self.secret)
        return key

    def rest(self) -> None:
        """No handshake is to be expected: a key takes more room than anything else of a ticket."""
        self._key = None


class Ticket:
    """Leave to open a connection.

    Arguments:
        renewal: seconds after which a new session_token is offered.

    Attributes:
        permits: what the connection tells of, in the order of their indexes.
        agreement: on sizes and compression.
        renew_at: when to offer a new session_token, Unix seconds.
        bearer: whose bearer token it was first given for, where that is known.
        connection_id: how datagrams name it.
        unused: the lowest index that no session has had.
        unused_until: when it stops being good without a connection, Unix seconds; infinite while there is one.
        last_cookie_us: when the cookie of the newest connection was issued; older handshakes are replays.
    """

    __slots__ = (
        "_current",
        "_offered",
        "_openings_full_at",
        "_renewal",
        "agreement",
        "bearer",
        "connection_id",
        "last_cookie_us",
        "permits",
        "player_id",
        "renew_at",
        "unused",
        "unused_until",
    )

    def __init__(
        self,
        token: SessionToken,
        player_id: UUID,
        agreement: Agreement,
        bearer: Principal | None,
        now: float,
        renewal: float = RENEWAL,
    ) -> None:
        self.connection_id = token.connection_id
        self._current = _TokenSecret.of(token.secret, now)
        self._offered: _TokenSecret | None = None
        self._openings_full_at = 0.0
        self._renewal = renewal
        self.renew_at = now + renewal
        self.player_id = player_id
        self.agreement = agreement
        self.bearer = bearer
        self.permits: tuple[SessionPermit, ...] = ()
        self.unused = 0
        self.unused_until = now + TICKET_IDLE_TIMEOUT
        self.last_cookie_us = 0

    @property
    def token(self) -> SessionToken:
        """The session_token that holds. Never shown."""
        return SessionToken(self.connection_id, self._current.secret)

    @property
    def expires(self) -> float:
        """When the last of the bearer tokens ends, Unix seconds."""
        return max((permit.expires for permit in self.permits), default=0.0)

    def permit_for(self, session_id: UUID) -> SessionPermit | None:
        """What lets its holder watch this session, while that is not over."""
        return next(
            (permit for permit in self.permits if permit.session_id == session_id and permit.over is None), None
        )

    def holds(self, token: SessionToken, now: float) -> bool:
        """Whether this is its session_token, or the one offered instead of it."""
        return any(
            credential is not None and now < credential.until and hmac.compare_digest(credential.secret, token.secret)
            for credential in (self._current, self._offered)
        )

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
            return credential.key, credential.secret, datagram[:-MAC_SIZE]
        raise BadDatagram("forged", "the MAC does not hold")

    def rest(self) -> None:
        """There is a connection now: no handshake is to be expected."""
        self._current.rest()

    def offer(self, random: Callable[[int], bytes], now: float) -> bytes:
        """The secret of a new session_token, the same until it is taken. The old one holds, too, until then."""
        if self._offered is None:
            self._offered = _TokenSecret.of(random(SECRET_SIZE), now)
        self.renew_at = now + RENEWAL_RETRY
        return self._offered.secret

    def renewed(self) -> None:
        """The client has the new session_token: the old one is void."""
        if self._offered is not None:
            self._current, self._offered = self._offered, None
            self.renew_at = self._current.until - TOKEN_LIFETIME + self._renewal

    def open(self, secret: bytes, now: float) -> None:
        """A connection is opened with this secret; if it is the one that was offered, the client has that.

        Raises:
            BadDatagram: there were too many lately.
        """
        full_at = _OPENINGS.take(self._openings_full_at, now)
        if full_at is None:
            raise BadDatagram("flooding", "more connections than a client has reason to open")
        self._openings_full_at = full_at
        if self._offered is not None and secret == self._offered.secret:
            self.renewed()

    @property
    def lapses(self) -> float:
        """When it stops being good if nothing more happens, Unix seconds."""
        return min(self.expires, self.unused_until)
