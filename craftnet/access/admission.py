"""Whether a request that needs a token may proceed: one decision, and one order of refusals, for HTTP and WebSocket.

The rules on what a principal may do are in `craftnet.access.principal`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar
from uuid import UUID

from twisted.internet.defer import Deferred, fail

from craftnet.access.principal import ADMIN, PUBLISH, Principal
from craftnet.errors import Forbidden, NotFound, Unauthorized
from craftnet.interfaces import IAuthority, IQueueSource, ISessionSource

Asked = TypeVar("Asked")
Answer = TypeVar("Answer", covariant=True)


class GuardedRequest(Protocol[Asked, Answer]):
    """A request to a route that needs a token. Route (404) and method (405) are found to be right before."""

    def limit(self) -> None:
        """Count the request against the limits of its address.

        Raises:
            TooManyRequests: one of them is reached.
        """

    def token(self) -> str | None:
        """The bearer token, unchecked; None without one.

        Raises:
            Unauthorized: it is malformed, or there is more than one.
        """

    def read(self) -> Asked:
        """What is asked for.

        Raises:
            UnsupportedMediaType, BadRequest: it is malformed.
        """

    async def decide(self, principal: Principal, asked: Asked) -> Answer:
        """Answer.

        Raises:
            Refusal: NotFound, then Forbidden, then whatever is left.
        """


class Admission:
    """Decides about requests.

    Arguments:
        elsewhere: answers whose a session is that another process keeps; None where there is no such process.

    Its methods raise, or the Deferreds that they return fail with

    - `craftnet.errors.Unauthorized`: no token, or one that does not hold;
    - `craftnet.errors.Forbidden`: the token holds, but not for this;
    - `craftnet.errors.NotFound`: there is no such session;
    - `craftnet.errors.Unavailable`: keys or sessions are out of reach.
    """

    def __init__(
        self,
        authority: IAuthority,
        sessions: ISessionSource,
        queues: IQueueSource,
        elsewhere: Callable[[UUID], Awaitable[UUID | None]] | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self._authority = authority
        self._sessions = sessions
        self._queues = queues

    async def judge(self, request: GuardedRequest[Asked, Answer]) -> Answer:
        """Answer a request, or refuse it for the first of these reasons that holds: 429 of its address, 401, 415 or
        400, 404 of a session, 403.

        So nobody learns what is wrong with a request, or which sessions there are, without a token that holds; and
        nobody has tokens checked faster than an address may.

        Raises:
            Refusal: as the parts of the request raise it; Unauthorized also when the token does not hold.
        """
        request.limit()
        principal = await self.authenticate(request.token())
        return await request.decide(principal, request.read())

    def authenticate(self, token: str | None) -> Deferred[Principal]:
        """Anybody whose token holds."""
        if token is None:
            return fail(no_token())
        return self._authority.authenticate(token)

    async def crafting(self, principal: Principal, session_id: UUID, player_id: UUID | None = None) -> UUID:
        """Who may observe a session. Answers its owner; a `player_id` that the request names must be that one."""
        owner = await self._owner(session_id)
        if not principal.may_observe(owner):
            raise Forbidden("The session is another player's.")
        _check_owner(owner, player_id)
        return owner

    async def player(self, principal: Principal, session_id: UUID, player_id: UUID | None = None) -> UUID:
        """Who may post about a session, or open a UDP connection for it: its observers, and the crafting authority.

        Answers the session's owner; a `player_id` that the request names must be that one. Only what comes from a
        principal that `may_publish` is truth; from anybody else it is a claim.
        """
        owner = await self._owner(session_id)
        if not (principal.may_observe(owner) or principal.may_publish):
            raise Forbidden("The session is another player's.")
        _check_owner(owner, player_id)
        return owner

    async def queue(self, principal: Principal, player_id: UUID) -> None:
        """Who may observe a player's queue entries."""
        observe(principal, player_id)
        await self._queues.get(player_id)  # who could be told nothing now is to come later.

    async def renew(self, token: str | None, former: Principal) -> Principal:
        """Who may go on with what `former` was admitted to."""
        principal = await self.authenticate(token)
        if not principal.succeeds(former):
            raise Forbidden("The token is for somebody else, or allows less than the one before.")
        return principal

    async def _owner(self, session_id: UUID) -> UUID:
        """Whose session it is: one that runs or has run, or one that still waits for a station."""
        session = await self._sessions.get(session_id)
        if session is not None:
            return session.player_id
        entry = await self._queues.find(session_id)
        if entry is not None:
            return entry.player_id
        owner = None if self._elsewhere is None else await self._elsewhere(session_id)
        if owner is None:
            raise NotFound("There is no such session.")
        return owner


def _check_owner(owner: UUID, player_id: UUID | None) -> None:
    if player_id is not None and player_id != owner:
        raise Forbidden("The session is not this player's.", details={"parameter": "player_id"})


def no_token() -> Unauthorized:
    """Without an error code: the caller may not have known that a token is needed (RFC 6750 section 3.1)."""
    return Unauthorized("This needs a bearer token.")


def observe(principal: Principal, player_id: UUID) -> None:
    """Who may observe a player, whichever sessions and queues that is about.

    Raises:
        Forbidden: everybody else.
    """
    if not principal.may_observe(player_id):
        raise Forbidden("The token is another player's.")


def administer(principal: Principal) -> None:
    """Who may do what operators do, and observe the health feeds.

    Raises:
        Forbidden: everybody else.
    """
    _check_scope(principal.may_administer, ADMIN)


def publish(principal: Principal) -> None:
    """Who may send the crafting authority's events; raises as `administer` does."""
    _check_scope(principal.may_publish, PUBLISH)


def _check_scope(allowed: bool, scope: str) -> None:
    if not allowed:
        raise Forbidden(f"This needs a token with the scope {scope}.", details={"scope": scope})
