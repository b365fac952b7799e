"""Whether a request may proceed: one decision for HTTP, WebSocket and UDP connects.

Always in this order: 401 (who are you), 404 (no such session), 403 (not for you). The rules on what a principal may do
are in `craftnet.access.principal`.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred, fail, inlineCallbacks

from craftnet.access.principal import ADMIN, PUBLISH, Principal
from craftnet.errors import Forbidden, NotFound, Unauthorized
from craftnet.interfaces import IAuthority, IQueueSource, ISessionSource


class Admitted(Struct, frozen=True):
    """Somebody who may proceed with a session.

    Attributes:
        principal: who.
        owner: whose session it is.
    """

    principal: Principal
    owner: UUID


class Admission:
    """Decides about requests.

    Every method takes the request's bearer token (None when it has none) and returns a Deferred that fails with

    - `craftnet.errors.Unauthorized`: no token, or one that does not hold;
    - `craftnet.errors.Forbidden`: the token holds, but not for this;
    - `craftnet.errors.NotFound`: there is no such session;
    - `craftnet.errors.Unavailable`: keys or sessions are out of reach.
    """

    def __init__(self, authority: IAuthority, sessions: ISessionSource, queues: IQueueSource) -> None:
        self._authority = authority
        self._sessions = sessions
        self._queues = queues

    def authenticate(self, token: str | None) -> Deferred[Principal]:
        """Anybody whose token holds."""
        if token is None:
            # No error code: the caller may not have known that a token is needed (RFC 6750 section 3.1).
            return fail(Unauthorized("This needs a bearer token."))
        return self._authority.authenticate(token)

    @inlineCallbacks
    def crafting(
        self, token: str | None, session_id: UUID, player_id: UUID | None = None
    ) -> Generator[Deferred[Any], Any, Admitted]:
        """Who may observe a session. A `player_id` that the request names must be the owner's."""
        principal: Principal = yield self.authenticate(token)
        owner: UUID = yield self._owner(session_id)
        if not principal.may_observe(owner):
            raise Forbidden("The session is another player's.")
        return _admitted(principal, owner, player_id)

    @inlineCallbacks
    def player(
        self, token: str | None, session_id: UUID, player_id: UUID | None = None
    ) -> Generator[Deferred[Any], Any, Admitted]:
        """Who may post about a session, or open a UDP connection for it: its observers, and the crafting authority.

        Only what comes from a principal that `may_publish` is truth; from anybody else it is a claim.
        """
        principal: Principal = yield self.authenticate(token)
        owner: UUID = yield self._owner(session_id)
        if not (principal.may_observe(owner) or principal.may_publish):
            raise Forbidden("The session is another player's.")
        return _admitted(principal, owner, player_id)

    @inlineCallbacks
    def observe(self, token: str | None, player_id: UUID) -> Generator[Deferred[Principal], Principal, Principal]:
        """Who may observe a player, whichever sessions and queues that is about."""
        principal = yield self.authenticate(token)
        if not principal.may_observe(player_id):
            raise Forbidden("The token is another player's.")
        return principal

    @inlineCallbacks
    def queue(self, token: str | None, player_id: UUID) -> Generator[Deferred[Any], Any, Principal]:
        """Who may observe a player's queue entries."""
        principal: Principal = yield self.observe(token, player_id)
        yield self._queues.get(player_id)  # who could be told nothing now is to come later.
        return principal

    @inlineCallbacks
    def health(self, token: str | None) -> Generator[Deferred[Principal], Principal, Principal]:
        """Who may observe the health feeds."""
        return (yield self.administer(token))

    @inlineCallbacks
    def administer(self, token: str | None) -> Generator[Deferred[Principal], Principal, Principal]:
        """Who may do what operators do."""
        principal = yield self.authenticate(token)
        if not principal.may_administer:
            raise _insufficient(ADMIN)
        return principal

    @inlineCallbacks
    def renew(self, token: str | None, former: Principal) -> Generator[Deferred[Principal], Principal, Principal]:
        """Who may go on with what `former` was admitted to."""
        principal = yield self.authenticate(token)
        if not principal.succeeds(former):
            raise Forbidden("The token is for somebody else, or allows less than the one before.")
        return principal

    @inlineCallbacks
    def publish(self, token: str | None) -> Generator[Deferred[Principal], Principal, Principal]:
        """Who may send the crafting authority's events."""
        principal = yield self.authenticate(token)
        if not principal.may_publish:
            raise _insufficient(PUBLISH)
        return principal

    @inlineCallbacks
    def _owner(self, session_id: UUID) -> Generator[Deferred[Any], Any, UUID]:
        """Whose session it is: one that runs or has run, or one that still waits for a station."""
        state = yield self._sessions.get(session_id)
        if state is None:
            state = yield self._queues.find(session_id)
        if state is None:
            raise NotFound("There is no such session.")
        return state.player_id  # type: ignore[no-any-return]  # both kinds of state have one.


def _admitted(principal: Principal, owner: UUID, player_id: UUID | None) -> Admitted:
    if player_id is not None and player_id != owner:
        raise Forbidden("The session is not this player's.", details={"parameter": "player_id"})
    return Admitted(principal, owner)


def _insufficient(scope: str) -> Forbidden:
    return Forbidden(f"This needs a token with the scope {scope}.", details={"scope": scope})
