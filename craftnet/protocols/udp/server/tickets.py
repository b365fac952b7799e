"""A ticket: the right to open a UDP connection, and the sessions that it may subscribe to. Pure."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from uuid import UUID

from msgspec import Struct

from craftnet.access.principal import Principal
from craftnet.errors import BadDatagram
from craftnet.limits.token_bucket import TokenBucket
from craftnet.protocols.udp.core.key_exchange import naming
from craftnet.protocols.udp.core.keys import SECRET_SIZE, HandshakeKey, SessionToken
from craftnet.protocols.udp.core.negotiation import Agreement
from craftnet.protocols.wire.layouts import MAC_SIZE
from craftnet.protocols.wire.records import CloseReason


class SessionPermit(Struct, eq=False, gc=False):
    """The right to watch one session.

    Attributes:
        index: the session's index in datagrams, 0 to 255.
        expires: when the bearer token expires, Unix seconds.
        bearer: the bearer of that token, if known.
        over: why the session ended for this ticket, while the client has not learned of it; else None.
        named: whether the server added it by itself, so that it names it in a record.
    """

    index: int
    session_id: UUID
    expires: float
    bearer: Principal | None
    over: CloseReason | None = None
    named: bool = False


TICKET_IDLE_TIMEOUT = 60.0
"""Seconds that a ticket lives without a connection."""

TOKEN_LIFETIME = 3600.0
"""Seconds for which a session_token opens connections."""

TOKEN_RENEWAL = 1800.0
"""Seconds after which a new one is offered over the connection that is open …"""

TOKEN_OFFER_RETRY = 60.0
"""… and after which it is offered again if that was not acknowledged."""


OPENINGS_PER_SECOND = 1.0
"""Connections per second that one ticket opens …"""

OPENINGS_BURST = 5
"""… and this many at once: each receives the full state, and has limits of its own."""

_OPENINGS = TokenBucket(OPENINGS_PER_SECOND, OPENINGS_BURST)


class _TokenSecret(Struct, eq=False, gc=False):
    """The secret of one session_token since some time, and the key derived from it while handshakes are expected."""

    secret: bytes
    since: float
    _key: HandshakeKey | None = None

    __repr__ = object.__repr__

    @property
    def until(self) -> float:
        """When it expires, Unix seconds."""
        return self.since + TOKEN_LIFETIME

    @property
    def key(self) -> HandshakeKey:
        """The key that authenticates handshake datagrams."""
        key = self._key
        if key is None:
            key = self._key = HandshakeKey.of(self.secret)
        return key

    def rest(self) -> None:
        """Drops the key, since no handshake is expected: it takes more room than anything else of a ticket."""
        self._key = None


class Ticket:
    """The right to open a connection.

    Arguments:
        renewal: seconds after which a new session_token is offered.

    Attributes:
        permits: the sessions of the connection, in the order of their indexes.
        agreement: sizes and compression.
        bearer: the bearer for whom it was first issued, if known.
        client: what the client calls itself.
        connection_id: the id in datagrams.
        expects: whether progress records state the expected time.
        follows: whether the server adds the player's other sessions by itself.
        exchanged: whether its secrets follow from an exchange of keys, so that requests name it by a derived token.
        unused: the lowest index that no session has had.
        unused_until: when it expires without a connection, Unix seconds; infinite while there is one.
        last_cookie_us: when the cookie of the newest connection was issued; older handshakes are replays.
    """

    __slots__ = (
        "_current",
        "_offer_again_at",
        "_offered",
        "_openings_full_at",
        "_renewal",
        "agreement",
        "bearer",
        "client",
        "connection_id",
        "exchanged",
        "expects",
        "follows",
        "last_cookie_us",
        "permits",
        "player_id",
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
        renewal: float = TOKEN_RENEWAL,
    ) -> None:
        self.connection_id = token.connection_id
        self._current = _TokenSecret(token.secret, now)
        self._offered: _TokenSecret | None = None
        self._openings_full_at = 0.0
        self._renewal = renewal
        self._offer_again_at = 0.0
        self.player_id = player_id
        self.agreement = agreement
        self.bearer = bearer
        self.client: str | None = None
        self.exchanged = self.expects = self.follows = False
        self.permits: tuple[SessionPermit, ...] = ()
        self.unused = 0
        self.unused_until = now + TICKET_IDLE_TIMEOUT
        self.last_cookie_us = 0

    @property
    def token(self) -> SessionToken:
        """The present session_token. Never shown."""
        return SessionToken(self.connection_id, self._current.secret)

    @property
    def renew_at(self) -> float:
        """When to offer a new session_token, Unix seconds."""
        return self._current.since + self._renewal if self._offered is None else self._offer_again_at

    @property
    def expires(self) -> float:
        """When the last of the bearer tokens expires, Unix seconds."""
        return max((permit.expires for permit in self.permits), default=0.0)

    @property
    def newest(self) -> SessionPermit | None:
        """The permit that expires last."""
        return max(self.permits, key=lambda permit: permit.expires, default=None)

    def permit_for(self, session_id: UUID) -> SessionPermit | None:
        """The permit for this session, while it has not ended."""
        return next(
            (permit for permit in self.permits if permit.session_id == session_id and permit.over is None), None
        )

    def holds(self, token: SessionToken, now: float) -> bool:
        """Whether requests name it by this session_token: the present one, or the one offered to replace it."""
        return any(
            credential is not None
            and now < credential.until
            and hmac.compare_digest(self._name(credential.secret), token.secret)
            for credential in (self._current, self._offered)
        )

    def exchange(self, secret: bytes) -> None:
        """Replaces the secret, which was not sent yet, with one derived from an exchange of keys."""
        self._current.secret, self.exchanged = secret, True

    def _name(self, secret: bytes) -> bytes:
        return naming(SessionToken(self.connection_id, secret)).secret if self.exchanged else secret

    def authenticate(self, datagram: bytes, now: float) -> tuple[HandshakeKey, bytes, bytes]:
        """Authenticates a handshake datagram with the session_token, or with the one offered to replace it.

        Returns:
            The key that authenticated it, the secret behind that, and the datagram without its MAC.

        Raises:
            BadDatagram: it was made with neither, or the token is too old.
        """
        for credential in (self._current, self._offered):
            if credential is None or not credential.key.holds(datagram):
                continue
            if now >= credential.until:
                raise BadDatagram("unknown_connection", "a session_token that is too old")
            return credential.key, credential.secret, datagram[:-MAC_SIZE]
        raise BadDatagram("forged", "the MAC is wrong")

    def rest(self) -> None:
        """There is a connection now: no handshake is expected."""
        self._current.rest()

    def offer(self, random: Callable[[int], bytes], now: float) -> bytes:
        """The secret of a new session_token, the same until it is accepted. The old one is valid until then."""
        if self._offered is None:
            self._offered = _TokenSecret(random(SECRET_SIZE), now)
        self._offer_again_at = now + TOKEN_OFFER_RETRY
        return self._offered.secret

    def renewed(self) -> None:
        """The client has the new session_token: the old one is invalid."""
        if self._offered is not None:
            self._current, self._offered = self._offered, None

    def open(self, secret: bytes, now: float) -> None:
        """A connection is opened with this secret; if it is the offered one, the client has that.

        Raises:
            BadDatagram: there were too many recently.
        """
        full_at = _OPENINGS.take(self._openings_full_at, now)
        if full_at is None:
            raise BadDatagram("flooding", "more connections than a client needs to open")
        self._openings_full_at = full_at
        if self._offered is not None and secret == self._offered.secret:
            self.renewed()

    @property
    def lapses(self) -> float:
        """When it expires if nothing more happens, Unix seconds."""
        return min(self.expires, self.unused_until)
