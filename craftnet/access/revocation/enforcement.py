"""Carries out revocations: refuses revoked tokens, closes their connections, and informs the other nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from craftnet.access.principal import Principal
from craftnet.access.revocation.revocations import Revocation, Revocations
from craftnet.clocks import Moment
from craftnet.contract.messages import rfc3339
from craftnet.errors import TooManyRequests, Unauthorized, Unavailable
from craftnet.interfaces import IAuditLog, IRevocationListener, ISharedRevocations, ITokenVerifier
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType
from craftnet.observe.audit.recorder import NoAudit

Enforcer = Callable[[Callable[[Principal], bool]], int]
"""Closes the connections of the covered principals and returns their number."""

HANDSHAKE_GRACE = 10.0
"""Seconds that an admitted connection may take to open."""

MAX_TOKEN_ID = 64
"""Characters of a token's `jti` in the audit."""


@implementer(IRevocationListener)
class Enforcement:
    """Revokes on this node, on request and when other nodes revoke.

    Arguments:
        enforcers: one for each transport.
        now: both clocks: revocations have dates, connections that are opening have a deadline.
        shared: informs the other nodes; None when there are none.
        audit: records revocations.
    """

    _log = Logger()

    def __init__(
        self,
        revocations: Revocations,
        enforcers: Sequence[Enforcer],
        now: Callable[[], Moment],
        shared: ISharedRevocations | None = None,
        *,
        audit: IAuditLog | None = None,
    ) -> None:
        self._audit: IAuditLog = audit or NoAudit()
        self._revocations = revocations
        self._enforcers = enforcers
        self._now = now
        self._shared = shared
        self._handshake_grace = HANDSHAKE_GRACE
        self._look_until = 0.0
        self._followers: list[Callable[[Sequence[Revocation]], None]] = []
        if shared is not None:
            shared.follow(self)

    def set_handshake_timeout(self, seconds: float) -> None:
        """Names the time that a connection may take to open after its token was verified."""
        self._handshake_grace = max(HANDSHAKE_GRACE, seconds)

    def follow(self, heard: Callable[[Sequence[Revocation]], None]) -> None:
        """Calls `heard` with the revocations that are new to this node, from now on."""
        self._followers.append(heard)

    async def revoke(self, revocation: Revocation, *, actor: str = "", reason: str = "") -> int:
        """Revokes on every node; returns how many connections were closed on this one.

        Arguments:
            actor, reason: who revokes, and why, for the audit.

        Raises:
            TooManyRequests: the list is full.
            Unavailable: it is in force on this node, but other nodes may not know.
        """
        self._revocations.add(revocation, self._now().wall)
        closed = self._enforce()
        self._record(revocation, {"node": "this one", "closed": closed}, actor, reason)
        for heard in self._followers:
            heard([revocation])
        if self._shared is not None:
            try:
                await self._shared.publish(revocation)
            except Unavailable as error:
                raise Unavailable(
                    f"It is in force on this node, but other nodes may not know: {error.message}"
                ) from None
        return closed

    def revoked(self, revocations: Sequence[Revocation]) -> None:
        """As in `IRevocationListener`."""
        now, full = self._now().wall, False
        news: list[Revocation] = []
        for revocation in revocations:
            try:
                if self._revocations.add(revocation, now):
                    news.append(revocation)
                    self._record(revocation, {"node": "another one"})
            except TooManyRequests:
                full = True
        if full:
            self._log.error("the list of revocations is full: some that other nodes know are not in force on this one")
        if news:
            self._enforce()
            for heard in self._followers:
                heard(news)

    def in_force(self) -> Sequence[Revocation]:
        """As in `IRevocationListener`."""
        return self._revocations.in_force(self._now().wall)

    def turn(self) -> None:
        """Closes connections that were opening when something was revoked; called every second."""
        if self._now().steady < self._look_until:
            self._close_covered()

    def _record(self, revocation: Revocation, details: dict[str, str | int], actor: str = "", reason: str = "") -> None:
        if revocation.token_id is not None:
            details["jti"] = revocation.token_id[:MAX_TOKEN_ID]
        details["until"] = rfc3339(revocation.until)
        self._audit.record(
            SecurityEvent(
                type=SecurityEventType.REVOKED,
                player_id=revocation.player_id,
                actor=actor,
                reason=reason,
                details={**details},
            )
        )

    def _enforce(self) -> int:
        self._look_until = self._now().steady + self._handshake_grace
        return self._close_covered()

    def _close_covered(self) -> int:
        return sum(enforce(self._revocations.covers) for enforce in self._enforcers)


@implementer(ITokenVerifier)
class RevocationCheckingVerifier:
    """Accepts the tokens that another authority accepts, except revoked ones.

    Arguments:
        loaded: fires when the list is loaded, before which no token is accepted; None: it is complete from the start.
    """

    def __init__(
        self, authority: ITokenVerifier, revocations: Revocations, loaded: Callable[[], Deferred[None]] | None = None
    ) -> None:
        self._authority = authority
        self._revocations = revocations
        self._loaded = loaded

    def replace(self, authority: ITokenVerifier) -> None:
        """Asks another authority from now on."""
        self._authority = authority

    def authenticate(self, token: str) -> Deferred[Principal]:
        """See `ITokenVerifier`."""
        authenticated = self._authority.authenticate(token)
        if self._loaded is not None:
            authenticated.addCallback(self._wait, self._loaded)
        return authenticated.addCallback(self._check)

    def _wait(self, principal: Principal, loaded: Callable[[], Deferred[None]]) -> Deferred[Principal]:
        return loaded().addCallback(self._know, principal)

    def _know(self, _: None, principal: Principal) -> Principal:
        self._loaded = None
        return principal

    def _check(self, principal: Principal) -> Principal:
        if self._revocations.covers(principal):
            raise Unauthorized("The token was revoked.", problem="invalid_token")
        return principal
