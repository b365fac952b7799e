"""Connections that owe a request: bounded, the oldest is closed when there are too many."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from OpenSSL.SSL import Error
from twisted.python.failure import Failure

from craftnet.http.connection.tls import NoApplicationProtocol
from craftnet.limits.client_address import NO_NETWORKS, Networks, address_key, host
from craftnet.limits.connection_limits import Limits
from craftnet.observe.metrics.registry import Metrics

Waiting = TypeVar("Waiting", bound=Hashable)


class OldestFirst(Generic[Waiting]):
    """Waiting connections in the order in which they came.

    Arguments:
        capacity, per_address: maximum number, in all and from one address; 0: no limit.
    """

    def __init__(self, capacity: int, per_address: int) -> None:
        self._capacity = capacity
        self._per_address = per_address
        self._waiting: dict[Waiting, str | None] = {}
        self._from: dict[str, dict[Waiting, None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def change(self, capacity: int, per_address: int) -> None:
        """Replaces the maximum numbers."""
        self._capacity = capacity
        self._per_address = per_address

    def add(self, waiting: Waiting, address: str | None) -> Waiting | None:
        """Adds one; returns the one that must go for it and was removed.

        Arguments:
            waiting: not in yet.
            address: where it comes from; None where that is not counted.
        """
        self._waiting[waiting] = address
        oldest = None
        if address is not None:
            there = self._from.setdefault(address, {})
            there[waiting] = None
            if self._per_address and len(there) > self._per_address:
                oldest = next(iter(there))
        if oldest is None and self._capacity and len(self._waiting) > self._capacity:
            oldest = next(iter(self._waiting))
        if oldest is not None:
            self.remove(oldest)
        return oldest

    def remove(self, waiting: Waiting) -> None:
        """Removes one. Unknown ones are ignored."""
        address = self._waiting.pop(waiting, None)
        if address is not None:
            there = self._from[address]
            del there[waiting]
            if not there:
                del self._from[address]


class HalfOpenConnections:
    """Limits the number of waiting connections.

    Arguments:
        proxies: trusted proxies; their clients share an address, which is therefore not counted.
    """

    def __init__(self, metrics: Metrics, limits: Limits | None = None, proxies: Networks = NO_NETWORKS) -> None:
        limits = limits or Limits()
        self._metrics = metrics
        self._proxies = proxies
        self._unlimited = limits.unlimited
        # Any: abortConnection is in no interface that TLS transports share.
        self._waiting: OldestFirst[Any] = OldestFirst(limits.half_open, limits.half_open_per_address)

    def set_limits(self, limits: Limits) -> None:
        """Replaces the limits; they apply to the next connection."""
        self._unlimited = limits.unlimited
        self._waiting.change(limits.half_open, limits.half_open_per_address)

    def __len__(self) -> int:
        return len(self._waiting)

    def opened(self, transport: Any) -> None:
        """Adds a connection that waits for its client."""
        address = host(transport.getPeer())
        self._add(transport, None if address in self._proxies else address)

    def idle(self, transport: Any, address: str) -> None:
        """Adds a connection that was answered and waits for its next request.

        A trusted proxy keeps connections ready for any client. They are not counted: if one were dropped just as the
        proxy sends a request, the proxy would report a failure of the server.

        Arguments:
            address: the other end of the connection.
        """
        if address not in self._proxies:
            self._add(transport, address)

    def _add(self, transport: Any, address: str | None) -> None:
        """Adds a connection, counted for `address` if that is limited."""
        counted = None if address is None or address in self._unlimited else address_key(address)
        oldest = self._waiting.add(transport, counted)
        if oldest is not None:
            self._metrics.refused("half_open")
            oldest.abortConnection()

    def remove(self, transport: Any) -> None:
        """Removes a connection. Unknown ones are ignored."""
        self._waiting.remove(transport)

    def lost(self, transport: Any, reason: Failure) -> None:
        """A connection ended before a request arrived; a failed TLS handshake counts as refused."""
        self.remove(transport)
        if reason.check(NoApplicationProtocol):
            self._metrics.refused("no_application_protocol")
        elif reason.check(Error):
            self._metrics.refused("tls_handshake")
