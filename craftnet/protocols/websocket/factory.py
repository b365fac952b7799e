"""All WebSocket connections of a server: takes them, sees to their heartbeats, and sends them away at the end."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.task import deferLater

from craftnet.access.gate import Gate
from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.closecodes import CloseCode, retry_reason
from craftnet.errors import Unavailable
from craftnet.observe.metrics import Metrics
from craftnet.protocols.websocket.connection import FeedProtocol
from craftnet.protocols.websocket.connections import Connections
from craftnet.protocols.websocket.drain import SPREAD, schedule
from craftnet.protocols.websocket.engine import configured
from craftnet.subscriptions import Subscriptions
from craftnet.targets import BasePaths

PING_INTERVAL = 30
"""Seconds between pings. A close handshake must be complete before the next one is due."""

MISSED_PONGS = 2
"""Pings in a row without an answer, after which a peer is taken for dead."""

SHUTDOWN_TIMEOUT = 5.0
"""Seconds for the close handshakes when the server goes away."""

TURN_AWAY_TIMEOUT = 1.5
"""Seconds for a page that was refused to complete the close handshake."""

Result = TypeVar("Result")


class FeedFactory(WebSocketServerFactory):
    """Makes a `FeedProtocol` for every handshake that the door lets through.

    Arguments:
        gate: what handshakes must pass; knows the limits.
        bases: what may stand in front of every route.
        ping_interval: seconds between pings.
        missed_pongs: pings in a row without an answer, after which a peer is taken for dead.

    Attributes:
        open: the connections that are open.
        deliveries: where each update that is written is counted.
    """

    protocol: type[FeedProtocol]  # type: ignore[assignment]  # Twisted's factories may make any protocol.

    def __init__(
        self,
        subscriptions: Subscriptions,
        metrics: Metrics,
        reactor: IClock,
        gate: Gate,
        *,
        bases: BasePaths | None = None,
        ping_interval: int = PING_INTERVAL,
        missed_pongs: int = MISSED_PONGS,
    ) -> None:
        super().__init__(server="craftnet", reactor=reactor)
        self.subscriptions = subscriptions
        self.metrics = metrics
        self.deliveries = metrics.tally("websocket")
        self.clock = reactor
        self.gate = gate
        self.bases = bases or BasePaths()
        self.missed_pongs = missed_pongs
        self.open: Connections[FeedProtocol] = Connections(ping_interval)
        self._turned_away: dict[FeedProtocol, IDelayedCall] = {}
        self._gone: dict[FeedProtocol, Deferred[None]] = {}
        self._leaving = False
        self._hurried = False
        self._pause: Deferred[None] | None = None
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=0,  # the door waits for the handshake, and has a limit of its own.
            closeHandshakeTimeout=0,  # the heartbeat looks after it.
            autoPingInterval=0,
            maxFramePayloadSize=gate.limits.message_size,
            maxMessagePayloadSize=gate.limits.message_size,
        )
        self.protocol = configured(FeedProtocol, self)

    def buildProtocol(  # type: ignore[override]  # as above.
        self, addr: IAddress | None
    ) -> FeedProtocol:
        """A connection. (Its class knows the factory.)"""
        return self.protocol()

    def check_staying(self) -> None:
        """Raises:
        Unavailable: the server goes away, and takes no further connections.
        """
        if self._leaving:
            raise Unavailable("The server is shutting down.", retry_after=round(SPREAD))

    def opened(self, protocol: FeedProtocol) -> None:
        """A handshake succeeded."""
        self.open.add(protocol)
        self.metrics.connection_opened("websocket")

    @property
    def may_turn_away(self) -> bool:
        """Whether one more refused page may be told why over a WebSocket."""
        limit = self.gate.limits.refused_pages
        return not limit or len(self._turned_away) < limit

    def turned_away(self, protocol: FeedProtocol) -> None:
        """A page was refused, and is told so: see that it is gone soon."""
        drop = partial(protocol.dropConnection, abort=True)
        self._turned_away[protocol] = self.clock.callLater(TURN_AWAY_TIMEOUT, drop)

    def closed(self, protocol: FeedProtocol) -> None:
        """A connection is over; it need not have been opened."""
        deadline = self._turned_away.pop(protocol, None)
        if deadline is not None and deadline.active():
            deadline.cancel()
        if protocol in self.open:
            self.open.discard(protocol)
            self.metrics.connection_closed("websocket")
            gone = self._gone.pop(protocol, None)
            if gone is not None:
                gone.callback(None)

    def gone(self, protocol: FeedProtocol) -> Deferred[None]:
        """Answers when a connection is not open any more."""
        return self._gone.setdefault(protocol, Deferred()) if protocol in self.open else succeed(None)

    def turn(self) -> None:
        """Send the heartbeats that are due, and close what has expired; to be called every second."""
        for protocol in self.open.heartbeats():
            protocol.heartbeat()
        for protocol in self.open.silent(self.clock.seconds()):
            protocol.send_heartbeat()
        for protocol in self.open.expired(self.clock.seconds()):
            protocol.expired()

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """Close the feeds of principals whose tokens were revoked; answers how many."""
        over = self.open.of(covered)
        for protocol in over:
            protocol.revoked()
        return len(over)

    async def drain(self, duration: float) -> None:
        """Take no further connections, and send away those that are open, over `duration` seconds.

        Feeds go on until each is closed. Done when the last is gone, `SHUTDOWN_TIMEOUT` later at the latest.
        """
        self._leaving = True
        protocols, began = list(self.open), self.clock.seconds()
        for protocol, closing in zip(protocols, schedule(len(protocols), duration, random.uniform), strict=True):
            await self._wait_until(began + closing.at)
            protocol.ended(CloseCode.GOING_AWAY, retry_reason(closing.retry_after))
        deadline = self.clock.callLater(SHUTDOWN_TIMEOUT, self._abort_all)
        await DeferredList([self.gone(protocol) for protocol in protocols]).addCallback(partial(_cancelled, deadline))
        for protocol in tuple(self._turned_away):
            protocol.dropConnection(abort=True)

    def hurry(self) -> None:
        """Somebody does not want to wait: send everybody away now."""
        self._hurried = True
        if self._pause is not None:
            self._pause.cancel()

    async def _wait_until(self, when: float) -> None:
        delay = when - self.clock.seconds()
        if delay > 0 and not self._hurried:
            self._pause = deferLater(self.clock, delay)
            with suppress(CancelledError):
                await self._pause
            self._pause = None

    def _abort_all(self) -> None:
        for protocol in self.open:
            protocol.dropConnection(abort=True)


def _cancelled(call: IDelayedCall, result: Result) -> Result:
    """`result`, now that `call` is not needed any more."""
    if call.active():
        call.cancel()
    return result
