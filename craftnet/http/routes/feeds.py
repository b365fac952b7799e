"""The WebSocket routes without an Upgrade header, and `/ws/dictionaries/{id}`."""

from __future__ import annotations

from typing import NoReturn
from uuid import UUID

from craftnet.access.authorization import Authorization, check_may_administer, check_may_observe
from craftnet.access.principal import Principal
from craftnet.contract.http_bodies import HealthWebSocketInfo, PlayerSessions
from craftnet.contract.routes import BasePaths, CraftingTarget, QueueTarget, Target, find_feed
from craftnet.errors import NotFound, UpgradeRequired
from craftnet.http.exchange import OCTETS, AddressCheck, Call, Endpoint, GuardedEndpoint, Response, json_response
from craftnet.http.negotiation import matches
from craftnet.interfaces import IDemonstration
from craftnet.protocols.websocket.core.compression import KNOWN, UnknownDictionary, dictionary

FOREVER = 365 * 24 * 3600
"""Seconds. A dictionary never changes; a better one gets another id."""


class Dictionaries(Endpoint):
    """Public: dictionaries contain only field names and typical values."""

    async def respond(self, call: Call) -> Response:
        """The octets of a dictionary, or 304."""
        text = call.parameters["id"]
        try:
            found = dictionary(int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0)
        except UnknownDictionary:
            raise NotFound("There is no such dictionary.", details={"dictionaries": list(KNOWN)}) from None
        etag = f'"{found.digest}"'
        headers = {"ETag": etag, "Cache-Control": f"public, max-age={FOREVER}, immutable"}
        if matches(call.header("If-None-Match"), frozenset({etag})):
            return Response(304, headers=headers)
        return Response(200, found.octets, headers, OCTETS)


class FeedHint(GuardedEndpoint[Target]):
    """`/ws/…`: refuses as the WebSocket would and, when it would accept, asks for an upgrade."""

    def __init__(self, admission: Authorization, bases: BasePaths) -> None:
        super().__init__(admission)
        self._bases = bases

    def read(self, call: Call) -> Target:
        """Parses the ids."""
        return find_feed(call.path, self._bases)(call.query)

    async def decide(self, call: Call, principal: Principal, asked: Target) -> NoReturn:
        """Refuses with 426, only where an upgrade would be accepted."""
        match asked:
            case CraftingTarget(session_id=session_id, player_id=player_id):
                await self._admission.crafting(principal, session_id, player_id)
            case QueueTarget(player_id=player_id):
                await self._admission.queue(principal, player_id)
        raise UpgradeRequired


class HealthFeedInfo(GuardedEndpoint[Target]):
    """`/health/ws`

    Arguments:
        protocols: the supported WebSocket subprotocols.
    """

    def __init__(
        self, admission: Authorization, bases: BasePaths, protocols: tuple[str, ...], limit: AddressCheck | None = None
    ) -> None:
        super().__init__(admission, limit)
        self._bases = bases
        self._protocols = list(protocols)

    def read(self, call: Call) -> Target:
        """Parses the services."""
        return find_feed(call.path, self._bases)(call.query)

    async def decide(self, call: Call, principal: Principal, asked: Target) -> Response:
        """The URL of the feed."""
        check_may_administer(principal)
        url = call.server.websocket(call.path, "/health/ws")
        return json_response(HealthWebSocketInfo(websocket_url=url, supported_protocols=self._protocols))


class SessionsUnderWay(GuardedEndpoint[UUID]):
    """`/players/{player_id}/sessions`

    Arguments:
        showcase: lists them; None where the back end cannot.
    """

    def __init__(self, admission: Authorization, showcase: IDemonstration | None) -> None:
        super().__init__(admission)
        self._showcase = showcase

    def read(self, call: Call) -> UUID:
        """Parses the player's id."""
        return call.identifier("player_id")

    async def decide(self, call: Call, principal: Principal, asked: UUID) -> Response:
        """Lists the player's current sessions."""
        if self._showcase is None:
            raise NotFound("The back end of this server does not list sessions by player: name a session.")
        check_may_observe(principal, asked)
        return json_response(PlayerSessions(sessions=tuple(self._showcase.under_way(asked))))
