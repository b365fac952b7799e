"""What all connections of subscribers share, whatever their protocol: heartbeats, the ends of tokens, the drain."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import deferLater

from craftnet.access.principal import Principal
from craftnet.clocks import IClock
from craftnet.contract.close_codes import CloseCode, retry_reason
from craftnet.contract.routes import BasePaths
from craftnet.errors import shutting_down
from craftnet.feeds.subscriptions import Subscriptions
from craftnet.interfaces import IAuditLog
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.observe.audit.recorder import NoAudit
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.core.drain import RECONNECT_SPREAD, schedule
from craftnet.protocols.feed.server.connections import Connection, Connections

PING_INTERVAL = 30
"""Seconds between pings. A close handshake must be complete before the next one is due."""

SHUTDOWN_TIMEOUT = 5.0
"""Seconds for connections to close when the server stops."""

Result = TypeVar("Result")


class FeedConnection(Connection, Protocol):
    """A connection that watches one feed.

    Attributes:
        transport_name: the label of its protocol in metrics.
        closed_with: the close code as a label, once it is closed.
    """

    transport_name: str

    @property
    def closed_with(self) -> str:
        """As above."""

    def heartbeat(self) -> None:
        """Checks that the peer is alive; called every `ping_interval` seconds."""

    def send_heartbeat(self) -> None:
        """Sends the position of the feed."""

    def expired(self) -> None:
        """Closes: the token has expired."""

    def revoked(self) -> None:
        """Closes: the token was revoked."""

    def ended(self, code: CloseCode, reason: str = "") -> None:
        """Closes, once everything that waits is sent."""

    def disconnected(self) -> None:
        """Closes: an operator ends the connection."""

    def dropConnection(self, abort: bool = False) -> None:
        """Ends the TCP connection."""


class FeedConnections:
    """All open connections of subscribers.

    Arguments:
        gate: the checks and limits of connections.
        bases: the base paths that may precede every route.
        ping_interval: seconds between pings.

    Attributes:
        audit: records security events.
        open: the open connections.
    """

    def __init__(
        self,
        subscriptions: Subscriptions,
        metrics: Metrics,
        clock: IClock,
        gate: HandshakeGuard,
        *,
        bases: BasePaths | None = None,
        ping_interval: int = PING_INTERVAL,
        audit: IAuditLog | None = None,
    ) -> None:
        self.audit: IAuditLog = audit or NoAudit()
        self.subscriptions = subscriptions
        self.metrics = metrics
        self.clock = clock
        self.gate = gate
        self.bases = bases or BasePaths()
        self.ping_interval = ping_interval
        self.open: Connections[FeedConnection] = Connections(ping_interval)
        self._gone: dict[FeedConnection, Deferred[None]] = {}
        self._leaving = False
        self._hurried = False
        self._pause: Deferred[None] | None = None
        self._drained: list[Callable[[], None]] = []

    def on_drained(self, function: Callable[[], None]) -> None:
        """Calls `function` at the end of a drain."""
        self._drained.append(function)

    def check_staying(self) -> None:
        """Raises:
        Unavailable: the server is stopping, and accepts no further connections.
        """
        if self._leaving:
            raise shutting_down(round(RECONNECT_SPREAD))

    def opened(self, connection: FeedConnection) -> None:
        """A connection was admitted and is open."""
        self.open.add(connection)
        self.metrics.connection_opened(connection.transport_name)

    def closed(self, connection: FeedConnection) -> None:
        """A connection is closed; it may never have been opened."""
        if connection in self.open:
            self.open.discard(connection)
            self.metrics.connection_closed(connection.transport_name, connection.closed_with)
            gone = self._gone.pop(connection, None)
            if gone is not None:
                gone.callback(None)

    def gone(self, connection: FeedConnection) -> Deferred[None]:
        """Fires when a connection is closed."""
        return self._gone.setdefault(connection, Deferred()) if connection in self.open else succeed(None)

    def turn(self) -> None:
        """Sends the heartbeats that are due, and closes what has expired; called every second."""
        for connection in self.open.heartbeats():
            connection.heartbeat()
        for connection in self.open.silent(self.clock.seconds()):
            connection.send_heartbeat()
        for connection in self.open.expired(self.clock.seconds()):
            connection.expired()

    def enforce(self, covered: Callable[[Principal], bool]) -> int:
        """Closes the feeds of principals whose tokens were revoked; returns how many."""
        over = self.open.of(covered)
        for connection in over:
            connection.revoked()
        return len(over)

    async def drain(self, duration: float) -> None:
        """Accepts no further connections, and closes the open ones over `duration` seconds.

        Feeds go on until each is closed. Returns when the last is closed, at the latest `SHUTDOWN_TIMEOUT` later.
        """
        self._leaving = True
        connections, began = list(self.open), self.clock.seconds()
        for connection, closing in zip(connections, schedule(len(connections), duration, random.uniform), strict=True):
            await self._wait_until(began + closing.at)
            connection.ended(CloseCode.GOING_AWAY, retry_reason(closing.retry_after))
        deadline = self.clock.callLater(SHUTDOWN_TIMEOUT, self._abort_all)
        closing_all = DeferredList([self.gone(connection) for connection in connections])
        await closing_all.addCallback(partial(_cancelled, deadline))
        for function in self._drained:
            function()

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
        for connection in self.open:
            connection.dropConnection(abort=True)


def _cancelled(call: IDelayedCall, result: Result) -> Result:
    """`result`, after cancelling `call`."""
    if call.active():
        call.cancel()
    return result
