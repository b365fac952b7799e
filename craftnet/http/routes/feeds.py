"""The routes of feeds for requests that do not open one, and `/ws/dictionaries/{id}`."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar
from uuid import UUID

from msgspec import Meta
from msgspec.structs import replace
from zope.interface import implementer

from craftnet.access.authorization import Authorization, check_may_administer
from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.devices import (
    MAX_DEVICE_NAME,
    DeviceCursorMessage,
    DeviceRefused,
    DevicesMessage,
    Dismissed,
    Seen,
)
from craftnet.contract.http_bodies import (
    CraftingSnapshot,
    FeedSnapshot,
    HealthWebSocketInfo,
    QueueSnapshot,
)
from craftnet.contract.messages import (
    Service,
    WebSocketCraftingMessage,
    WebSocketHealthMessage,
    WebSocketQueueMessage,
)
from craftnet.contract.position import POSITION_PATTERN
from craftnet.contract.routes import (
    EVENT_STREAM,
    HEARTBEATS,
    MAX_RESUMED,
    WEBSOCKET,
    BasePaths,
    PlayerTarget,
    QueueTarget,
    Target,
    find_feed,
)
from craftnet.crafting.updates import Message as FeedMessage
from craftnet.crafting.updates import Update
from craftnet.errors import BadRequest, NotFound, UpgradeRequired
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.http.exchange import JSON, OCTETS, AddressCheck, Call, Endpoint, GuardedEndpoint, Response, json_response
from craftnet.http.negotiation import matches, media_weight
from craftnet.http.operations import (
    FAILURES,
    PLAYER_EXAMPLE,
    UUID_PATTERN,
    Answer,
    ApiOperation,
    Binary,
    Channel,
    HeaderField,
    Message,
    Parameter,
    Tag,
    Text,
    by_method,
)
from craftnet.http.static_pages import IMMUTABLE
from craftnet.interfaces import ISubscriber
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.protocols.sse.core.event_stream import HEADERS, MEDIA_TYPE, StreamEnd
from craftnet.protocols.websocket.core.dictionaries import Dictionaries, UnknownDictionary
from craftnet.protocols.websocket.core.token_renewal import TokenAccepted, TokenOffer, TokenRefused

CRAFTING = Message(WebSocketCraftingMessage, "Progress, materials or the queue of a session.")
QUEUE = Message(WebSocketQueueMessage, "A player's place in a queue.")
HEALTH = Message(WebSocketHealthMessage, "The health of a service.")
STREAM_END = Message(StreamEnd, "The event `close`, the last one: why the stream ended.")

TOKEN_ANSWERS = (
    Message(TokenAccepted, "The answer to a fresh token that is accepted."),
    Message(TokenRefused, "The answer to a fresh token that is refused."),
)
TOKEN_OFFER = Message(TokenOffer, "A fresh token for the open feed.")

DEVICE_MESSAGES = (
    Message(DevicesMessage, "All devices of the player."),
    Message(DeviceCursorMessage, "More was seen or dismissed than by any device before."),
    Message(DeviceRefused, "A device was not registered, or its report was not taken."),
)
DEVICE_REPORTS = (Message(Seen, "What the device has shown."), Message(Dismissed, "What the player has dismissed."))

_OWNER = Parameter("player_id", UUID, "The owner of the session.", required=True, example=PLAYER_EXAMPLE)
_RESUME = Parameter(
    "resume",
    Annotated[str, Meta(pattern=f"^{POSITION_PATTERN}$")],
    "The position of the client's last message: the missed changes follow, or the full state.",
)
_RESUMES = Parameter(
    "resume",
    Annotated[
        list[Annotated[str, Meta(pattern=rf"^({UUID_PATTERN}@)?{POSITION_PATTERN}$")]],
        Meta(min_length=1, max_length=MAX_RESUMED),
    ],
    "Positions: of the queue, or of a session as `session_id@position`.",
)
_HEARTBEAT = Parameter(
    "heartbeat",
    Annotated[int, Meta(ge=HEARTBEATS[0], le=HEARTBEATS[1])],
    "Seconds of silence after which the server sends a message without data.",
)
_DEVICE = Parameter(
    "device",
    Annotated[str, Meta(min_length=1, max_length=MAX_DEVICE_NAME)],
    "The name of the player's device, with `--devices`; without that option it has no effect.",
    example="phone",
)
_SERVICES = Parameter("services", list[Service], "The services to report on; all services if none is named.")
_LAST_EVENT = Parameter("Last-Event-ID", str, "The position to resume at, as browsers send it.", "header")

_SWITCHING = Answer(
    "The WebSocket handshake is complete; the feed begins.",
    headers=(HeaderField("Sec-WebSocket-Protocol", str, "The selected subprotocol.", required=False),),
)


def _websocket(
    name: str,
    feed: str,
    messages: tuple[Message, ...],
    parameters: tuple[Parameter, ...],
    answers: dict[int, Answer],
    receives: tuple[Message, ...] = (),
) -> ApiOperation:
    """The operation of a WebSocket route; `receives` are the messages that clients may send besides tokens."""
    return ApiOperation(
        name,
        f"The {feed} feed",
        Tag.FEEDS,
        {101: _SWITCHING, **answers},
        "With an Upgrade header a WebSocket (RFC 6455, version 13), of the subprotocols `craftnet.json.v1`,"
        " `craftnet.json.lz4.v1` and `craftnet.bin.v1`; without one the answer is JSON.",
        parameters,
        channel=Channel(
            f"{feed}Feed",
            "ws",
            f"The {feed} feed over WebSocket. A client may send a fresh token on it.",
            (*messages, *TOKEN_ANSWERS),
            (TOKEN_OFFER, *receives),
        ),
    )


def _event_stream(feed: str, messages: tuple[Message, ...], *parameters: Parameter) -> ApiOperation:
    """The operation of a route of an event stream."""
    return ApiOperation(
        f"{feed}EventStream",
        f"The {feed} feed as server-sent events",
        Tag.FEEDS,
        {200: Answer("The stream.", Text, media_type=MEDIA_TYPE)},
        "The data of each event is one message as JSON.",
        (*parameters, _LAST_EVENT),
        channel=Channel(f"{feed}Stream", "sse", f"The {feed} feed as server-sent events.", (*messages, STREAM_END)),
    )


def _snapshot(kind: Any) -> dict[int, Answer]:
    """The answers of a feed's WebSocket route to a request without an upgrade."""
    return {200: Answer("The messages with which the feed would begin.", kind), 426: FAILURES[426]}


class DictionaryOctets(Endpoint):
    """Public: dictionaries contain only field names and typical values."""

    def __init__(self, dictionaries: Dictionaries) -> None:
        self._dictionaries = dictionaries

    operations = by_method(
        GET=ApiOperation(
            "compressionDictionary",
            "A dictionary of the compressed subprotocol",
            Tag.FEEDS,
            {
                200: Answer(
                    "The octets.",
                    Binary,
                    (
                        HeaderField("ETag", str, "Entity tag."),
                        HeaderField("Cache-Control", str, "A dictionary never changes."),
                    ),
                    OCTETS,
                ),
                304: Answer("The client has it already (If-None-Match)."),
            },
        )
    )
    reads = ("If-None-Match",)
    cross_origin = True

    async def respond(self, call: Call) -> Response:
        """The octets of a dictionary, or 304."""
        text = call.parameters["id"]
        try:
            found = self._dictionaries.get(int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 0)
        except UnknownDictionary as error:
            raise NotFound("There is no such dictionary.", details={"dictionaries": list(error.known)}) from None
        etag = f'"{found.digest}"'
        headers = {"ETag": etag, "Cache-Control": IMMUTABLE}  # a better dictionary gets another id.
        if matches(call.header("If-None-Match"), frozenset({etag})):
            return Response(304, headers=headers)
        return Response(200, found.octets, headers, OCTETS)


class FeedEndpoint(GuardedEndpoint[Target]):
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
        """Parses the ids. Only an open feed registers a device."""
        target = find_feed(call.path, self._bases, self.transport)(call.query)
        return replace(target, device=None) if isinstance(target, QueueTarget | PlayerTarget) else target


class FeedSnapshots(FeedEndpoint):
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


class CraftingSnapshots(FeedSnapshots):
    """`/ws/crafting/{session_id}`"""

    operations = by_method(
        GET=_websocket(
            "craftingSessionWebSocket",
            "crafting",
            (CRAFTING,),
            (_OWNER, _RESUME, _HEARTBEAT),
            _snapshot(CraftingSnapshot),
        )
    )


class QueueSnapshots(FeedSnapshots):
    """`/ws/queue/{player_id}`"""

    operations = by_method(
        GET=_websocket(
            "craftingQueueWebSocket",
            "queue",
            (QUEUE, *DEVICE_MESSAGES),
            (_RESUME, _HEARTBEAT, _DEVICE),
            _snapshot(QueueSnapshot),
            DEVICE_REPORTS,
        )
    )


class PlayerSnapshots(FeedSnapshots):
    """`/ws/player/{player_id}`"""

    operations = by_method(
        GET=_websocket(
            "playerWebSocket",
            "player",
            (CRAFTING, QUEUE, *DEVICE_MESSAGES),
            (_RESUMES, _HEARTBEAT, _DEVICE),
            _snapshot(FeedSnapshot),
            DEVICE_REPORTS,
        )
    )


@implementer(ISubscriber)
class _Snapshot:
    """Collects the updates with which a feed begins."""

    def __init__(self) -> None:
        self.messages: list[FeedMessage] = []
        self.position: str | None = None

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`."""
        self.messages += update.messages
        if update.at is not None:
            self.position = str(update.at)

    def ended(self, code: CloseCode, reason: str = "") -> None:
        """As in `ISubscriber`: the session was removed meanwhile. What was collected is the newest there was."""


class EventStreamInfo(FeedEndpoint):
    """`/sse/…` for a request that does not open the stream."""

    transport = EVENT_STREAM
    reads = (*GuardedEndpoint.reads, "Last-Event-ID")

    async def decide(self, call: Call, principal: Principal, asked: Target) -> Response:
        """The head of the stream, for HEAD. A GET gets here only with a body."""
        await self._subscriptions.subscribe(asked, principal)
        if call.method == "GET":
            raise BadRequest("A request for an event stream has no body.")
        return Response(200, None, HEADERS, MEDIA_TYPE)


class CraftingStreamInfo(EventStreamInfo):
    """`/sse/crafting/{session_id}`"""

    operations = by_method(GET=_event_stream("crafting", (CRAFTING,), _OWNER, _RESUME, _HEARTBEAT))


class QueueStreamInfo(EventStreamInfo):
    """`/sse/queue/{player_id}`"""

    operations = by_method(GET=_event_stream("queue", (QUEUE, *DEVICE_MESSAGES), _RESUME, _HEARTBEAT, _DEVICE))


class PlayerStreamInfo(EventStreamInfo):
    """`/sse/player/{player_id}`"""

    operations = by_method(
        GET=_event_stream("player", (CRAFTING, QUEUE, *DEVICE_MESSAGES), _RESUMES, _HEARTBEAT, _DEVICE)
    )


class HealthStreamInfo(EventStreamInfo):
    """`/sse/health`"""

    operations = by_method(GET=_event_stream("health", (HEALTH,), _SERVICES, _HEARTBEAT))


class HealthFeedInfo(GuardedEndpoint[Target]):
    """`/health/ws`

    Arguments:
        protocols: the supported WebSocket subprotocols.
    """

    operations = by_method(
        GET=_websocket(
            "craftingNetworkServiceHealthWebSocket",
            "health",
            (HEALTH,),
            (_SERVICES, _HEARTBEAT),
            {200: Answer("Where the feed is.", HealthWebSocketInfo), 426: FAILURES[426]},
        )
    )

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
