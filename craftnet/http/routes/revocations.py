"""`/revocations`: the login service revokes tokens."""

from __future__ import annotations

from collections.abc import Callable

from craftnet.access.authorization import Authorization, check_may_administer
from craftnet.access.principal import Principal
from craftnet.access.revocation.enforcement import Enforcement
from craftnet.access.revocation.revocations import DEFAULT_REVOCATION_SECONDS, Revocation
from craftnet.contract.http_bodies import RevocationRequest, RevocationResponse
from craftnet.contract.messages import rfc3339
from craftnet.errors import BadRequest
from craftnet.http.exchange import JSON, Call, GuardedEndpoint, Response, json_response
from craftnet.http.operations import FAILURES, ID_EXAMPLE, Answer, ApiOperation, Body, Tag, by_method


class RevocationList(GuardedEndpoint[RevocationRequest]):
    """`/revocations`"""

    operations = by_method(
        POST=ApiOperation(
            "revokeTokens",
            "Revokes tokens, and closes what they opened",
            Tag.AUTHORITY,
            {200: Answer("The revocation is in force.", RevocationResponse), 429: FAILURES[429]},
            "Needs the scope `crafting:admin`.",
            bodies={JSON: Body(RevocationRequest, {"player_id": ID_EXAMPLE})},
        )
    )
    methods = ("POST",)
    accepts = frozenset({JSON})

    def __init__(self, admission: Authorization, enforcement: Enforcement, now: Callable[[], float]) -> None:
        super().__init__(admission)
        self._enforcement = enforcement
        self._now = now

    def read(self, call: Call) -> RevocationRequest:
        """Parses which tokens."""
        request = call.decode(RevocationRequest)
        if request.jti is None and request.player_id is None:
            raise BadRequest("The body names neither jti nor player_id.")
        return request

    async def decide(self, call: Call, principal: Principal, asked: RevocationRequest) -> Response:
        """Revokes, and closes the covered connections."""
        check_may_administer(principal)
        now = self._now()
        until = now + DEFAULT_REVOCATION_SECONDS if asked.expires is None else asked.expires.timestamp()
        revocation = Revocation(asked.jti, asked.player_id, now, until)
        closed = await self._enforcement.revoke(revocation, actor=principal.actor)
        return json_response(RevocationResponse(closed=closed, expires=rfc3339(until)))
