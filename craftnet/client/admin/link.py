"""A connection to the admin feed: an Autobahn shell that reconnects unless the ending is final."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import msgspec
from autobahn.twisted.websocket import WebSocketClientFactory, WebSocketClientProtocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from craftnet import __version__
from craftnet.client.core import endings
from craftnet.client.core.address import Address
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.clocks import IClock
from craftnet.contract.admin.feed import AdminMessage, Subscribe, TraceRequest
from craftnet.contract.messages import MALFORMED, to_json
from craftnet.runtime.backoff import Backoff

MAX_MESSAGE = 1_048_576
"""Bytes of the longest accepted message."""

SILENCE_TIMEOUT = 20.0
"""Seconds without an octet after which the connection counts as dead; overviews arrive every second."""

_messages = msgspec.json.Decoder(AdminMessage)

Request = Subscribe | TraceRequest
Heard = Callable[[AdminMessage], None]


class _AdminProtocol(WebSocketClientProtocol):
    """One connection."""

    requests: Sequence[Request] = ()
    heard: Heard
    clock: IClock

    def __init__(self) -> None:
        super().__init__()
        self.ended: Deferred[Ending] = Deferred(lambda _: self.dropConnection(abort=True))
        self._ending: Ending | None = None
        self._silence: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Waits for the answer, with a limit."""
        self._silence = self.clock.callLater(SILENCE_TIMEOUT, self._fail, endings.SILENT)
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        """Octets arrived: the server is alive."""
        if self._silence is not None and self._silence.active():
            self._silence.reset(SILENCE_TIMEOUT)
        super().dataReceived(data)

    def failHandshake(self, reason: str) -> None:
        """Autobahn rejected the answer; called again with more octets until that is complete."""
        self._ending = endings.handshake_refused(self.data, complete=False)
        if self._ending is not None:
            super().failHandshake(reason)

    def onOpen(self) -> None:
        """Sends the requests for subscriptions and traces."""
        for request in self.requests:
            self.sendMessage(to_json(request))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Passes a message on; those of a newer server that are not understood are left out."""
        try:
            message = _messages.decode(payload)
        except MALFORMED:
            return
        try:
            self.heard(message)
        except Exception:  # standard output may be closed.
            self._fail("the message could not be shown")
            self.ended.errback(Failure())

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is closed."""
        if self._silence is not None and self._silence.active():
            self._silence.cancel()
        if self._ending is None and not self.is_open.called and self.data:
            self._ending = endings.handshake_refused(self.data, complete=True)
        if not self.ended.called:
            self.ended.callback(self._ending or endings.websocket_closed(self.remoteCloseCode, self.remoteCloseReason))

    def _fail(self, reason: str) -> None:
        self._ending = endings.connection_lost(reason)
        self.dropConnection(abort=True)


class AdminLink:
    """Follows the admin feed.

    Arguments:
        reactor: a real one, with TCP and name resolution.
        token: the bearer token.
        requests: the messages to send on each new connection.
        heard: called with each message.
    """

    def __init__(
        self, reactor: IClock, address: Address, token: str, requests: Sequence[Request], heard: Heard
    ) -> None:
        self._reactor = reactor
        self._address = address
        self._token = token
        self._requests = requests
        self._heard = heard
        self._heard_at = 0.0

    async def follow(self, give_up_after: float, waiting: Callable[[float, Ending], None]) -> Ending:
        """Follows until the server refuses, or cannot be reached for so long; returns why it ended.

        Arguments:
            give_up_after: seconds.
            waiting: called with the seconds until the next attempt, and why it is needed.
        """
        backoff, lost_at = Backoff(), self._reactor.seconds()
        while True:
            heard_before = self._heard_at
            ending = await self._connect()
            if ending.kind is not EndingKind.LOST:
                return ending
            now = self._reactor.seconds()
            if self._heard_at != heard_before:
                backoff, lost_at = Backoff(), now
            if now - lost_at >= give_up_after:
                return ending
            delay = backoff.delay(now, ending.retry_after)
            waiting(delay, ending)
            await deferLater(self._reactor, delay)

    def _hear(self, message: AdminMessage) -> None:
        self._heard_at = self._reactor.seconds()
        self._heard(message)

    async def _connect(self) -> Ending:
        address = self._address
        factory = WebSocketClientFactory(
            address.admin_feed(),
            protocols=["craftnet.json.v1"],
            useragent=f"craftnet/{__version__}",
            headers={"Authorization": f"Bearer {self._token}"},
        )
        factory.setProtocolOptions(maxFramePayloadSize=MAX_MESSAGE, maxMessagePayloadSize=MAX_MESSAGE)
        protocol = _AdminProtocol()
        protocol.requests, protocol.heard, protocol.clock = self._requests, self._hear, self._reactor
        protocol.factory = factory
        factory.buildProtocol = lambda addr: cast(Protocol, protocol)  # type: ignore[method-assign]  # just this one.
        endpoint: IStreamClientEndpoint = HostnameEndpoint(self._reactor, address.host, address.port)
        if address.secure:
            endpoint = wrapClientTLS(optionsForClientTLS(address.host), endpoint)
        try:
            await endpoint.connect(factory)
        except Exception as error:  # Twisted has many.
            return endings.connection_lost(f"cannot connect: {str(error).rstrip('.')}")
        return await protocol.ended
