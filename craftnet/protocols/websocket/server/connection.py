"""One WebSocket connection: Autobahn on one side, a subscription on the other. Reads, calls and writes; has no rules.

A feed runs one way, from server to client: the contract's messages as JSON text, and pings. A client may send a fresh
token (`craftnet.protocols.websocket.core.token_renewal`); any other data message is a violation of the protocol.
"""

from __future__ import annotations

from typing import Protocol

import txaio
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.access.principal import Principal
from craftnet.clocks import moment
from craftnet.contract.close_codes import CloseCode, close_for_refusal
from craftnet.contract.messages import rfc3339, to_json
from craftnet.errors import Refusal, failed
from craftnet.feeds.subscriptions import Subscription, Subscriptions
from craftnet.http.connection.handover import IHandshakeProtocol
from craftnet.http.connection.lingering_close import linger
from craftnet.http.exchange import refusal_response, response_octets
from craftnet.http.request_head import Head
from craftnet.limits.client_address import host
from craftnet.limits.connection_limits import ConnectionSlot
from craftnet.observe.audit.events import SecurityEvent, SecurityEventType
from craftnet.observe.metrics.family import OTHER
from craftnet.observe.metrics.registry import NO_ROUTE
from craftnet.observe.metrics.store import Number
from craftnet.protocols.feed.core.conflation import Conflation
from craftnet.protocols.feed.server.inspection import client_name, plain
from craftnet.protocols.feed.server.subscriber import FeedSubscriber, refusal_of
from craftnet.protocols.websocket.core.dictionaries import Dictionary
from craftnet.protocols.websocket.core.encodings import encoding, subprotocol_of
from craftnet.protocols.websocket.core.handshake import read_handshake
from craftnet.protocols.websocket.core.token_renewal import Answer, TokenAccepted, TokenRefused, read_offer
from craftnet.protocols.websocket.server.autobahn_base import ServerProtocol
from craftnet.protocols.websocket.server.guarded_handshake import GuardedHandshake, HandshakeFactory
from craftnet.runtime.deferreds import start
from craftnet.runtime.sockets import bound_buffers, transmit

log = Logger()

CLOSE_CODES = frozenset({*range(1000, 1016), *CloseCode})
"""The close codes that are counted under their own number: a client may send any of thousands."""

EARLY_LIMIT = 16_384
"""Bytes that may follow a handshake before it is answered."""


class ConnectionFactory(HandshakeFactory, Protocol):
    """The part of `FeedFactory` that connections use."""

    subscriptions: Subscriptions
    missed_pongs: int
    received: Number
    preset: Dictionary

    def turned_away(self, protocol: FeedProtocol) -> None:
        """Knows of a connection that was refused with a close code."""

    def closed(self, protocol: FeedProtocol) -> None:
        """Forgets a connection."""


@implementer(IHandshakeProtocol)
class FeedProtocol(FeedSubscriber, ServerProtocol):  # type: ignore[misc]  # Autobahn's own bases disagree.
    """One WebSocket connection that watches one feed."""

    __slots__ = ("_encoding", "_frames_full_at", "_slot", "_subscription", "_unanswered", "client", "principal")

    transport_name = "websocket"
    factory: ConnectionFactory
    principal: Principal
    heartbeat_interval = 0
    sent_at = 0.0
    # Autobahn logs every connection that it drops. Refused clients must not fill the disk: metrics count them.
    log = txaio.make_logger("error")  # type: ignore[attr-defined]  # txaio has its functions from Autobahn, at run time.

    # Attributes that few connections have, and few for long.
    _admitting: Deferred[str | None] | None = None
    _answer_octets = b""
    _waiting: Conflation | None = None
    _paused = False
    _received = True
    _renewing = False
    _hearing_close = False

    def __init__(self) -> None:
        super().__init__()
        self._subscription: Subscription | None = None
        self._slot: ConnectionSlot | None = None
        self._frames_full_at = 0.0  # the state of a token bucket.
        self._encoding = encoding(None)
        self.client: str | None = None
        self._unanswered = 0

    # The handshake

    def processHandshake(self) -> None:
        """Buffers what follows a handshake that is not answered yet, up to `EARLY_LIMIT`."""
        if len(self.data) > EARLY_LIMIT:
            self.dropConnection(abort=True)

    def handshake(self, head: Head) -> None:
        """Decides about a handshake; a limited number of octets may follow it before it is answered.

        Arguments:
            head: complete and well-formed, with the Upgrade and Connection fields of a handshake.
        """
        assert self.transport is not None
        try:
            request = read_handshake(head)
        except Refusal as refusal:
            self.factory.metrics.http.answered(NO_ROUTE, "GET", refusal.status, 0.0)
            self._refuse(refusal)
            return
        opening = GuardedHandshake(request, host(self.transport.getPeer()), self.factory)
        admitting = self._admitting = start(self._admit(opening))
        if not admitting.called:  # most handshakes are answered at once and need no timer.
            admitting.addTimeout(self.factory.gate.limits.handshake_timeout, self.factory.clock)
        admitting.addCallbacks(self._open, self._deny, callbackArgs=(opening,), errbackArgs=(opening,))

    async def _admit(self, opening: GuardedHandshake) -> str | None:
        opening.find_feed()
        try:
            opened = await self.factory.subscriptions.authorize(opening)
        finally:
            self._slot = opening.slot
        self._subscription = opened.subscription
        self.principal = opened.subscription.principal
        self.client = client_name(opening.request.headers.get("user-agent"))
        self._encoding = encoding(opened.subprotocol, self.factory.preset)
        return opened.subprotocol

    def _open(self, subprotocol: str | None, opening: GuardedHandshake) -> None:
        self._admitting = None
        self._answer_octets = self.acceptance(opening.request.key, subprotocol)
        opening.answered(101)
        self.onOpen()
        self._send_answer()
        if self.data:
            self.consumeData()

    def _deny(self, failure: Failure, opening: GuardedHandshake) -> None:
        """Refuses the handshake: with an HTTP status or, for a page, with a close code."""
        self._admitting = None
        self.release_slot()
        if self.state == self.STATE_CLOSED:
            return  # the client did not wait for the answer.
        refusal = refusal_of(failure, opening)
        subprotocol = opening.closes_with(refusal)
        opening.answered(refusal.status if subprotocol is None else 101)
        if subprotocol is None:
            self._refuse(refusal)
            return
        self._answer_octets = self.acceptance(opening.request.key, subprotocol)
        self._turn_away(refusal)
        if self.data:
            self.consumeData()

    def _send_answer(self) -> None:
        """Sends the 101, with the updates that the feed delivered at once, and opens the connection."""
        octets = self._answer_octets
        if octets:
            del self._answer_octets  # an open connection keeps little.
            self.state = self.STATE_OPEN
            transmit(self.transport, octets)

    def _refuse(self, refusal: Refusal) -> None:
        """Answers in the contract's error form."""
        self.factory.metrics.refused(refusal.label)
        now = self.factory.clock.wall()
        self._linger(response_octets(refusal_response(refusal, now), now, last=True))

    # The feed

    def onOpen(self) -> None:
        """Starts watching."""
        assert self._subscription is not None
        self.start_feed()
        self.factory.connections.opened(self)
        bound_buffers(self.transport)
        self.registerProducer(self, True)
        self._subscription.start(self).addErrback(self.feed_failed)

    def _turn_away(self, refusal: Refusal) -> None:
        closing = close_for_refusal(refusal)
        assert closing is not None
        self.factory.metrics.refused(refusal.label)
        self.factory.turned_away(self)
        self.close_feed(*closing)

    def write_update(self, octets: bytes) -> bool:
        """As in `FeedSubscriber`. Nothing may follow a close frame (RFC 6455 section 5.5.1)."""
        if self.state == self.STATE_OPEN:
            transmit(self.transport, octets)
        elif self._answer_octets:
            self._answer_octets += octets  # one write takes much less time than two.
        else:
            return False
        return True

    @property
    def encoding_name(self) -> str:
        """The subprotocol."""
        return subprotocol_of(plain(self._encoding))

    def close_feed(self, code: CloseCode, reason: str = "") -> None:
        """As in `FeedSubscriber`."""
        # Not sendClose, which accepts 1000 and private codes only.
        self.sendCloseFrame(int(code), reason.encode() or None)

    # The socket

    def heartbeat(self) -> None:
        """Pings; drops a peer that did not answer the last pings or does not complete its close."""
        if self.failedByMe:
            return  # it is about to close.
        if self.state != self.STATE_OPEN:
            self.dropConnection(abort=True)
        elif self._unanswered >= self.factory.missed_pongs:
            self.factory.metrics.refused("missed_pongs")
            self.dropConnection(abort=True)
        else:
            self._unanswered += 1
            self.sendPing()

    @property
    def closed_with(self) -> str:
        """As in `FeedConnection`: the code of the end that closed first; 1006 without a closing handshake."""
        code = self.localCloseCode if self.closedByMe else self.remoteCloseCode
        return "1006" if code is None else str(code) if code in CLOSE_CODES else OTHER

    # What the client says

    def dataReceived(self, data: bytes) -> None:
        """Counts and parses received octets."""
        self.factory.received.value += len(data)
        super().dataReceived(data)

    def onFrameBegin(self) -> None:
        """A frame of any kind arrives: checks the rate."""
        bucket = self.factory.gate.messages
        if bucket is not None and (self._subscription is None or self._subscription.metered):
            now = self.factory.clock.seconds()
            self._frames_full_at = bucket.charge(self._frames_full_at, now, credit=bucket.burst)
            self._judge(bucket.debt(self._frames_full_at, now), bucket.burst)
        super().onFrameBegin()

    def _judge(self, debt: float, burst: float) -> None:
        """Ignores frames beyond the rate, and closes a client that owes more than a burst."""
        if self._received is (debt > 0):
            self._received = not self._received
        if debt > burst and self.state == self.STATE_OPEN:
            reason = "more messages and pings than allowed"
            assert self.transport is not None
            self.factory.connections.audit.record(
                SecurityEvent(
                    type=SecurityEventType.LIMITED,
                    player_id=self.principal.player_id,
                    address=host(self.transport.getPeer()),
                    transport=self.transport_name,
                    status=CloseCode.TOO_FAST,
                    reason=reason,
                )
            )
            self.close_for(CloseCode.TOO_FAST, "too_fast", reason)
        elif debt > burst:
            self.dropConnection(abort=True)

    def onPing(self, payload: bytes) -> None:
        """Answers, unless pings come too fast or the answers are not read."""
        if self._received and not self._paused:
            super().onPing(payload)

    def onPong(self, payload: bytes) -> None:
        """The peer is alive."""
        self._unanswered = 0

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Accepts a fresh token, and refuses anything else; ignores everything after our close frame."""
        if self.state != self.STATE_OPEN:
            return
        offer = None if isBinary else read_offer(payload)
        if offer is None:
            self._receive(payload, isBinary)
        elif self._received and not self._renewing and self._subscription is not None:
            self._renewing = True
            Deferred.fromCoroutine(self._renew(offer.token)).addErrback(self._not_renewed)

    def _receive(self, payload: bytes, binary: bool) -> None:
        """Gives a message to the feed, if that takes any."""
        subscription = self._subscription
        if binary or subscription is None or not subscription.receive(self, payload if self._received else b""):
            self.close_for(
                CloseCode.POLICY_VIOLATION, "unexpected_message", "this feed accepts tokens and nothing else"
            )

    async def _renew(self, token: str) -> None:
        try:
            principal = await self.factory.subscriptions.renew(token, self.principal)
        finally:
            self._renewing = False
        now = moment(self.factory.clock)
        if self._subscription is not None:
            self.principal = principal
            self.factory.connections.open.renewed(self)
            self._answer(TokenAccepted(rfc3339(now.wall), int(principal.expires - now.steady)))

    def _not_renewed(self, failure: Failure) -> None:
        refusal = failure.value
        if not isinstance(refusal, Refusal):
            log.failure("verifying a token failed", failure, **self.ids)
            refusal = failed()
        self.factory.metrics.refused(refusal.label)
        self._answer(TokenRefused(rfc3339(self.factory.clock.wall()), refusal.status, refusal.message))

    def _answer(self, answer: Answer) -> None:
        if self._subscription is not None and not self._paused:
            self.sendMessage(to_json(answer))
            if self.heartbeat_interval:
                self.sent_at = self.factory.clock.seconds()

    # The end

    def close_for(self, code: CloseCode, label: str, reason: str) -> None:
        """As in `FeedSubscriber`."""
        self.factory.metrics.refused(label)
        self.stop_feed()
        self.failedByMe = True
        self.close_feed(code, reason)

    def sendCloseFrame(self, code: int | None = None, reasonUtf8: bytes | None = None, isReply: bool = False) -> None:
        """Sends one close frame. If it fails the connection, reading stops and TCP ends (RFC 6455 section 7.1.7)."""
        self._send_answer()
        was_open = self.state == self.STATE_OPEN
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if was_open and self.failedByMe:
            self.stop_feed()
            self.unregisterProducer()
            self._linger()

    def _linger(self, last: bytes = b"") -> None:
        self.state = self.STATE_CLOSED  # makes Autobahn stop reading.
        linger(self.transport, last, self.factory.clock, self.connectionLost)

    def onCloseFrame(self, code: int, reasonRaw: bytes) -> bool | None:
        """The peer closes, or completes our close."""
        self._hearing_close = True
        try:
            return super().onCloseFrame(code, reasonRaw)
        finally:
            self._hearing_close = False

    def dropConnection(self, abort: bool = False) -> None:
        """Ends the TCP connection.

        Autobahn takes an invalid close frame for the answer to its own complaint and aborts before that is sent: here
        it is sent. A peer that was dropped before and does not read the rest is aborted.
        """
        if abort and self.state == self.STATE_CLOSED:
            self.abort()
        super().dropConnection(abort and not self._hearing_close)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is closed."""
        admitting, self._admitting = self._admitting, None
        if admitting is not None:
            admitting.cancel()
        self.stop_feed()
        self.release_slot()
        self.factory.closed(self)
