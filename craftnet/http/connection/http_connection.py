"""HTTP/1.1 connections (RFC 9112): requests are read strictly and one after another, bodies and waits are bounded,
refusals have the contract's form, and a request on a kept-alive connection that opens a feed is passed on.

This replaces twisted.web's server: craftnet reads heads and chunks with its own parsers in any case, keeps every body
in memory and writes every response in one piece, so that nearly everything twisted.web does was done twice.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IProtocol,
    IPushProducer,
    ISSLTransport,
    ITransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.errors import Refusal
from craftnet.http.chunked_body import ChunkedBody
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.exchange import CONTINUE_RESPONSE, Response
from craftnet.http.request_head import Head, HeadReader, parse_repeated_head
from craftnet.limits.client_address import host
from craftnet.runtime.deferreds import run
from craftnet.runtime.sockets import transmit

MAX_BYTES_AHEAD = 16_384
"""Bytes received during a request; nothing more is read before the answer is written."""

ABORT_TIMEOUT = 15.0
"""Seconds for an idle client that is being closed to read what was sent."""


class FeedOpener(Protocol):
    """Takes the connections whose next request is none for the routes."""

    def takes(self, head: Head) -> bool:
        """Whether a request with this head opens a feed."""

    def readmit(self, transport: ITransport, head: Head, rest: bytes) -> None:
        """Takes a connection, the head that arrived on it, and the bytes received after the head."""


@implementer(IProtocol, IHalfCloseableProtocol, IPushProducer)
class HttpConnection:
    """One connection.

    Arguments:
        site: answers the requests.
        half_open: keeps the connection while it waits for the next request.
        upgrade: takes the connection when a request opens a feed; None where there are no feeds.
    """

    __slots__ = (
        *(
            "_answering",
            "_body",
            "_busy",
            "_chunks",
            "_deadline",
            "_half_closed",
            "_head",
            "_half_open",
            "_open",
            "_paused",
        ),
        *("_peer", "_reader", "_reading", "_secure", "_site", "_stalled", "_timer", "_upgrade", "transport"),
    )

    def __init__(self, site: HttpSite, half_open: HalfOpenConnections, upgrade: FeedOpener | None = None) -> None:
        self._site, self._half_open, self._upgrade = site, half_open, upgrade
        self._reader = HeadReader(parse=parse_repeated_head)
        self._head: Head | None = None  # of the request whose body is being read.
        self._body = bytearray()
        self._chunks: ChunkedBody | None = None
        self._busy = False  # a request is being answered.
        self._answering: Deferred[Response] | None = None
        self._reading = False  # `_go_on` runs.
        self._stalled = False  # the client does not read what was sent.
        self._paused = False
        self._half_closed = False
        self._deadline = 0.0
        self._timer: IDelayedCall | None = None
        self._peer = ""
        self._secure = False
        self._open = False
        self.transport: Any = None

    def makeConnection(self, transport: Any) -> None:
        """Takes the connection. (Any: abortConnection is in no interface that TLS transports share.)"""
        self._open = True
        self.transport = transport
        self._peer = host(transport.getPeer())
        self._secure = ISSLTransport.providedBy(transport)
        transport.registerProducer(self, True)
        self._await_request()

    def connectionMade(self) -> None:
        """Does nothing: `makeConnection` did everything."""

    # What comes in

    def begin(self, head: Head, rest: bytes) -> None:
        """Takes the connection's first request.

        Arguments:
            rest: the octets received after its head.
        """
        self._site.received.value += head.size + len(rest)
        self._reader.octets += rest
        self._go_on(head)

    def dataReceived(self, data: bytes) -> None:
        """Reads requests, or buffers octets while a request is answered."""
        self._site.received.value += len(data)
        if self._open:
            self._reader.octets += data
            self._go_on()

    def _go_on(self, head: Head | None = None) -> None:
        """Reads and answers requests until octets or an answer are missing."""
        if self._reading:
            return  # a response was written at once; the outer call continues.
        self._reading = True
        try:
            if head is not None:
                self._begin(head)
            while self._open and not self._busy and not self._stalled and self._read():
                pass
        except Refusal as refusal:
            self._refuse(refusal)
        finally:
            self._reading = False
        if not self._open:
            return
        if self._half_closed and not self._busy and not self._stalled:
            self._hang_up()
        else:
            self._bound_input()

    def _read(self) -> bool:
        """Reads and answers one request; False when octets are missing, of this one or of the next."""
        if self._head is None:
            head = self._reader.read()
            if head is None:
                return False
            self._begin(head)
        if self._head is None:
            return False  # the request opens a feed, which has the connection now.
        body = self._read_body(self._head)
        if body is None:
            return False
        head, self._head = self._head, None
        self._answer(head, body)
        return bool(self._reader.octets)

    def _begin(self, head: Head) -> None:
        """Takes a head: refuses a body that is declared too long before any of it is read."""
        if self._upgrade is not None and self._upgrade.takes(head):
            transport, rest = self._release()
            self._upgrade.readmit(transport, head, rest)
            return
        self._head = head
        self._check_length(head, head.length or 0)
        if head.length is None:
            self._chunks = ChunkedBody()
        if head.expects_continue:
            self.transport.write(CONTINUE_RESPONSE)

    def _read_body(self, head: Head) -> bytes | None:
        """The body of the request, removed from the buffer; None while it is incomplete."""
        octets = self._reader.octets
        if self._chunks is None:
            length = head.length or 0
            if len(octets) < length:
                return None
            body = bytes(octets[:length])
            del octets[:length]
            return body
        self._body += self._chunks.feed(bytes(octets))
        octets.clear()
        self._check_length(head, len(self._body))
        if self._chunks.rest is None:
            return None
        octets += self._chunks.rest
        body, self._body, self._chunks = bytes(self._body), bytearray(), None
        return body

    def _check_length(self, head: Head, length: int) -> None:
        """Raises the refusal of a body of this length: without a token only short ones are allowed."""
        if length > self._site.anonymous_limit:
            token = bool(head.values(b"authorization"))
            limit = self._site.body_limit if token else self._site.anonymous_limit
            if length > limit:
                raise self._site.routes.refusal_of_body(head, limit, token=token)

    def _bound_input(self) -> None:
        """Stops reading from a client that does not read its answers, or sends requests far ahead of them."""
        pause = self._stalled or (self._busy and len(self._reader.octets) > MAX_BYTES_AHEAD)
        if pause is not self._paused:
            self._paused = pause
            if pause:
                self.transport.pauseProducing()
            else:
                self.transport.resumeProducing()

    # What goes out

    def _answer(self, head: Head, body: bytes) -> None:
        self._busy = True
        self._half_open.remove(self.transport)
        try:
            answer = run(self._site.routes.answer(head, body, self._peer, secure=self._secure))
        except Exception:
            self._fail(Failure(), head)
            return
        if isinstance(answer, Response):
            self._send(answer, head)
        else:
            self._answering = answer
            answer.addCallbacks(self._send, self._fail, callbackArgs=(head,), errbackArgs=(head,))

    def _fail(self, failure: Failure, head: Head) -> None:
        if self._open:  # otherwise the client is gone, and the answer was cancelled.
            self._send(self._site.routes.fail(failure, head), head)

    def _send(self, response: Response, head: Head) -> None:
        """Writes a response; waits for the next request, unless it is there already, or none can follow."""
        if not self._open:
            return
        self._busy, self._answering = False, None
        last = self._site.draining or not head.persistent
        octets = self._site.octets(response, self._secure, last=last, bodiless=head.method == b"HEAD")
        transmit(self.transport, octets)
        self._half_open.idle(self.transport, self._peer)
        if last:
            self._hang_up()
        else:
            self._await_request()
            self._go_on()

    def _refuse(self, refusal: Refusal) -> None:
        """Answers in the contract's form, stops reading, and closes."""
        head = self._reader.begun if self._head is None else self._head.octets
        transport, _ = self._release()
        self._site.turn_away(transport, refusal, head)

    # The client's pace

    def pauseProducing(self) -> None:
        """The client does not read what was sent."""
        self._stalled = True
        if self._open:
            self._bound_input()

    def resumeProducing(self) -> None:
        """The client reads again."""
        self._stalled = False
        if self._open:
            self._go_on()

    def stopProducing(self) -> None:
        """The connection is lost; `connectionLost` follows."""

    def _await_request(self) -> None:
        """Starts the time limit for the client's next request, however slowly it arrives.

        One timer serves many requests: instead of being reset for each, it checks the deadline when it fires.
        """
        self._deadline = self._site.clock.seconds() + self._site.idle
        if self._timer is None:
            self._timer = self._site.clock.callLater(self._site.idle, self._look_at_deadline)

    def _look_at_deadline(self) -> None:
        self._timer = None
        left = self._deadline - self._site.clock.seconds()
        if self._busy:
            return  # the limit applies to the client; the answer sets the timer again.
        if left > 0:
            self._timer = self._site.clock.callLater(left, self._look_at_deadline)
        else:
            self._hang_up()
            self._timer = self._site.clock.callLater(ABORT_TIMEOUT, self._abort)

    def _abort(self) -> None:
        self._timer = None
        self.transport.abortConnection()

    # The end

    def _release(self) -> tuple[ITransport, bytes]:
        """Gives up the connection for good; returns it and the unread octets."""
        self._close()
        self._half_open.remove(self.transport)
        if self._paused:
            self.transport.resumeProducing()
        return self.transport, bytes(self._reader.octets)

    def _close(self) -> None:
        """Stops reading and answering."""
        self._open = False
        self.transport.unregisterProducer()
        self._stop_timer()

    def _hang_up(self) -> None:
        """Closes the connection once everything written is sent."""
        self._close()
        self.transport.loseConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def readConnectionLost(self) -> None:
        """The client closed its half (RFC 9112 section 9.6): earlier requests are still answered."""
        self._half_closed = True
        if self._open:
            self._go_on()

    def writeConnectionLost(self) -> None:
        """As in `IHalfCloseableProtocol`. This protocol never closes only its own half."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The client is gone: cancels the pending answer."""
        self._open = False
        self._half_open.remove(self.transport)
        self._stop_timer()
        if self._answering is not None:
            self._answering.cancel()
