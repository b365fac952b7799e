"""All WebSocket connections of a server: accepts them, and sends refused pages the reason."""

from __future__ import annotations

from functools import partial

from autobahn.twisted.websocket import WebSocketServerFactory
from twisted.internet.interfaces import IAddress, IDelayedCall

from craftnet.contract.routes import FeedRoutes
from craftnet.limits.connection_limits import Limits
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.websocket.core.dictionaries import PRESET, Dictionary
from craftnet.protocols.websocket.core.encodings import encoding
from craftnet.protocols.websocket.core.subprotocols import JSON, SUPPORTED
from craftnet.protocols.websocket.server.autobahn_base import configured
from craftnet.protocols.websocket.server.connection import FeedProtocol

MISSED_PONGS = 2
"""Consecutive pings without an answer after which a peer counts as dead."""

TURN_AWAY_TIMEOUT = 1.5
"""Seconds for a refused page to complete the close handshake."""


class FeedFactory(WebSocketServerFactory):
    """Builds a `FeedProtocol` for every handshake that is passed to it.

    Arguments:
        connections: the connections of all subscribers.
        missed_pongs: consecutive pings without an answer after which a peer counts as dead.
        routes: the feeds that its port has.
        preset: the dictionary with which messages are compressed.

    Attributes:
        deliveries: counts each update that is written.
        received: counts the bytes of frames from clients.
    """

    protocol: type[FeedProtocol]  # type: ignore[assignment]  # Twisted's factories may make any protocol.

    def __init__(
        self,
        connections: FeedConnections,
        *,
        missed_pongs: int = MISSED_PONGS,
        routes: FeedRoutes = FeedRoutes.PLAYERS,
        preset: Dictionary = PRESET,
    ) -> None:
        super().__init__(server="craftnet", reactor=connections.clock)
        self.connections = connections
        self.subscriptions = connections.subscriptions
        self.metrics = connections.metrics
        self.preset = preset
        self.deliveries = connections.metrics.delivery_counts("websocket")
        for subprotocol in (None, *SUPPORTED):
            self.deliveries.encoded_by(encoding(subprotocol, self.preset), subprotocol or JSON)
        self.received = connections.metrics.websocket_received
        self.clock = connections.clock
        self.gate = connections.gate
        self.missed_pongs = missed_pongs
        self.routes = routes
        self._turned_away: dict[FeedProtocol, IDelayedCall] = {}
        connections.on_drained(self._drop_turned_away)
        self.gate.follow_limits(self._configure)
        self._configure(self.gate.limits)

    def _configure(self, limits: Limits) -> None:
        """Makes the class of further connections."""
        self.setProtocolOptions(
            versions=[13],
            webStatus=False,
            failByDrop=False,
            echoCloseCodeReason=True,
            openHandshakeTimeout=0,  # the listener waits for the handshake, with a limit of its own.
            closeHandshakeTimeout=0,  # the heartbeat enforces it.
            autoPingInterval=0,
            maxFramePayloadSize=limits.message_size,
            maxMessagePayloadSize=limits.message_size,
        )
        self.protocol = configured(FeedProtocol, self)

    def buildProtocol(  # type: ignore[override]  # as above.
        self, addr: IAddress | None
    ) -> FeedProtocol:
        """Returns a connection, whose class knows the factory."""
        return self.protocol()

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
        self.connections.closed(protocol)

    def _drop_turned_away(self) -> None:
        for protocol in tuple(self._turned_away):
            protocol.dropConnection(abort=True)
