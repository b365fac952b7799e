"""The WebSocket routes, asked without an Upgrade header. (With one, the door takes them to Autobahn.)"""

from __future__ import annotations

from craftnet.access.admission import Admission
from craftnet.errors import NotFound, UpgradeRequired
from craftnet.http.exchange import Call, Endpoint, Response, json_response
from craftnet.interfaces import IShowcase
from craftnet.messages import HealthWebSocketInfo, PlayerSessions
from craftnet.targets import BasePaths, find_feed


class FeedHint(Endpoint):
    """`/ws/…`"""

    def __init__(self, bases: BasePaths) -> None:
        self._bases = bases

    async def respond(self, call: Call) -> Response:
        """Say what is wrong with the ids, or else that an upgrade is needed."""
        find_feed(call.path, self._bases)(call.query)
        raise UpgradeRequired


class HealthFeedInfo(Endpoint):
    """`/health/ws`

    Arguments:
        protocols: the WebSocket subprotocols that are spoken.
    """

    def __init__(self, admission: Admission, bases: BasePaths, protocols: tuple[str, ...]) -> None:
        self._admission = admission
        self._bases = bases
        self._protocols = list(protocols)

    async def respond(self, call: Call) -> Response:
        """Where the feed is."""
        find_feed(call.path, self._bases)(call.query)
        await self._admission.health(call.token)
        url = call.server.websocket(call.path, "/health/ws")
        return json_response(HealthWebSocketInfo(websocket_url=url, supported_protocols=self._protocols))


class SessionsUnderWay(Endpoint):
    """`/players/{player_id}/sessions`

    Arguments:
        showcase: what knows them; None where the back end does not.
    """

    def __init__(self, admission: Admission, showcase: IShowcase | None) -> None:
        self._admission = admission
        self._showcase = showcase

    async def respond(self, call: Call) -> Response:
        """List them."""
        player_id = call.identifier("player_id")
        await self._admission.observe(call.token, player_id)
        if self._showcase is None:
            raise NotFound("The back end of this server does not list sessions by player: name a session.")
        return json_response(PlayerSessions(sessions=tuple(self._showcase.under_way(player_id))))
