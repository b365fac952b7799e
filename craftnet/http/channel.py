"""twisted.web's server, held to the contract: its own refusals in the contract's shape, bounded bodies, bounded waits,
and a way out for a WebSocket handshake that comes on a kept-alive connection."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from typing import Any, cast

from twisted.internet.interfaces import IAddress, IPushProducer, IReactorTime, ITransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.resource import IResource
from twisted.web.server import Request, Site

from craftnet.errors import BadRequest, BodyTooLarge, HeadersTooLarge, Refusal, Unauthorized
from craftnet.http.exchange import final_octets, refused
from craftnet.http.handover import hand_over
from craftnet.http.heads import check, origin_form, rebuilt
from craftnet.http.lingering import Lingering
from craftnet.http.lobby import Lobby
from craftnet.observe.metrics import Metrics


class Channel(HTTPChannel):
    """One HTTP/1 connection.

    Attributes:
        site: the factory it belongs to.
        lobby: where it waits for the next request.
        upgrade: takes the transport and a handshake's octets; None where there is no WebSocket.
    """

    site: LimitedSite
    lobby: Lobby
    upgrade: Callable[[ITransport, bytes], None] | None = None

    def resetTimeout(self) -> None:
        """Not with every octet: a client that drips has as long for a request as an idle one may wait for the next."""

    def release(self) -> tuple[ITransport, bytes]:
        """Let go of the connection for good; answers it, and what was read but not used."""
        transport: Any = self.transport
        producing: Any = IPushProducer(transport, None)  # as HTTPChannel asks before it registers itself.
        if producing is not None:
            producing.unregisterProducer()
            producing.resumeProducing()
        self.transport = None
        self.lobby.leave(transport)
        self.setTimeout(None)
        self.requests.clear()
        return transport, self.clearLineBuffer()

    def refuse(self, refusal: Refusal) -> None:
        """Answer in the contract's shape, read no further, and close."""
        if self.transport is not None:
            transport, _ = self.release()
            self.site.turn_away(transport, refusal)

    def requestDone(self, request: Request) -> None:
        """One is answered: wait for the next, unless it is there already."""
        if self.transport is not None:
            self.lobby.enter(self.transport)
        super().requestDone(request)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self.lobby.leave(self.transport)
        super().connectionLost(reason)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line that is longer than a whole head may be."""
        self.refuse(HeadersTooLarge(self.totalHeadersSize))

    def _respondToBadRequestAndDisconnect(self) -> None:
        # A private method, but the one place where HTTPChannel writes its bare "400 Bad Request". Rewriting what passes
        # through the transport, or checking all of HTTP's framing before it, would be more to go wrong. Should Twisted
        # rename it, clients get the bare 400 again, and a test says so.
        if self._receivedHeaderSize > self.totalHeadersSize or self._receivedHeaderCount > self.maxHeaders:
            self.refuse(HeadersTooLarge(self.totalHeadersSize))
        else:
            self.refuse(BadRequest("This is not an HTTP request."))

    def allHeadersReceived(self) -> None:
        """Refuse a body that says it is too long before any of it is read."""
        refusal = None if self.length is None else self.too_long(self.requests[-1], self.length)
        if refusal is not None:
            self.refuse(refusal)
        else:
            super().allHeadersReceived()

    def too_long(self, request: Request, length: int) -> Refusal | None:
        """Why a body of this length is refused, if it is: from somebody without a token only short ones are taken."""
        if length > self.site.body_limit:
            return BodyTooLarge(self.site.body_limit)
        if length > self.site.anonymous_limit and not request.requestHeaders.hasHeader(b"Authorization"):
            return Unauthorized("This needs a bearer token.")
        return None

    def allContentReceived(self) -> None:
        """Go on, unless the body was refused in the middle."""
        if self.transport is not None:
            super().allContentReceived()


class CheckedRequest(Request):
    """One request: its head is checked before it is routed, its body is bounded and kept in memory."""

    channel: Channel
    content: BytesIO
    defaultContentType = None

    def handleContentChunk(self, data: bytes) -> None:
        """Take a part of the body. How long it becomes is not known beforehand when it comes in chunks."""
        if self.channel.transport is None:
            return  # refused; what the same read brought is thrown away.
        refusal = self.channel.too_long(self, self.content.tell() + len(data))
        if refusal is not None:
            self.channel.refuse(refusal)
        else:
            super().handleContentChunk(data)

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """The request is there as a whole."""
        super().requestReceived(command, origin_form(path), version)

    def process(self) -> None:
        """Check the head; then it is a handshake, or it is routed."""
        self.channel.lobby.leave(self.channel.transport)
        head = rebuilt(self.method, self.uri, self.clientproto, self.requestHeaders.getAllRawHeaders())
        try:
            check(head)
        except Refusal as refusal:
            self.channel.refuse(refusal)
            return
        if head.handshake and self.channel.upgrade is not None:
            transport, rest = self.channel.release()
            self.channel.upgrade(transport, head.octets + rest)
        else:
            super().process()


class LimitedSite(Site):
    """Serves a resource over HTTP/1.

    Arguments:
        body_limit: the longest body taken, in bytes.
        anonymous_limit: the longest without an Authorization header; None: as long as any.
        idle: seconds a connection may wait for, or take over, its next request.
    """

    protocol = Channel  # type: ignore[assignment]  # Twisted's type names its own proxy, for HTTP/2, which is not spoken.
    noisy = False

    def __init__(
        self,
        resource: IResource,
        clock: IReactorTime,
        metrics: Metrics,
        *,
        body_limit: int,
        idle: float,
        anonymous_limit: int | None = None,
    ) -> None:
        super().__init__(
            resource, requestFactory=CheckedRequest, timeout=idle, reactor=clock, parsePOSTFormSubmission=False
        )
        self.body_limit = body_limit
        self.anonymous_limit = body_limit if anonymous_limit is None else anonymous_limit
        self._metrics = metrics

    def channel(
        self, address: IAddress, lobby: Lobby, upgrade: Callable[[ITransport, bytes], None] | None = None
    ) -> Channel:
        """The protocol of a new connection, which is in the lobby; `lobby` and `upgrade` are as in `Channel`."""
        channel = cast(Channel, self.buildProtocol(address))
        channel.lobby = lobby
        channel.upgrade = upgrade
        return channel

    def turn_away(self, transport: ITransport, refusal: Refusal) -> None:
        """Refuse whoever is at the other end, and close."""
        self._metrics.refused(refusal.label)
        hand_over(transport, Lingering(final_octets(refused(refusal), self.reactor.seconds()), self.reactor))

    def getContentFile(self, length: int | None) -> BytesIO:
        """Where a body is kept: in memory, because it is bounded. (Twisted would use a file for the longer ones.)"""
        return BytesIO()

    def startFactory(self) -> None:
        """There is no access log, and so no log file and no timer for its dates: metrics count requests refused."""

    def stopFactory(self) -> None:
        """As in `startFactory`."""

    def log(self, request: object) -> None:
        """As in `startFactory`. A URL might also hold what must not be logged."""
