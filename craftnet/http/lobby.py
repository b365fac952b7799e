"""The lobby: every connection that owes us a request, the first one or the next, and has to go when there are too many.

A connection is in it from its acceptance to its WebSocket handshake, or while it is idle between two HTTP requests, or
takes its time to send one.
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
    """Keeps the connections that wait few enough.

    Arguments:
        proxies: all clients of a proxy share its address, so that it counts for nobody.
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
        """It waits for its client."""
        address = host(transport.getPeer())
        counted = None if address in self._unlimited or address in self._proxies else source(address)
        oldest = self._room.enter(transport, counted)
        if oldest is not None:
            self._metrics.refused("half_open")
            oldest.abortConnection()

    def idle(self, transport: Any) -> None:
        """It had an answer, and waits for its next request.

        A trusted proxy keeps connections ready for whichever client comes next. They do not count: the proxy would see
        a connection that is dropped for others just as it sends a request as a failure of the server.
        """
        if host(transport.getPeer()) not in self._proxies:
            self.enter(transport)

    def leave(self, transport: Any) -> None:
        """It waits no more, or is gone. One who is not in is no error."""
        self._room.leave(transport)

    def lost(self, transport: Any, reason: Failure) -> None:
        """Its connection ended before a request came; TLS that the two sides could not agree on counts as refused."""
        self.leave(transport)
        if reason.check(NoApplicationProtocol):
            self._metrics.refused("no_application_protocol")
        elif reason.check(Error):
            self._metrics.refused("tls_handshake")
