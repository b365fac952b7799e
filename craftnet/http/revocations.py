"""`/revocations`: where the login service says that tokens hold no longer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from craftnet.access.admission import Admission
from craftnet.access.principal import Principal
from craftnet.access.revocation import LIFETIME, Revocations
from craftnet.errors import BadRequest
from craftnet.http.exchange import JSON, Call, Endpoint, Response, json_response
from craftnet.messages import RevocationRequest, RevocationResponse, instant

Enforcer = Callable[[Callable[[Principal], bool]], int]
"""Closes the connections of the principals that are covered; answers how many."""


class RevocationList(Endpoint):
    """`/revocations`

    Arguments:
        enforcers: one for each transport.
    """

    methods = ("POST",)
    accepts = frozenset({JSON})

    def __init__(
        self, admission: Admission, revocations: Revocations, enforcers: Sequence[Enforcer], now: Callable[[], float]
    ) -> None:
        self._admission = admission
        self._revocations = revocations
        self._enforcers = enforcers
        self._now = now

    async def respond(self, call: Call) -> Response:
        """Revoke, and close what is open."""
        await self._admission.administer(call.token)
        request = call.decode(RevocationRequest)
        if request.jti is None and request.player_id is None:
            raise BadRequest("The body names neither jti nor player_id.")
        now = self._now()
        until = now + LIFETIME if request.expires is None else request.expires.timestamp()
        self._revocations.revoke(request.jti, request.player_id, until, now)
        closed = sum(enforce(self._revocations.covers) for enforce in self._enforcers)
        return json_response(RevocationResponse(closed=closed, expires=instant(until)))
