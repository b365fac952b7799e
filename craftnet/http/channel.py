"""twisted.web's server, held to the contract: heads and chunks are read by our readers in front of it, bodies and waits
are bounded, refusals have the contract's shape, and a WebSocket handshake on a kept-alive connection has a way out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any, cast

from msgspec.structs import replace
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.server import Request, Site
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.errors import BadRequest, Refusal
from craftnet.http.chunks import ChunkedBody
from craftnet.http.exchange import EVERYWHERE, final_octets, reason_phrase, refused
from craftnet.http.heads import FIELD_LIMIT, Head, parse, too_long
from craftnet.http.lingering import linger
from craftnet.http.lobby import Lobby
from craftnet.http.resource import Routes
from craftnet.observe.metrics import Metrics


@implementer(IHalfCloseableProtocol)
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

    delimiter = b"\n"  # so that a line without CR is seen at once, and not waited for.
    totalHeadersSize = 4 * HTTPChannel.totalHeadersSize  # twisted.web counts again what was bounded before.
    maxHeaders = FIELD_LIMIT + 1

    _head: Head
    _body: ChunkedBody | None = None
    _size = 0
    _empty_lines = 0
    _answering = False
    _half_closed = False

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[bytes] = []

    def resetTimeout(self) -> None:
        """Not with every octet: a client that drips has as long for a request as an idle one may wait for the next."""

    # What comes in

    def lineReceived(self, line: bytes) -> None:
        """Collect the lines of a head."""
        if self.transport is None:
            return  # refused; what the same read brought is thrown away.
        if not line.endswith(b"\r"):
            self._lines.append(line)
            self.refuse(BadRequest("A line of the request head does not end in CR LF."))
        elif line != b"\r":
            self._lines.append(line[:-1])
            self._size += len(line) + 1
            if self._size > self.MAX_LENGTH:
                self.refuse(too_long(b"\r\n".join(self._lines), self.MAX_LENGTH))
        elif self._lines or self._empty_lines:
            self._read_head()
        else:
            self._empty_lines += 1  # RFC 9112 section 2.2: overlook an empty line.

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line that is longer than a whole head may be."""
        self._lines.append(line)
        self.refuse(too_long(b"\r\n".join(self._lines), self.MAX_LENGTH))

    def _read_head(self) -> None:
        """Read what was collected; twisted.web gets it as it was understood, and never sees Transfer-Encoding."""
        try:
            self._head = head = parse(b"\r\n".join(self._lines))
        except Refusal as refusal:
            self.refuse(refusal)
            return
        self._lines, self._size, self._empty_lines = [], 0, 0
        if head.handshake and self.upgrade is not None:
            transport, rest = self.release()
            self.upgrade(transport, head.octets + rest)
            return
        for line in head.lines:
            super().lineReceived(line)
        if head.length:
            super().lineReceived(b"Content-Length: %d" % head.length)
        super().lineReceived(b"")

    def checkPersistence(self, request: Request, version: bytes) -> bool:
        """Whether another request may follow; twisted.web overlooks `close` beside other options."""
        return self._head.persistent

    def allHeadersReceived(self) -> None:
        """Refuse a body that says it is too long before any of it is read."""
        if self._head.length is None:
            self.length = None
            self._body = ChunkedBody()
        refusal = self.too_long(self.requests[-1], self.length or 0)
        if refusal is not None:
            self.refuse(refusal)
        else:
            super().allHeadersReceived()

    def rawDataReceived(self, data: bytes) -> None:
        """Read a body, or keep what comes while a request is answered."""
        if self.transport is None:
            return
        if self._body is None:
            super().rawDataReceived(data)
            return
        try:
            part = self._body.feed(data)
        except Refusal as refusal:
            self.refuse(refusal)
            return
        if part:
            self.requests[-1].handleContentChunk(part)
        rest = self._body.rest
        if rest is not None and self.transport is not None:
            self._body = None
            self.allContentReceived()
            self._go_on(rest)

    def _go_on(self, rest: bytes) -> None:
        """Read what followed a body: it waits while the request is answered, or is the next one already."""
        if self.line_mode:
            self.setLineMode(rest)
        elif rest:
            self.rawDataReceived(rest)

    def allContentReceived(self) -> None:
        """Go on, unless the body was refused in the middle."""
        if self.transport is not None:
            super().allContentReceived()

    def too_long(self, request: Request, length: int) -> Refusal | None:
        """Why a body of this length is refused, if it is: from somebody without a token only short ones are taken."""
        token = request.requestHeaders.hasHeader(b"Authorization")
        limit = self.site.body_limit if token else self.site.anonymous_limit
        return None if length <= limit else self.site.routes.refusal_of_body(self._head, limit, token=token)

    # What goes out

    def answering(self) -> None:
        """A request is there as a whole."""
        self._answering = True
        self.lobby.leave(self.transport)

    def writeHeaders(self, version: bytes, code: bytes, reason: bytes, headers: Headers) -> None:
        """Begin a response. (twisted.web repeats the client's version, and has no reason phrase for newer codes.)"""
        if self.site.draining:
            self.persistent = False
        if not self.persistent:
            options = [option for option in headers.getRawHeaders(b"Connection", []) if option.lower() != b"close"]
            headers.setRawHeaders(b"Connection", [*options, b"close"])
        for name, value in EVERYWHERE.items():
            headers.setRawHeaders(name.encode(), [value.encode()])
        super().writeHeaders(b"HTTP/1.1", code, reason_phrase(int(code)).encode(), headers)

    def requestDone(self, request: Request) -> None:
        """One is answered: wait for the next, unless it is there already, or none can come."""
        self._answering = False
        if self.transport is not None:
            self.lobby.idle(self.transport)
        super().requestDone(request)
        if self._half_closed and not self._answering and self.transport is not None:
            self._half_closed = False  # the call above may have come here for a later request.
            self.loseConnection()

    def refuse(self, refusal: Refusal) -> None:
        """Answer in the contract's shape, read no further, and close."""
        if self.transport is not None:
            head = b"\r\n".join(self._lines) if self._lines or not self.requests else self._head.octets
            transport, _ = self.release()
            self.site.turn_away(transport, refusal, head)

    # The end

    def readConnectionLost(self) -> None:
        """The client has closed its half (RFC 9112 section 9.6): what it asked before is answered."""
        self._half_closed = True
        if not self._answering:
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """As in `IHalfCloseableProtocol`. This protocol never closes only its own half."""

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

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone."""
        self.lobby.leave(self.transport)
        super().connectionLost(reason)


class CheckedRequest(Request):
    """One request: its body is bounded and kept in memory."""

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

    def process(self) -> None:
        """The request is there as a whole: it is routed."""
        self.channel.answering()
        for name, value in self.channel.site.policy(self.isSecure()).items():
            self.setHeader(name, value)
        super().process()


class LimitedSite(Site):
    """Serves routes over HTTP/1.

    Arguments:
        body_limit: the longest body taken, in bytes.
        anonymous_limit: the longest without an Authorization header; None: as long as any.
        idle: seconds a connection may wait for, or take over, its next request.
        hsts: seconds for which browsers that came over TLS are to use nothing else (RFC 6797); 0 for no such policy.

    Attributes:
        draining: whether the server stops, and asks clients to go elsewhere.
    """

    protocol = Channel  # type: ignore[assignment]  # Twisted's type names its own proxy, for HTTP/2, which is not spoken.
    noisy = False

    def __init__(
        self,
        routes: Routes,
        clock: IClock,
        metrics: Metrics,
        *,
        body_limit: int,
        idle: float,
        anonymous_limit: int | None = None,
        hsts: int = 0,
    ) -> None:
        super().__init__(
            routes, requestFactory=CheckedRequest, timeout=idle, reactor=clock, parsePOSTFormSubmission=False
        )
        self.routes = routes
        self.body_limit = body_limit
        self.anonymous_limit = body_limit if anonymous_limit is None else anonymous_limit
        self._clock = clock
        self._metrics = metrics
        self.draining = False
        self._policy = {"Strict-Transport-Security": f"max-age={hsts}"} if hsts else {}

    def policy(self, secure: bool) -> Mapping[str, str]:
        """The header fields of every response that say how to come back; RFC 6797 forbids them without TLS."""
        return self._policy if secure else {}

    def channel(
        self, address: IAddress, lobby: Lobby, upgrade: Callable[[ITransport, bytes], None] | None = None
    ) -> Channel:
        """The protocol of a new connection, which is in the lobby; `lobby` and `upgrade` are as in `Channel`."""
        channel = cast(Channel, self.buildProtocol(address))
        channel.lobby = lobby
        channel.upgrade = upgrade
        return channel

    def turn_away(self, transport: ITransport, refusal: Refusal, head: bytes) -> None:
        """Refuse whoever is at the other end, and close; `head` is what was read of the request."""
        self._metrics.refused(refusal.label)
        now = self._clock.wall()
        response = refused(refusal, now)
        headers = {**response.headers, **self.policy(ISSLTransport.providedBy(transport))}
        bodiless = head.startswith(b"HEAD ")
        answer = final_octets(replace(response, headers=headers), now, bodiless=bodiless)
        linger(transport, answer, self.reactor)

    def getContentFile(self, length: int | None) -> BytesIO:
        """Where a body is kept: in memory, because it is bounded. (Twisted would use a file for the longer ones.)"""
        return BytesIO()

    def startFactory(self) -> None:
        """Connections are kept alive. (There is no access log, and so no log file and no timer for its dates.)"""
        self.draining = False

    def stopFactory(self) -> None:
        """The port is closed: every response from now on is its connection's last."""
        self.draining = True

    def log(self, request: object) -> None:
        """There is no access log: metrics count refusals, and a URL might hold what must not be logged."""
