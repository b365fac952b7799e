"""The routes of feeds for requests that do not open one, and `/ws/dictionaries/{id}`."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from zope.interface import implementer

from craftnet.access.authorization import Authorization, check_may_administer, check_may_observe
from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.http_bodies import FeedSnapshot, HealthWebSocketInfo, PlayerSessions
from craftnet.contract.routes import EVENT_STREAM, WEBSOCKET, BasePaths, PlayerTarget, Target, find_feed
from craftnet.crafting.updates import Message, Update
from craftnet.errors import BadRequest, NotFound, UpgradeRequired
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.exchange import JSON, OCTETS, AddressCheck, Call, Endpoint, GuardedEndpoint, Response, json_response
from craftnet.http.negotiation import matches, media_weight
from craftnet.interfaces import IDemonstration, ISubscriber
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.protocols.sse.core.event_stream import HEADERS, MEDIA_TYPE
from craftnet.protocols.websocket.core.compression import KNOWN, UnknownDictionary, dictionary

FOREVER = 365 * 24 * 3600
"""Seconds. A dictionary never changes; a better one gets another id."""


class Dictionaries(Endpoint):
    """Public: dictionaries contain only field names and typical values."""

    reads = ("If-None-Match",)
    cross_origin = True

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


class _FeedEndpoint(GuardedEndpoint[Target]):
    """A route of a feed, when a request comes that does not open the feed."""

    transport: ClassVar[str]
    cross_origin = True

    def __init__(
        self,
        admission: Authorization,
        subscriptions: Subscriptions,
        bases: BasePaths,
        guard: HandshakeGuard,
        clock: IClock,
    ) -> None:
        super().__init__(admission, lambda address: guard.check_rate(address, clock.seconds()))
        self._subscriptions = subscriptions
        self._bases = bases

    def read(self, call: Call) -> Target:
        """Parses the ids."""
        return find_feed(call.path, self._bases, self.transport)(call.query)


class FeedSnapshots(_FeedEndpoint):
    """`/ws/…`: the messages with which the feed would begin, for clients that accept JSON."""

    transport = WEBSOCKET

    async def decide(self, call: Call, principal: Principal, asked: Target) -> Response:
        """The current state; 426, only where an upgrade would be accepted, for clients that accept no JSON, and for
        those whose attempt to upgrade is none, such as one over HTTP/1.0.
        """
        subscription = await self._subscriptions.subscribe(asked, principal)
        if call.header("Upgrade") is not None or not media_weight(call.header("Accept"), JSON):
            raise UpgradeRequired("This route is a WebSocket: send an Upgrade header, or accept application/json.")
        snapshot = _Snapshot()
        try:
            await subscription.start(snapshot)
        finally:
            subscription.stop(snapshot)
        # A player's feed consists of several, each with a position of its own.
        position = None if isinstance(asked, PlayerTarget) else snapshot.position
        return json_response(FeedSnapshot(position=position, messages=tuple(snapshot.messages)))


@implementer(ISubscriber)
class _Snapshot:
    """Collects the updates with which a feed begins."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.position: str | None = None

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        self.messages += update.messages
        if update.at is not None:
            self.position = str(update.at)

    def ended(self, code: CloseCode, reason: str = "") -> None:
        """As in `ISubscriber`: the session was removed meanwhile. What was collected is the newest there was."""


class EventStreamInfo(_FeedEndpoint):
    """`/sse/…` for a request that does not open the stream."""

    transport = EVENT_STREAM
    reads = (*GuardedEndpoint.reads, "Last-Event-ID")

    async def decide(self, call: Call, principal: Principal, asked: Target) -> Response:
        """The head of the stream, for HEAD. A GET gets here only with a body."""
        await self._subscriptions.subscribe(asked, principal)
        if call.method == "GET":
            raise BadRequest("A request for an event stream has no body.")
        return Response(200, None, HEADERS, MEDIA_TYPE)


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
