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

from craftnet.errors import Refusal
from craftnet.http.channel import LimitedSite
from craftnet.http.elsewhere import ConnectionForwarding
from craftnet.http.exchange import CONTINUE
from craftnet.http.handover import IAdmittingProtocol, hand_over
from craftnet.http.heads import HEAD_LIMIT, Head, HeadReader
from craftnet.http.lobby import Lobby


class Way(Enum):
    """How a connection arrived."""

    NEW = "accepted here"
    REUSED = "accepted here, and an earlier request was answered on it"
    HANDED = "accepted by another worker, which determined that this one must answer"


@implementer(IAdmittingProtocol)
class Door:
    """Waits for one request head.

    Arguments:
        factory: knows the limits and the next protocols.
        way: how the connection arrived.
    """

    __slots__ = ("_deadline", "_factory", "_reader", "_transport", "_way")

    def __init__(self, factory: DoorFactory, way: Way) -> None:
        self._factory = factory
        self._way = way
        self._reader = HeadReader(factory.head_limit)
        self._transport: Any = None
        self._deadline: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        """Starts waiting. (Any: abortConnection is in no interface that TLS transports share.)"""
        self._transport = transport
        self._factory.lobby.enter(transport)
        self._deadline = self._factory.clock.callLater(self._factory.patience, transport.abortConnection)

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
        self._factory.admit(self._transport, head, rest, self._way)

    def connectionLost(self, reason: Failure) -> None:
        """The connection was lost before a request arrived."""
        self._leave()
        self._factory.lobby.lost(self._transport, reason)

    def _leave(self) -> None:
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()


@implementer(IProtocolNegotiationFactory)
class DoorFactory(ServerFactory):
    """Listens for both protocols; to be given to an endpoint.

    Arguments:
        site: serves HTTP.
        websocket: builds the protocol of a connection that starts with a WebSocket handshake, an
            `IHandshakeProtocol`.
        clock: for the time limit.
        lobby: the connections that have not sent a request yet.
        head_limit: maximum length of a request head, in bytes.
        patience: seconds for a connection's first head to arrive.
        elsewhere: knows which handshakes another worker must answer; None when this process answers all.
    """

    noisy = False
    _log = Logger()

    def __init__(
        self,
        site: LimitedSite,
        websocket: ServerFactory,
        clock: IReactorTime,
        lobby: Lobby,
        *,
        head_limit: int = HEAD_LIMIT,
        patience: float = 10.0,
        elsewhere: ConnectionForwarding | None = None,
    ) -> None:
        self._site = site
        self._websocket = websocket
        self.clock = clock
        self.lobby = lobby
        self.head_limit = head_limit
        self.patience = patience
        self._elsewhere = elsewhere
        if elsewhere is not None:
            elsewhere.serve(lambda _: Door(self, Way.HANDED))

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

    def buildProtocol(self, addr: IAddress | None) -> Door:  # type: ignore[override]  # any IProtocol will do.
        """The protocol of a new connection."""
        return Door(self, Way.NEW)

    def admit(self, transport: ITransport, head: Head, rest: bytes, way: Way) -> None:
        """Passes the connection to the protocol that its first request needs.

        Arguments:
            head: of that request.
            rest: the octets read after it.
            way: how the connection arrived.
        """
        if not head.handshake:
            channel = self._site.channel(self.lobby, self._readmit)
            hand_over(transport, channel)
            channel.begin(head, rest)
            return
        self.lobby.leave(transport)
        if self._elsewhere is not None and way is not Way.HANDED:
            number = self._elsewhere.worker(head)
            if number is not None:
                handing = self._hand_to(self._elsewhere, number, transport, head, rest, way)
                Deferred.fromCoroutine(handing).addErrback(self._not_handed, transport)
                return
        protocol: Any = self._websocket.buildProtocol(transport.getPeer())  # an IHandshakeProtocol.
        if protocol is None:
            transport.loseConnection()
            return
        if head.expects_continue:  # RFC 9110 section 7.8: 100 comes before 101.
            transport.write(CONTINUE)
        hand_over(transport, protocol)
        protocol.handshake(head)
        if rest:
            protocol.dataReceived(rest)

    def turn_away(self, transport: ITransport, refusal: Refusal, head: bytes) -> None:
        """Refuses in HTTP's form; `head` is what was read of the request."""
        self.lobby.leave(transport)
        self._site.turn_away(transport, refusal, head)

    def _readmit(self, transport: ITransport, head: Head, rest: bytes) -> None:
        """Passes on a handshake that arrived on a connection that a proxy keeps alive for HTTP."""
        self.admit(transport, head, rest, Way.REUSED)

    async def _hand_to(
        self, elsewhere: ConnectionForwarding, number: int, transport: ITransport, head: Head, rest: bytes, way: Way
    ) -> None:
        """Hands a handshake over to another worker, which may be unreachable."""
        try:
            await elsewhere.hand_over(number, transport, head, rest, reused=way is Way.REUSED)
        except Refusal as refusal:
            self._site.turn_away(transport, refusal, head.octets)

    def _not_handed(self, failure: Failure, transport: Any) -> None:
        self._log.failure("a connection could not be handed over", failure)
        transport.abortConnection()
