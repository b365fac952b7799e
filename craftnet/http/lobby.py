"""The connections that owe a request, the first or the next one, and are closed when there are too many.

A connection belongs to them from its acceptance to its WebSocket handshake, while it is idle between two HTTP requests,
and while it sends one.
"""

from __future__ import annotations

from typing import Any

from OpenSSL.SSL import Error
from twisted.python.failure import Failure

from craftnet.access.limits import Limits
from craftnet.access.networks import NOWHERE, Networks, host, source
from craftnet.http.tls import NoApplicationProtocol
from craftnet.http.waitingroom import WaitingRoom
from craftnet.observe.metrics import Metrics


class Lobby:
    """Limits the number of waiting connections.

    Arguments:
        proxies: trusted proxies; their clients share an address, which is therefore not counted.
    """

    def __init__(self, metrics: Metrics, limits: Limits | None = None, proxies: Networks = NOWHERE) -> None:
        limits = limits or Limits()
        self._metrics = metrics
        self._proxies = proxies
        self._unlimited = limits.unlimited
        # Any: abortConnection is in no interface that TLS transports share.
        self._room: WaitingRoom[Any] = WaitingRoom(limits.half_open, limits.half_open_per_address)

    def __len__(self) -> int:
        return len(self._room)

    def enter(self, transport: Any) -> None:
        """Adds a connection that waits for its client."""
        address = host(transport.getPeer())
        counted = None if address in self._unlimited or address in self._proxies else source(address)
        oldest = self._room.enter(transport, counted)
        if oldest is not None:
            self._metrics.refused("half_open")
            oldest.abortConnection()

    def idle(self, transport: Any) -> None:
        """Adds a connection that was answered and waits for its next request.

        A trusted proxy keeps connections ready for any client. They are not counted: if one were dropped just as the
        proxy sends a request, the proxy would report a failure of the server.
        """
        if host(transport.getPeer()) not in self._proxies:
            self.enter(transport)

    def leave(self, transport: Any) -> None:
        """Removes a connection. Unknown ones are ignored."""
        self._room.leave(transport)

    def lost(self, transport: Any, reason: Failure) -> None:
        """A connection ended before a request arrived; a failed TLS handshake counts as refused."""
        self.leave(transport)
        if reason.check(NoApplicationProtocol):
            self._metrics.refused("no_application_protocol")
        elif reason.check(Error):
            self._metrics.refused("tls_handshake")
