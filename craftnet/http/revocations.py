"""`/revocations`: the login service revokes tokens."""

from __future__ import annotations

from collections.abc import Callable

from craftnet.access.admission import Admission, administer
from craftnet.access.enforcement import Enforcement
from craftnet.access.principal import Principal
from craftnet.access.revocation import LIFETIME
from craftnet.access.revoked import Revocation
from craftnet.bodies import RevocationRequest, RevocationResponse
from craftnet.errors import BadRequest
from craftnet.http.exchange import JSON, Call, GuardedEndpoint, Response, json_response
from craftnet.messages import instant


class RevocationList(GuardedEndpoint[RevocationRequest]):
    """`/revocations`"""

    methods = ("POST",)
    accepts = frozenset({JSON})

    def __init__(self, admission: Admission, enforcement: Enforcement, now: Callable[[], float]) -> None:
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
        administer(principal)
        now = self._now()
        until = now + LIFETIME if asked.expires is None else asked.expires.timestamp()
        closed = await self._enforcement.revoke(Revocation(asked.jti, asked.player_id, now, until))
        return json_response(RevocationResponse(closed=closed, expires=instant(until)))
