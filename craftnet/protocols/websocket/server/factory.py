"""All WebSocket connections of a server: accepts them, sends heartbeats, and closes them at the end."""

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

from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.close_codes import CloseCode, retry_reason
from craftnet.contract.routes import BasePaths
from craftnet.errors import shutting_down
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.websocket.core.drain import RECONNECT_SPREAD, schedule
from craftnet.protocols.websocket.server.autobahn_base import configured
from craftnet.protocols.websocket.server.connection import FeedProtocol
from craftnet.protocols.websocket.server.connections import Connections

PING_INTERVAL = 30
"""Seconds between pings. A close handshake must be complete before the next one is due."""

MISSED_PONGS = 2
"""Consecutive pings without an answer after which a peer counts as dead."""

SHUTDOWN_TIMEOUT = 5.0
"""Seconds for the close handshakes when the server stops."""

TURN_AWAY_TIMEOUT = 1.5
"""Seconds for a refused page to complete the close handshake."""

Result = TypeVar("Result")


class FeedFactory(WebSocketServerFactory):
    """Builds a `FeedProtocol` for every handshake that is passed to it.

    Arguments:
        gate: the checks and limits of handshakes.
        bases: the base paths that may precede every route.
        ping_interval: seconds between pings.
        missed_pongs: consecutive pings without an answer after which a peer counts as dead.

    Attributes:
        open: the open connections.
        deliveries: counts each update that is written.
    """

    protocol: type[FeedProtocol]  # type: ignore[assignment]  # Twisted's factories may make any protocol.

    def __init__(
        self,
        subscriptions: Subscriptions,
        metrics: Metrics,
        reactor: IClock,
        gate: HandshakeGuard,
        *,
        bases: BasePaths | None = None,
        ping_interval: int = PING_INTERVAL,
        missed_pongs: int = MISSED_PONGS,
    ) -> None:
        super().__init__(server="craftnet", reactor=reactor)
        self.subscriptions = subscriptions
        self.metrics = metrics
        self.deliveries = metrics.delivery_counts("websocket")
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
            openHandshakeTimeout=0,  # the listener waits for the handshake, with a limit of its own.
            closeHandshakeTimeout=0,  # the heartbeat enforces it.
            autoPingInterval=0,
            maxFramePayloadSize=gate.limits.message_size,
            maxMessagePayloadSize=gate.limits.message_size,
        )
        self.protocol = configured(FeedProtocol, self)

    def buildProtocol(  # type: ignore[override]  # as above.
        self, addr: IAddress | None
    ) -> FeedProtocol:
        """Returns a connection, whose class knows the factory."""
        return self.protocol()

    def check_staying(self) -> None:
        """Raises:
        Unavailable: the server is stopping, and accepts no further connections.
        """
        if self._leaving:
            raise shutting_down(round(RECONNECT_SPREAD))

    def opened(self, protocol: FeedProtocol) -> None:
        """A handshake succeeded."""
        self.open.add(protocol)
        self.metrics.connection_opened("websocket")

    @property
    def may_turn_away(self) -> bool:
        """Whether one more refused page may learn the reason over a WebSocket."""
        limit = self.gate.limits.refused_pages
        return not limit or len(self._turned_away) < limit

    def turned_away(self, protocol: FeedProtocol) -> None:
        """A page was refused over a WebSocket: makes sure that it is closed soon."""
        drop = partial(protocol.dropConnection, abort=True)
        self._turned_away[protocol] = self.clock.callLater(TURN_AWAY_TIMEOUT, drop)

    def closed(self, protocol: FeedProtocol) -> None:
        """A connection is closed; it may never have been opened."""
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
        """Fires when a connection is closed."""
        return self._gone.setdefault(protocol, Deferred()) if protocol in self.open else succeed(None)

    def turn(self) -> None:
        """Sends the heartbeats that are due, and closes what has expired; called every second."""
        for protocol in self.open.heartbeats():
            protocol.heartbeat()
        for protocol in self.open.silent(self.clock.seconds()):
            protocol.send_heartbeat()
        for protocol in self.open.expired(self.clock.seconds()):
            protocol.expired()

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """Closes the feeds of principals whose tokens were revoked; returns how many."""
        over = self.open.of(covered)
        for protocol in over:
            protocol.revoked()
        return len(over)

    async def drain(self, duration: float) -> None:
        """Accepts no further connections, and closes the open ones over `duration` seconds.

        Feeds go on until each is closed. Returns when the last is closed, at the latest `SHUTDOWN_TIMEOUT` later.
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
        """Ends a drain at once: closes everything now."""
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
    """`result`, after cancelling `call`."""
    if call.active():
        call.cancel()
    return result
