"""Decides whether a request that needs a token may proceed: one order of refusals for HTTP and WebSocket.

The rules about what a principal may do are in `craftnet.access.principal`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred, fail

from craftnet.access.principal import ADMIN, OPERATE, PUBLISH, RELAY, Principal
from craftnet.contract.traces import TraceParent
from craftnet.errors import Forbidden, Refusal, TooManyRequests, Unauthorized, no_session
from craftnet.interfaces import IAuditLog, IQueueSource, ISessionSource, ITokenVerifier
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType
from craftnet.observe.audit.recorder import NoAudit

Span = TypeVar("Span")
Asked = TypeVar("Asked")
Answer = TypeVar("Answer", covariant=True)


SECURITY_EVENTS = {
    Unauthorized.status: SecurityEventType.UNAUTHENTICATED,
    Forbidden.status: SecurityEventType.DENIED,
    TooManyRequests.status: SecurityEventType.LIMITED,
}
"""The refusals that are security events, by their status."""


class RequestOrigin(Struct, frozen=True):
    """Where a request comes from, for the audit.

    Attributes:
        address: of the client, as far as trusted proxies vouch for it.
        transport: "http", "websocket" or "sse".
        route: the path, without ids.
        trace: the span that it names, if any.
    """

    address: str = ""
    transport: str = ""
    route: str = ""
    trace: TraceParent | None = None


class OwnedSession(NamedTuple):
    """A session and its owner: the ids of the source, so that what keeps them for long shares them."""

    session_id: UUID
    player_id: UUID


class RequestTracer(Protocol[Span]):
    """Traces some requests."""

    def request(self, transport: str, route: str, client: TraceParent | None) -> Span | None:
        """Begins the span of a request; None when it is not traced.

        Arguments:
            client: the span that the client names, which is linked and decides nothing.
        """

    def finish(self, span: Span, refusal: BaseException | None = None) -> None:
        """Ends a span, with the reason when the request was not answered."""


class GuardedRequest(Protocol[Asked, Answer]):
    """A request to a route that needs a token. Its route (404) and method (405) were checked before."""

    def limit(self) -> None:
        """Counts the request against the limits of its address.

        Raises:
            TooManyRequests: one of them is exceeded.
        """

    def token(self) -> str | None:
        """The bearer token, unverified; None when there is none.

        Raises:
            Unauthorized: it is malformed, or there is more than one.
        """

    def origin(self) -> RequestOrigin:
        """Where it comes from."""

    def read(self) -> Asked:
        """The requested thing.

        Raises:
            UnsupportedMediaType, BadRequest: the request is malformed.
        """

    async def decide(self, principal: Principal, asked: Asked) -> Answer:
        """The answer.

        Raises:
            Refusal: NotFound, then Forbidden, then any other.
        """


class Authorization:
    """Decides about requests.

    Arguments:
        owner_in_other_process: returns the owner of a session that another process keeps; None where there is no such
            process.
        audit: records refusals.
        tracer: traces some requests; None: none.

    Its methods raise, or the Deferreds that they return fail with

    - `craftnet.errors.Unauthorized`: no token, or an invalid one;
    - `craftnet.errors.Forbidden`: the token is valid, but not for this;
    - `craftnet.errors.NotFound`: there is no such session;
    - `craftnet.errors.Unavailable`: keys or sessions are unreachable.
    """

    def __init__(
        self,
        authority: ITokenVerifier,
        sessions: ISessionSource,
        queues: IQueueSource,
        owner_in_other_process: Callable[[UUID], Awaitable[UUID | None]] | None = None,
        audit: IAuditLog | None = None,
        tracer: RequestTracer[Any] | None = None,
    ) -> None:
        self._tracer = tracer
        self._audit: IAuditLog = audit or NoAudit()
        self._owner_in_other_process = owner_in_other_process
        self._authority = authority
        self._sessions = sessions
        self._queues = queues

    def authorize(self, request: GuardedRequest[Asked, Answer]) -> Coroutine[Any, Any, Answer]:
        """Answers a request, or refuses it for the first reason that applies: 429 of its address, 401, 415 or 400,
        404 of a session, 403.

        A client without a valid token learns neither what is wrong with a request nor which sessions exist. No address
        can have tokens verified faster than its rate.

        Raises:
            Refusal: as the parts of the request raise it; Unauthorized also for an invalid token.
        """
        return self._authorize(request) if self._tracer is None else self._traced(request, self._tracer)

    async def _traced(self, request: GuardedRequest[Asked, Answer], tracer: RequestTracer[Any]) -> Answer:
        origin = request.origin()
        span = tracer.request(origin.transport, origin.route, origin.trace)
        if span is None:
            return await self._authorize(request)
        try:
            answer = await self._authorize(request)
        except BaseException as error:
            tracer.finish(span, error)
            raise
        tracer.finish(span)
        return answer

    async def _authorize(self, request: GuardedRequest[Asked, Answer]) -> Answer:
        principal = None
        try:
            request.limit()
            principal = await self.authenticate(request.token())
            return await request.decide(principal, request.read())
        except (Unauthorized, Forbidden, TooManyRequests) as refusal:
            record_refusal(self._audit, refusal, request.origin(), None if principal is None else principal.player_id)
            raise

    def authenticate(self, token: str | None) -> Deferred[Principal]:
        """The principal of a valid token."""
        if token is None:
            return fail(missing_token())
        return self._authority.authenticate(token)

    async def crafting(self, principal: Principal, session_id: UUID, player_id: UUID | None = None) -> UUID:
        """Authorises observing a session. Returns its owner, which a `player_id` of the request must equal."""
        owner = (await self._owned(session_id)).player_id
        check_owner(owner, player_id, allowed=principal.may_observe(owner))
        return owner

    async def player(self, principal: Principal, session_id: UUID, player_id: UUID | None = None) -> OwnedSession:
        """Authorises reports about a session and UDP connections for it: to its observers and to the authority.

        Returns the session and its owner, which a `player_id` of the request must equal. Only what comes from a
        principal that `may_publish` is truth; anything else is a report.
        """
        owned = await self._owned(session_id)
        allowed = principal.may_observe(owned.player_id) or principal.may_publish
        check_owner(owned.player_id, player_id, allowed=allowed)
        return owned

    async def queue(self, principal: Principal, player_id: UUID) -> None:
        """Authorises observing a player's queue entries."""
        check_may_observe(principal, player_id)
        await self._queues.get(player_id)  # a watcher that cannot be served now should retry later.

    async def renew(self, token: str | None, former: Principal) -> Principal:
        """Authorises continuing what `former` was admitted to."""
        try:
            principal = await self.authenticate(token)
            if not principal.succeeds(former):
                raise Forbidden("The token is another player's, or allows less than the previous one.")
        except (Unauthorized, Forbidden) as refusal:
            record_refusal(self._audit, refusal, RequestOrigin(transport="websocket"), former.player_id)
            raise
        return principal

    async def _owned(self, session_id: UUID) -> OwnedSession:
        """The owner of a session that runs, has run, or still waits for a station."""
        session = await self._sessions.get(session_id)
        if session is not None:
            return OwnedSession(session.session_id, session.player_id)
        entry = await self._queues.find(session_id)
        if entry is not None:
            return OwnedSession(session_id, entry.player_id)
        owner = None if self._owner_in_other_process is None else await self._owner_in_other_process(session_id)
        if owner is None:
            raise no_session()
        return OwnedSession(session_id, owner)


def record_refusal(audit: IAuditLog, refusal: Refusal, origin: RequestOrigin, player_id: UUID | None = None) -> None:
    """Records a refusal, if it is a security event.

    Arguments:
        player_id: the bearer, as far as it was authenticated.
    """
    kind = SECURITY_EVENTS.get(refusal.status)
    if kind is not None:
        audit.record(
            SecurityEvent(
                type=kind,
                player_id=player_id,
                address=origin.address,
                transport=origin.transport,
                route=origin.route,
                status=refusal.status,
                reason=refusal.message,
                trace_id="" if origin.trace is None else origin.trace.trace_id,
            )
        )


def check_owner(owner: UUID, player_id: UUID | None, *, allowed: bool) -> None:
    """Checks a request for a session.

    Arguments:
        player_id: the player whom the request names as the owner; None: it names none.
        allowed: whether the principal may observe the owner's sessions, or has another right to this one.

    Raises:
        Forbidden: it may not, or the request names another player.
    """
    if not allowed:
        raise Forbidden("The session is another player's.")
    if player_id is not None and player_id != owner:
        raise Forbidden("The session is not this player's.", details={"parameter": "player_id"})


def missing_token() -> Unauthorized:
    """No error code: the caller may not have known that a token is needed (RFC 6750 section 3.1)."""
    return Unauthorized("This request needs a bearer token.")


def check_may_observe(principal: Principal, player_id: UUID) -> None:
    """Authorises observing a player, whichever sessions and queues that concerns.

    Raises:
        Forbidden: the principal may not.
    """
    if not principal.may_observe(player_id):
        raise Forbidden("The token is another player's.")


def check_may_administer(principal: Principal) -> None:
    """Authorises operators' actions and observing the health feeds.

    Raises:
        Forbidden: the principal may not.
    """
    _check_scope(principal.may_administer, ADMIN)


def check_may_publish(principal: Principal) -> None:
    """Authorises sending the crafting authority's events; raises as `check_may_administer` does."""
    _check_scope(principal.may_publish, PUBLISH)


def check_may_operate(principal: Principal) -> None:
    """Authorises acting through the admin API; raises as `check_may_administer` does."""
    _check_scope(principal.may_operate, OPERATE)


def check_may_relay(principal: Principal) -> None:
    """Authorises an edge to follow the state of every player; raises as `check_may_administer` does."""
    _check_scope(principal.may_relay, RELAY)


def _check_scope(allowed: bool, scope: str) -> None:
    if not allowed:
        raise Forbidden(f"This request needs a token with the scope {scope}.", details={"scope": scope})
