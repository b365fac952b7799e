"""One port for HTTP and WebSocket: reads the first request head and passes the connection to the right protocol.

It is gone afterwards, so an upgraded connection carries nothing of the HTTP machinery, which would cost it half as much
memory again. The next protocol receives the parsed head, not the octets.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocolNegotiationFactory,
    IReactorTime,
    ITransport,
)
from twisted.internet.protocol import ServerFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.contract.traces import request_ids
from craftnet.errors import Refusal
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.handover import IAdmittingProtocol, hand_over
from craftnet.http.connection.http_connection import HttpConnection
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.connection.worker_forwarding import ConnectionForwarding
from craftnet.http.exchange import CONTINUE_RESPONSE
from craftnet.http.request_head import HEAD_LIMIT, Head, HeadReader


class ConnectionOrigin(Enum):
    """How a connection arrived."""

    NEW = "accepted here"
    REUSED = "accepted here, and an earlier request was answered on it"
    HANDED = "accepted by another worker, which determined that this one must answer"


class StreamFactory(ServerFactory):
    """Builds the protocol of a request for an event stream, an `IHandshakeProtocol`."""

    def takes(self, head: Head) -> bool:
        """Whether a request is for an event stream."""
        raise NotImplementedError


@implementer(IAdmittingProtocol)
class ProtocolSniffer:
    """Waits for one request head.

    Arguments:
        factory: knows the limits and the next protocols.
        origin: how the connection arrived.
    """

    __slots__ = ("_deadline", "_factory", "_origin", "_reader", "_transport")

    def __init__(self, factory: SnifferFactory, origin: ConnectionOrigin) -> None:
        self._factory = factory
        self._origin = origin
        self._reader = HeadReader(factory.head_limit)
        self._transport: Any = None
        self._deadline: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        """Starts waiting. (Any: abortConnection is in no interface that TLS transports share.)"""
        self._transport = transport
        self._factory.half_open.opened(transport)
        self._deadline = self._factory.clock.callLater(self._factory.timeout, transport.abortConnection)

    def connectionMade(self) -> None:
        """Does nothing: `makeConnection` did everything."""

    def dataReceived(self, data: bytes) -> None:
        """Collects octets until the head is complete."""
        self._reader.octets += data
        try:
            head = self._reader.read()
        except Refusal as refusal:
            self._leave()
            self._factory.turn_away(self._transport, refusal, self._reader.begun)
            return
        if head is not None:
            self.admit(head, bytes(self._reader.octets))

    def admit(self, head: Head, rest: bytes) -> None:
        """Passes the connection to the protocol that its first request needs.

        Arguments:
            head: of that request.
            rest: bytes received after the head.
        """
        self._leave()
        self._factory.admit(self._transport, head, rest, self._origin)

    def connectionLost(self, reason: Failure) -> None:
        """The connection was lost before a request arrived."""
        self._leave()
        self._factory.half_open.lost(self._transport, reason)

    def _leave(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


@implementer(IProtocolNegotiationFactory)
class HttpFactory(ServerFactory):
    """Listens for HTTP alone; to be given to an endpoint.

    Arguments:
        half_open: the connections that wait for a request.
    """

    noisy = False

    def __init__(self, site: HttpSite, half_open: HalfOpenConnections) -> None:
        self._site = site
        self._half_open = half_open

    def acceptableProtocols(self) -> list[bytes]:
        """As in `SnifferFactory`."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> HttpConnection:  # type: ignore[override]  # any IProtocol will do.
        """The protocol of a new connection."""
        return HttpConnection(self._site, self._half_open)


@implementer(IProtocolNegotiationFactory)
class SnifferFactory(ServerFactory):
    """Listens for all protocols; to be given to an endpoint.

    Arguments:
        site: serves HTTP.
        websocket: builds the protocol of a connection that starts with a WebSocket handshake, an
            `IHandshakeProtocol`.
        streams: the same for a connection that starts with a request for an event stream; None where there are none.
        clock: for the time limit.
        half_open: the connections that have not sent a request yet.
        head_limit: maximum length of a request head, in bytes.
        timeout: seconds for a connection's first head to arrive.
        worker_forwarding: knows which handshakes another worker must answer; None when this process answers all.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        site: HttpSite,
        websocket: ServerFactory,
        clock: IReactorTime,
        half_open: HalfOpenConnections,
        *,
        streams: StreamFactory | None = None,
        head_limit: int = HEAD_LIMIT,
        timeout: float = 10.0,
        worker_forwarding: ConnectionForwarding | None = None,
    ) -> None:
        self._site = site
        self._websocket = websocket
        self._streams = streams
        self.clock = clock
        self.half_open = half_open
        self.head_limit = head_limit
        self.timeout = timeout
        self._worker_forwarding = worker_forwarding
        if worker_forwarding is not None:
            worker_forwarding.serve(lambda _: ProtocolSniffer(self, ConnectionOrigin.HANDED))

    def startFactory(self) -> None:
        """Starts the factories behind it."""
        self._site.doStart()
        self._websocket.doStart()

    def stopFactory(self) -> None:
        """Stops the factories behind it."""
        self._site.doStop()
        self._websocket.doStop()

    def acceptableProtocols(self) -> list[bytes]:
        """The protocols over TLS, by their names in ALPN (RFC 7301 section 6)."""
        return [b"http/1.1"]

    def buildProtocol(self, addr: IAddress | None) -> ProtocolSniffer:  # type: ignore[override]  # any IProtocol will do.
        """The protocol of a new connection."""
        return ProtocolSniffer(self, ConnectionOrigin.NEW)

    def admit(self, transport: ITransport, head: Head, rest: bytes, origin: ConnectionOrigin) -> None:
        """Passes the connection to the protocol that its first request needs.

        Arguments:
            head: of that request.
            rest: the octets read after it.
            origin: how the connection arrived.
        """
        factory = self._factory(head)
        if factory is None:
            channel = HttpConnection(self._site, self.half_open, self)
            hand_over(transport, channel)
            channel.begin(head, rest)
            return
        self.half_open.remove(transport)
        if self._worker_forwarding is not None and origin is not ConnectionOrigin.HANDED:
            number = self._worker_forwarding.worker(head)
            if number is not None:
                handing = self._hand_to_worker(self._worker_forwarding, number, transport, head, rest, origin)
                Deferred.fromCoroutine(handing).addErrback(self._not_handed, transport, head)
                return
        protocol: Any = factory.buildProtocol(transport.getPeer())  # an IHandshakeProtocol.
        if protocol is None:
            transport.loseConnection()
            return
        if head.expects_continue:  # RFC 9110 section 7.8: 100 comes before 101.
            transport.write(CONTINUE_RESPONSE)
        hand_over(transport, protocol)
        protocol.handshake(head)
        if rest:
            protocol.dataReceived(rest)

    def turn_away(self, transport: ITransport, refusal: Refusal, head: bytes) -> None:
        """Refuses in HTTP's form; `head` is what was read of the request."""
        self.half_open.remove(transport)
        self._site.turn_away(transport, refusal, head)

    def takes(self, head: Head) -> bool:
        """Whether a request with this head opens a feed."""
        return head.method == b"GET" and self._factory(head) is not None

    def readmit(self, transport: ITransport, head: Head, rest: bytes) -> None:
        """Passes on a request for a feed that arrived on a connection that a proxy keeps alive for HTTP."""
        self.admit(transport, head, rest, ConnectionOrigin.REUSED)

    def _factory(self, head: Head) -> ServerFactory | None:
        """The factory of the protocol that answers a request for a feed; None for any other request."""
        if head.handshake:
            return self._websocket
        return self._streams if self._streams is not None and self._streams.takes(head) else None

    async def _hand_to_worker(
        self,
        worker_forwarding: ConnectionForwarding,
        number: int,
        transport: ITransport,
        head: Head,
        rest: bytes,
        origin: ConnectionOrigin,
    ) -> None:
        """Hands a handshake over to another worker, which may be unreachable."""
        try:
            await worker_forwarding.hand_over(number, transport, head, rest, reused=origin is ConnectionOrigin.REUSED)
        except Refusal as refusal:
            self._site.turn_away(transport, refusal, head.octets)

    def _not_handed(self, failure: Failure, transport: Any, head: Head) -> None:
        ids = request_ids(head.target.decode("latin-1"), head.text)
        self._log.failure("a connection could not be handed over", failure, **ids)
        transport.abortConnection()
