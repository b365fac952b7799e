"""The WebSocket shell: Autobahn on one side, a subscription on the other. It reads, calls and writes; it has no rules.

A feed runs one way, from server to client: the contract's messages as JSON text, and pings. A data message from the
client is a violation of the protocol.
"""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.types import ConnectionDeny, ConnectionRequest
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.access.bearer import token_from_handshake
from craftnet.closecodes import CloseCode
from craftnet.errors import BadRequest, NotFound, Refusal, TooManyRequests
from craftnet.http.exchange import final_octets, refused
from craftnet.interfaces import IWatcher
from craftnet.messages import instant
from craftnet.observe.metrics import Metrics
from craftnet.protocols.conflation import Conflation, TooSlow
from craftnet.protocols.encodings import encoding
from craftnet.protocols.subprotocols import choose
from craftnet.protocols.transmit import bound_buffers, transmit
from craftnet.subscriptions import Subscription, Subscriptions
from craftnet.targets import parse_target
from craftnet.updates import Update
from craftnet.wheel import Wheel

HEARTBEAT = 30
"""Seconds between pings. A ping must be answered, and a close handshake be complete, before the next one is due."""

SHUTDOWN_TIMEOUT = 5.0
"""Seconds for the close handshakes when the server goes away."""

MAX_MESSAGE = 4096
"""Bytes in a client's message."""

RETRY_AFTER = 5
"""Seconds after which a client that found the server full may ask again."""

log = Logger()

Result = TypeVar("Result")


@implementer(IWatcher, IPushProducer)
class FeedProtocol(WebSocketServerProtocol):
    """One WebSocket connection, which watches one feed."""

    factory: FeedFactory

    def __init__(self) -> None:
        super().__init__()
        self._subscription: Subscription | None = None
        self._refusal: Refusal | None = None
        self._encoding = encoding(None)
        self._waiting = Conflation()
        self._paused = False
        self._unanswered = False
        self.gone: Deferred[None] = Deferred()

    # The handshake

    def onConnect(  # type: ignore[override]  # Autobahn takes a Deferred, but does not say so.
        self, request: ConnectionRequest
    ) -> Deferred[str | None]:
        """Decide about the handshake; answers the subprotocol."""
        return Deferred.fromCoroutine(self._admit(request)).addErrback(self._deny)

    async def _admit(self, request: ConnectionRequest) -> str | None:
        self.factory.check_room()
        target = parse_target(request.path, request.params)
        token, offered = token_from_handshake(request.headers.get("authorization"), request.protocols)
        subprotocol = choose(offered)
        self._subscription = await self.factory.subscriptions.admit(target, token)
        self._encoding = encoding(subprotocol)
        return subprotocol

    def _deny(self, failure: Failure) -> None:
        refusal = failure.value
        if not isinstance(refusal, Refusal):
            log.failure("a WebSocket handshake failed", failure)
            refusal = Refusal("The server failed to answer.")
        self._refusal = refusal
        raise ConnectionDeny(refusal.status, refusal.message)

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: object = None) -> None:
        """Answer in the contract's error shape; also where Autobahn itself finds fault with the handshake."""
        self.wasNotCleanReason = reason
        refusal = self._refusal or BadRequest(reason)
        self.factory.metrics.refused(refusal.label)
        self.sendData(final_octets(refused(refusal), self.factory.clock.seconds()))
        self.dropConnection(abort=False)

    # The feed

    def onOpen(self) -> None:
        """Start watching."""
        # What Autobahn keeps of the handshake costs memory, and holds the token.
        del self.http_request_data, self.http_headers, self.http_response_data
        self.websocket_protocols = []
        assert self._subscription is not None
        self.factory.opened(self)
        bound_buffers(self.transport)
        self.registerProducer(self, True)
        self._subscription.watch(self).addErrback(self._lost_feed)

    def _lost_feed(self, failure: Failure) -> None:
        if failure.check(NotFound):
            self.ended(CloseCode.NORMAL)
        else:
            log.failure("a feed could not be opened", failure)
            self.ended(CloseCode.INTERNAL_ERROR)

    def deliver(self, update: Update) -> None:
        """As in `IWatcher`."""
        if not self._paused:
            self._write(update)
            return
        try:
            self._waiting.put(update, len(update.encoded(self._encoding)))
        except TooSlow as error:
            self.factory.metrics.refused("slow_consumer")
            self._stop_watching()
            self._waiting.take()  # the close frame comes now; nothing may follow it.
            self._close(CloseCode.SLOW_CONSUMER, str(error))

    def ended(self, code: CloseCode) -> None:
        """As in `IWatcher`."""
        self._stop_watching()
        for update in self._waiting.take():
            self._write(update)
        self._close(code)

    def _write(self, update: Update) -> None:
        if self.state != self.STATE_OPEN:
            return  # nothing may follow a close frame (RFC 6455 section 5.5.1).
        transmit(self.transport, update.encoded(self._encoding))
        latency = None if update.accepted is None else self.factory.clock.seconds() - update.accepted
        self.factory.metrics.delivered("websocket", len(update.messages), latency)

    def _stop_watching(self) -> None:
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            subscription.unwatch(self)

    def _close(self, code: CloseCode, reason: str = "") -> None:
        # Not sendClose, which takes 1000 and private codes only.
        self.sendCloseFrame(int(code), reason.encode() or None)

    # The socket

    def pauseProducing(self) -> None:
        """The client does not read: keep what comes from now on."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._paused = False
        for update in self._waiting.take():
            self._write(update)

    def stopProducing(self) -> None:
        """The connection is lost; `onClose` follows."""

    def heartbeat(self) -> None:
        """Ping; a peer that did not answer the last one, or does not complete its close, is gone."""
        if self._unanswered or self.state != self.STATE_OPEN:
            self.dropConnection(abort=True)
        else:
            self._unanswered = True
            self.sendPing()

    def onPong(self, payload: bytes) -> None:
        """The peer is alive."""
        self._unanswered = False

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Nothing is expected from the client."""
        self.factory.metrics.refused("unexpected_message")
        self._stop_watching()
        self._close(CloseCode.POLICY_VIOLATION, "this feed takes no messages")

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is over."""
        self._stop_watching()
        self.factory.closed(self)


class FeedFactory(WebSocketServerFactory):
    """Makes a `FeedProtocol` for every handshake that the door lets through.

    Arguments:
        max_connections: how many may be open; further handshakes are refused with 429.
    """

    protocol = FeedProtocol  # type: ignore[assignment]  # Autobahn's protocols are no IProtocol by declaration.

    def __init__(
        self, subscriptions: Subscriptions, metrics: Metrics, reactor: IReactorTime, *, max_connections: int
    ) -> None:
        super().__init__(server="craftnet", reactor=reactor)
        self.subscriptions = subscriptions
        self.metrics = metrics
        self.clock = reactor
        self._max_connections = max_connections
        self._open: dict[FeedProtocol, None] = {}
        self._heartbeats: Wheel[FeedProtocol] = Wheel(HEARTBEAT)
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=0,  # the door waits for the handshake, and has a limit of its own.
            closeHandshakeTimeout=0,  # the heartbeat looks after it.
            autoPingInterval=0,
            maxFramePayloadSize=MAX_MESSAGE,
            maxMessagePayloadSize=MAX_MESSAGE,
        )

    def check_room(self) -> None:
        """Raises:
        TooManyRequests: no further connection may be opened.
        """
        if len(self._open) >= self._max_connections:
            reset = instant(self.clock.seconds() + RETRY_AFTER)
            raise TooManyRequests(
                "The server has as many WebSocket connections as it takes.",
                retry_after=RETRY_AFTER,
                limit=self._max_connections,
                reset=reset,
            )

    def opened(self, protocol: FeedProtocol) -> None:
        """A handshake succeeded."""
        self._open[protocol] = None
        self._heartbeats.add(protocol)
        self.metrics.connection_opened("websocket")

    def closed(self, protocol: FeedProtocol) -> None:
        """A connection is over; it need not have been opened."""
        if protocol in self._open:
            del self._open[protocol]
            self._heartbeats.discard(protocol)
            self.metrics.connection_closed("websocket")
            protocol.gone.callback(None)

    def turn(self) -> None:
        """Send the heartbeats that are due; to be called every second."""
        for protocol in self._heartbeats.turn():
            protocol.heartbeat()

    def close_all(self, code: CloseCode) -> Deferred[list[tuple[bool, None]]]:
        """Close every connection; answers when the last is gone, after `SHUTDOWN_TIMEOUT` at the latest."""
        protocols = list(self._open)
        for protocol in protocols:
            protocol.ended(code)
        deadline = self.clock.callLater(SHUTDOWN_TIMEOUT, self._abort_all)
        return DeferredList([protocol.gone for protocol in protocols]).addCallback(partial(_cancelled, deadline))

    def _abort_all(self) -> None:
        for protocol in list(self._open):
            protocol.dropConnection(abort=True)


def _cancelled(call: IDelayedCall, result: Result) -> Result:
    """`result`, now that `call` is not needed any more."""
    if call.active():
        call.cancel()
    return result
