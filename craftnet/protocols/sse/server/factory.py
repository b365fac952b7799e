"""Takes the requests for event streams from the HTTP side."""

from __future__ import annotations

from collections.abc import Mapping

from twisted.internet.interfaces import IAddress

from craftnet.contract.routes import EVENT_STREAM, find_feed
from craftnet.errors import Refusal
from craftnet.http.connection.sniffer import StreamFactory
from craftnet.http.cross_origin import CrossOrigin
from craftnet.http.request_head import Head
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.sse.core.event_stream import encoding
from craftnet.protocols.sse.server.connection import EventStream, feed_path

MISSED_HEARTBEATS = 2
"""Heartbeats in a row that find a client still not reading, after which it counts as dead."""


class EventStreamFactory(StreamFactory):
    """Builds an `EventStream` for each request that is passed to it.

    Arguments:
        connections: the connections of all subscribers.
        cross_origin: lets pages of other sites read the streams.
        policy: header fields of every response over TLS.
        missed_heartbeats: heartbeats in a row that find a client still not reading, after which it counts as dead.

    Attributes:
        deliveries: counts each update that is written.
        silence: seconds for which a client's system may acknowledge nothing.
    """

    noisy = False

    def __init__(
        self,
        connections: FeedConnections,
        cross_origin: CrossOrigin,
        *,
        policy: Mapping[str, str] | None = None,
        missed_heartbeats: int = MISSED_HEARTBEATS,
    ) -> None:
        self.connections = connections
        self.cross_origin = cross_origin
        self.policy = policy or {}
        self.missed_heartbeats = missed_heartbeats
        self.silence = (missed_heartbeats + 1) * connections.ping_interval
        self.metrics = connections.metrics
        self.clock = connections.clock
        self.gate = connections.gate
        self.deliveries = connections.metrics.delivery_counts("sse")
        for chunked in (True, False):
            self.deliveries.encoded_by(encoding(chunked=chunked), "json")

    def takes(self, head: Head) -> bool:
        """Whether a request is for an event stream. Those with a body are left to be refused by the routes."""
        if head.method != b"GET" or head.length != 0:
            return False
        try:
            find_feed(feed_path(head)[0], self.connections.bases, EVENT_STREAM)
        except Refusal:
            return False
        return True

    def buildProtocol(self, addr: IAddress | None) -> EventStream:  # type: ignore[override]  # any IProtocol will do.
        """The protocol of one stream."""
        return EventStream(self)
