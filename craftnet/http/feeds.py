"""The WebSocket routes without an Upgrade header. (With one, they go to Autobahn.)"""

from __future__ import annotations

from typing import NoReturn
from uuid import UUID

from craftnet.access.admission import Admission, administer, observe
from craftnet.access.principal import Principal
from craftnet.bodies import HealthWebSocketInfo, PlayerSessions
from craftnet.errors import NotFound, UpgradeRequired
from craftnet.http.exchange import AddressCheck, Call, GuardedEndpoint, Response, json_response
from craftnet.interfaces import IShowcase
from craftnet.targets import BasePaths, CraftingTarget, QueueTarget, Target, find_feed


class FeedHint(GuardedEndpoint[Target]):
    """`/ws/…`: refuses as the WebSocket would and, when it would accept, asks for an upgrade."""

    def __init__(self, admission: Admission, bases: BasePaths) -> None:
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
        self, admission: Admission, bases: BasePaths, protocols: tuple[str, ...], limit: AddressCheck | None = None
    ) -> None:
        super().__init__(admission, limit)
        self._bases = bases
        self._protocols = list(protocols)

    def read(self, call: Call) -> Target:
        """Parses the services."""
        return find_feed(call.path, self._bases)(call.query)

    async def decide(self, call: Call, principal: Principal, asked: Target) -> Response:
        """The URL of the feed."""
        administer(principal)
        url = call.server.websocket(call.path, "/health/ws")
        return json_response(HealthWebSocketInfo(websocket_url=url, supported_protocols=self._protocols))


class SessionsUnderWay(GuardedEndpoint[UUID]):
    """`/players/{player_id}/sessions`

    Arguments:
        showcase: lists them; None where the back end cannot.
    """

    def __init__(self, admission: Admission, showcase: IShowcase | None) -> None:
        super().__init__(admission)
        self._showcase = showcase

    def read(self, call: Call) -> UUID:
        """Parses the player's id."""
        return call.identifier("player_id")

    async def decide(self, call: Call, principal: Principal, asked: UUID) -> Response:
        """Lists the player's current sessions."""
        if self._showcase is None:
            raise NotFound("The back end of this server does not list sessions by player: name a session.")
        observe(principal, asked)
        return json_response(PlayerSessions(sessions=tuple(self._showcase.under_way(asked))))
