"""One event stream: HTTP on one side, a subscription on the other. Reads, calls and writes; has no rules.

The request is the connection's last: when the stream ends, so does the connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from msgspec.structs import replace
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.access.bearer import token_from_header
from craftnet.access.principal import Principal
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.position import parse_position
from craftnet.contract.routes import EVENT_STREAM, CraftingTarget, QueueTarget, Target
from craftnet.feeds.subscriptions import Subscription
from craftnet.http.connection.handover import IHandshakeProtocol
from craftnet.http.connection.lingering_close import linger
from craftnet.http.cross_origin import CrossOrigin
from craftnet.http.exchange import Response, refusal_response, response_octets
from craftnet.http.request_head import Head, path_and_query
from craftnet.interfaces import ISubscriber
from craftnet.limits.client_address import host
from craftnet.limits.connection_limits import ConnectionSlot
from craftnet.protocols.feed.core.conflation import Conflation
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.feed.server.feed_request import FeedRequest
from craftnet.protocols.feed.server.inspection import client_name
from craftnet.protocols.feed.server.subscriber import FeedSubscriber, SubscriberFactory, refusal_of
from craftnet.protocols.sse.core.event_stream import (
    COMMENT,
    HEADERS,
    LAST_CHUNK,
    MEDIA_TYPE,
    chunk,
    close_event,
    encoding,
)
from craftnet.runtime.deferreds import start
from craftnet.runtime.sockets import bound_buffers, bound_silence, transmit

LOST = "1006"
"""The close code, as a label, of a client that left or was dropped (RFC 6455 section 7.4.1)."""


class EventStreamServices(SubscriberFactory, Protocol):
    """The part of `EventStreamFactory` that streams use."""

    connections: FeedConnections
    cross_origin: CrossOrigin
    policy: Mapping[str, str]
    missed_heartbeats: int
    silence: int


class StreamRequest(FeedRequest):
    """A `craftnet.access.authorization.GuardedRequest` for an event stream."""

    def __init__(self, head: Head, peer: str, connections: FeedConnections) -> None:
        path, query = feed_path(head)
        super().__init__(path, query, head.text, peer, connections, EVENT_STREAM)

    def token(self) -> str | None:
        """The token in the Authorization header."""
        return token_from_header(self._headers.get("authorization"))

    def read(self) -> Target:
        """Parses the ids, the query and Last-Event-ID, which a browser's EventSource sends when it returns."""
        target = self.target()
        last = self._headers.get("last-event-id")
        if not last or not isinstance(target, CraftingTarget | QueueTarget) or target.resume is not None:
            return target  # the feeds of a player have a position each: one id does not say where it is.
        return replace(target, resume=parse_position(last))

    async def decide(self, principal: Principal, asked: Target) -> Subscription:
        """As `subscribe`."""
        return await self.subscribe(principal, asked)


def feed_path(head: Head) -> tuple[str, dict[str, tuple[str, ...]]]:
    """The path and the query of a request, as `find_feed` takes them."""
    segments, query = path_and_query(head.target)
    return "/" + "/".join(segment.replace("/", "%2F") for segment in segments), query


@implementer(ISubscriber, IPushProducer, IHandshakeProtocol)
class EventStream(FeedSubscriber):
    """One event stream that watches one feed."""

    __slots__ = (
        *("_admitting", "_chunked", "_encoding", "_missed", "_open", "_paused", "_slot", "_subscription", "_waiting"),
        *("client", "closed_with", "factory", "heartbeat_interval", "principal", "sent_at", "transport"),
    )

    transport_name = "sse"
    factory: EventStreamServices
    principal: Principal

    def __init__(self, factory: EventStreamServices) -> None:
        self.factory = factory
        self.heartbeat_interval = 0
        self.sent_at = 0.0
        self.transport: Any = None
        self._subscription: Subscription | None = None
        self._slot: ConnectionSlot | None = None
        self._waiting: Conflation | None = None
        self._admitting: Deferred[Subscription] | None = None
        self._paused = False
        self._open = True
        self._chunked = True
        self.client: str | None = None
        self._encoding = encoding(chunked=True)
        self.closed_with = LOST
        self._missed = 0  # heartbeats in a row that found the client not reading.

    # The request

    def makeConnection(self, transport: Any) -> None:
        """Takes the connection. (Any: abortConnection is in no interface that TLS transports share.)"""
        self.transport = transport

    def connectionMade(self) -> None:
        """Does nothing: the request is there already."""

    def dataReceived(self, data: bytes) -> None:
        """Discards it: nothing can follow the request."""

    def handshake(self, head: Head) -> None:
        """Answers the request.

        Arguments:
            head: of a GET without a body, for a path of an event stream.
        """
        self._chunked = head.version != b"HTTP/1.0"
        self._encoding = encoding(chunked=self._chunked)
        request = StreamRequest(head, host(self.transport.getPeer()), self.factory.connections)
        admitting = self._admitting = start(self._admit(request))
        if not admitting.called:  # most requests are answered at once and need no timer.
            admitting.addTimeout(self.factory.gate.limits.handshake_timeout, self.factory.clock)
        arguments = (head, request)
        admitting.addCallbacks(self._begin, self._deny, callbackArgs=arguments, errbackArgs=arguments)

    async def _admit(self, request: StreamRequest) -> Subscription:
        request.find_feed()
        try:
            return await self.factory.connections.subscriptions.authorize(request)
        finally:
            self._slot = request.slot

    def _begin(self, subscription: Subscription, head: Head, request: StreamRequest) -> None:
        """Sends the head of the response, and starts watching."""
        request.answered(200)
        self._admitting = None
        self._subscription = subscription
        self.principal = subscription.principal
        self.client = client_name(head.text.get("user-agent"))
        self.start_feed()
        bound_buffers(self.transport)
        bound_silence(self.transport, self.factory.silence)
        self._respond(Response(200, None, HEADERS, MEDIA_TYPE), head)
        self.factory.connections.opened(self)
        self.transport.registerProducer(self, True)
        subscription.start(self).addErrback(self.feed_failed)

    def _deny(self, failure: Failure, head: Head, request: StreamRequest) -> None:
        """Answers in the contract's error form."""
        self._admitting = None
        self.release_slot()
        if not self._open:
            return  # the client did not wait for the answer.
        refusal = refusal_of(failure, request)
        request.answered(refusal.status)
        self.factory.metrics.refused(refusal.label)
        self._open = False
        now = self.factory.clock.wall()
        octets = self._response_octets(refusal_response(refusal, now), head)
        linger(self.transport, octets, self.factory.clock, self.connectionLost)

    def _respond(self, response: Response, head: Head) -> None:
        transmit(self.transport, self._response_octets(response, head))

    def _response_octets(self, response: Response, head: Head) -> bytes:
        policy = dict(self.factory.policy) if ISSLTransport.providedBy(self.transport) else {}
        policy |= self.factory.cross_origin.fields(host(self.transport.getPeer()), head.text)
        if response.body is None and self._chunked:
            policy["Transfer-Encoding"] = "chunked"
        return response_octets(response, self.factory.clock.wall(), last=True, policy=policy)

    # The stream

    def write_update(self, octets: bytes) -> bool:
        """As in `FeedSubscriber`."""
        if self._open:
            transmit(self.transport, octets)
        return self._open

    def heartbeat(self) -> None:
        """Sends a comment, or drops a client that still does not read."""
        if not self._open:
            return  # it is about to be closed.
        if not self._paused:
            self._missed = 0
            transmit(self.transport, self._framed(COMMENT))
            return
        self._missed += 1
        if self._missed >= self.factory.missed_heartbeats:
            self.factory.metrics.refused("missed_pongs")
            self.dropConnection(abort=True)

    @property
    def encoding_name(self) -> str:
        """That of every event stream."""
        return "sse"

    def close_feed(self, code: CloseCode, reason: str = "") -> None:
        """Sends the last event, and closes."""
        if not self._open:
            return
        self._open = False
        self.closed_with = str(int(code))
        self.transport.unregisterProducer()
        last = self._framed(close_event(code, reason)) + (LAST_CHUNK if self._chunked else b"")
        linger(self.transport, last, self.factory.clock, self.connectionLost)

    def close_for(self, code: CloseCode, label: str, reason: str) -> None:
        """As in `FeedSubscriber`."""
        self.factory.metrics.refused(label)
        self.stop_feed()
        self.close_feed(code, reason)

    def dropConnection(self, abort: bool = False) -> None:
        """Ends the TCP connection."""
        if abort:
            self.transport.abortConnection()
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed."""
        self._open = False
        admitting, self._admitting = self._admitting, None
        if admitting is not None:
            admitting.cancel()
        self.stop_feed()
        self.release_slot()
        self.factory.connections.closed(self)

    def _framed(self, octets: bytes) -> bytes:
        return chunk(octets) if self._chunked else octets
