"""`/revocations`: where the login service says that tokens hold no longer."""

from __future__ import annotations

from collections.abc import Callable

from craftnet.access.admission import Admission
from craftnet.access.enforcement import Enforcement
from craftnet.access.revocation import LIFETIME
from craftnet.access.revoked import Revocation
from craftnet.errors import BadRequest
from craftnet.http.exchange import JSON, Call, Endpoint, Response, json_response
from craftnet.messages import RevocationRequest, RevocationResponse, instant


class RevocationList(Endpoint):
    """`/revocations`"""

    methods = ("POST",)
    accepts = frozenset({JSON})

    def __init__(self, admission: Admission, enforcement: Enforcement, now: Callable[[], float]) -> None:
        self._admission = admission
        self._enforcement = enforcement
        self._now = now

    async def respond(self, call: Call) -> Response:
        """Revoke, and close what is open."""
        await self._admission.administer(call.token)
        request = call.decode(RevocationRequest)
        if request.jti is None and request.player_id is None:
            raise BadRequest("The body names neither jti nor player_id.")
        now = self._now()
        until = now + LIFETIME if request.expires is None else request.expires.timestamp()
        closed = await self._enforcement.revoke(Revocation(request.jti, request.player_id, now, until))
        return json_response(RevocationResponse(closed=closed, expires=instant(until)))
