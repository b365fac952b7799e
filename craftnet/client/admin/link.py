"""A connection to the admin feed: an Autobahn shell that reconnects unless the ending is final."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from craftnet.client.core import endings
from craftnet.client.core.address import Address
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.transports.websocket_link import (
    ClientWebSocket,
    ClientWebSocketFactory,
    LinkSettings,
    websocket_endpoint,
)
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


class _AdminConnection(ClientWebSocket):
    """One connection."""

    def __init__(self, clock: IClock, requests: Sequence[Request], heard: Heard) -> None:
        super().__init__(clock, SILENCE_TIMEOUT)
        self.ended: Deferred[Ending] = Deferred(lambda _: self.dropConnection(abort=True))
        self._requests = requests
        self._heard = heard

    def finished(self, ending: Ending) -> None:
        """As in `ClientWebSocket`."""
        if not self.ended.called:
            self.ended.callback(ending)

    def onOpen(self) -> None:
        """Sends the requests for subscriptions and traces."""
        super().onOpen()
        for request in self._requests:
            self.sendMessage(to_json(request))

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Passes a message on; ignores those of a newer server that this client does not know."""
        try:
            message = _messages.decode(payload)
        except MALFORMED:
            return
        try:
            self._heard(message)
        except Exception:  # standard output may be closed.
            self.fail("the message could not be shown")
            self.ended.errback(Failure())


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
        settings = LinkSettings(self._address.admin_feed(), ("craftnet.json.v1",), MAX_MESSAGE, SILENCE_TIMEOUT)
        connection = _AdminConnection(self._reactor, self._requests, self._hear)
        try:
            await websocket_endpoint(self._reactor, self._address).connect(
                ClientWebSocketFactory(settings, self._token, connection)
            )
        except Exception as error:  # Twisted has many.
            return endings.connection_lost(f"cannot connect: {str(error).rstrip('.')}")
        return await connection.ended
