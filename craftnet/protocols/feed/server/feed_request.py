"""A request for a feed on its way through the checks: the same for every protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from craftnet.access.authorization import RequestOrigin
from craftnet.access.principal import Principal
from craftnet.contract.identifiers import without_ids
from craftnet.contract.routes import EVENT_STREAM, Query, Target, feed_route, find_feed
from craftnet.contract.traces import parse_traceparent, request_ids
from craftnet.feeds.subscriptions import Subscription
from craftnet.limits.connection_limits import ConnectionSlot
from craftnet.observe.metrics.registry import NO_ROUTE
from craftnet.protocols.feed.server.feed_connections import FeedConnections


class FeedRequest:
    """The part of a `craftnet.access.authorization.GuardedRequest` that depends on no protocol.

    Arguments:
        path: unquoted, without the query.
        query: every value of each query parameter.
        headers: every header field by lower-case name.
        peer: the address from which the connection comes.
        transport: as for `craftnet.contract.routes.find_feed`.

    Attributes:
        slot: the connection's slot, once it has one, whatever the outcome.
    """

    _target: Callable[[Query], Target]

    def __init__(
        self,
        path: str,
        query: Query,
        headers: Mapping[str, str],
        peer: str,
        connections: FeedConnections,
        transport: str,
    ) -> None:
        self._path = path
        self._query = query
        self._headers = headers
        self._peer = peer
        self._connections = connections
        self._transport = transport
        self.slot: ConnectionSlot | None = None
        self._route = NO_ROUTE
        self._began = connections.clock.seconds()

    @property
    def from_page(self) -> bool:
        """Whether it comes from a browser's page that may connect here."""
        return self._connections.gate.is_page(self._peer, self._headers)

    def origin(self) -> RequestOrigin:
        """Where it comes from."""
        address = self._connections.gate.client(self._peer, self._headers)
        name = "sse" if self._transport == EVENT_STREAM else "websocket"
        return RequestOrigin(
            address, name, without_ids(self._path), parse_traceparent(self._headers.get("traceparent"))
        )

    @property
    def ids(self) -> dict[str, Any]:
        """As `craftnet.contract.traces.request_ids`."""
        named = self._query.get("player_id", ())
        return request_ids(f"{self._path}?player_id={named[0]}" if named else self._path, self._headers)

    def find_feed(self) -> None:
        """Finds the route; called first.

        Raises:
            NotFound: no feed has this path.
        """
        self._target = find_feed(self._path, self._connections.bases, self._transport)
        self._route = feed_route(self._target, self._transport)

    def answered(self, status: int) -> None:
        """Counts the answer to the request, which has this status."""
        seconds = self._connections.clock.seconds() - self._began
        self._connections.metrics.http.answered(self._route, "GET", status, seconds)

    def limit(self) -> None:
        """Checks the page's origin, then the limits of the address.

        Raises:
            Unavailable: the server is stopping.
            Forbidden: the page is of a site whose pages may not connect.
            TooManyRequests: see `craftnet.limits.handshake_guard.HandshakeGuard.admit`.
        """
        connections = self._connections
        connections.check_staying()
        self.slot = connections.gate.admit(self._peer, self._headers, connections.clock.seconds())

    def target(self) -> Target:
        """Parses the ids and the query."""
        return self._target(self._query)

    async def subscribe(self, principal: Principal, target: Target) -> Subscription:
        """Returns a subscription, and assigns the slot to the player.

        Raises:
            Refusal: see `Subscriptions.subscribe` and `HandshakeGuard.assign_slot`, in this order; Unavailable when
                the server is stopping.
        """
        connections = self._connections
        assert self.slot is not None
        subscription = await connections.subscriptions.subscribe(target, principal)
        now = connections.clock.seconds()
        await connections.gate.assign_slot(self.slot, principal.player_id, subscription.session_id, now)
        connections.check_staying()
        return subscription
