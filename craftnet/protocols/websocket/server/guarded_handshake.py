"""A WebSocket handshake on its way through the checks: what it requests, and what it receives."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace
from twisted.logger import Logger

from craftnet.access.bearer import token_from_handshake
from craftnet.access.principal import Principal
from craftnet.contract.close_codes import close_for_refusal
from craftnet.contract.routes import WEBSOCKET, CraftingTarget, FeedRoutes, PlayerTarget, Target, check_feed
from craftnet.errors import Refusal
from craftnet.feeds.subscriptions import Subscription
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.feed.server.feed_request import FeedRequest
from craftnet.protocols.feed.server.subscriber import SubscriberFactory
from craftnet.protocols.websocket.core.handshake import OpeningHandshake
from craftnet.protocols.websocket.core.subprotocols import BINARY, choose, spoken

log = Logger()


class HandshakeTarget(Struct, frozen=True):
    """What a handshake requests: a feed, and the subprotocol selected from its offers."""

    target: Target
    subprotocol: str | None


class AcceptedHandshake(Struct, frozen=True):
    """What an admitted handshake receives."""

    subscription: Subscription
    subprotocol: str | None


class HandshakeFactory(SubscriberFactory, Protocol):
    """The part of `FeedFactory` that handshakes use."""

    connections: FeedConnections
    routes: FeedRoutes

    @property
    def may_turn_away(self) -> bool:
        """Whether there is room for one more refusal that is sent as a close code."""


class GuardedHandshake(FeedRequest):
    """A `craftnet.access.authorization.GuardedRequest`.

    Arguments:
        peer: the address from which the connection comes.

    Attributes:
        request: the parsed handshake.
    """

    def __init__(self, request: OpeningHandshake, peer: str, factory: HandshakeFactory) -> None:
        super().__init__(request.path, request.params, request.headers, peer, factory.connections, WEBSOCKET)
        self.request = request
        self._factory = factory
        self._offered: tuple[str, ...] = ()

    def find_feed(self) -> None:
        """Finds the route, among those that this port has."""
        check_feed(self.request.path, self._factory.connections.bases, self._factory.routes)
        super().find_feed()

    def token(self) -> str | None:
        """The token in the Authorization header or in Sec-WebSocket-Protocol."""
        token, self._offered = token_from_handshake(self.request.headers.get("authorization"), self.request.protocols)
        return token

    def read(self) -> HandshakeTarget:
        """Parses the ids, the query and the subprotocols."""
        token_offered = len(self._offered) < len(self.request.protocols)
        subprotocol = choose(self._offered, token_offered=token_offered, page="origin" in self.request.headers)
        target = self.target()
        if subprotocol == BINARY and isinstance(target, CraftingTarget | PlayerTarget):
            target = replace(target, expected=False)  # its records have no room for it.
        return HandshakeTarget(target, subprotocol)

    async def decide(self, principal: Principal, asked: HandshakeTarget) -> AcceptedHandshake:
        """As `subscribe`."""
        subscription = await self.subscribe(principal, asked.target)
        return AcceptedHandshake(subscription, asked.subprotocol)

    def closes_with(self, refusal: Refusal) -> str | None:
        """The subprotocol in which the client gets a refusal as a close code; None if as the HTTP status."""
        if close_for_refusal(refusal) is None or not self._factory.may_turn_away or not self.from_page:
            return None
        return spoken(self.request.protocols)  # without a selected one, a browser fails the handshake.
