"""The state and limits that all HTTP connections of a port share, and the octets of their responses."""

from __future__ import annotations

from twisted.internet.interfaces import ISSLTransport, ITransport
from twisted.internet.protocol import Factory

from craftnet.clocks import IClock
from craftnet.errors import Refusal
from craftnet.http.connection.lingering_close import linger
from craftnet.http.exchange import Response, refusal_response, response_octets
from craftnet.http.resource import Router
from craftnet.observe.metrics.registry import NO_ROUTE, Metrics


class HttpSite(Factory):
    """The common part of all connections.

    Arguments:
        body_limit: maximum body length, in bytes.
        anonymous_limit: maximum without an Authorization header; None: the same.
        idle: seconds for which a connection may wait for, or take to send, its next request.
        hsts: seconds for which browsers that used TLS must use only TLS (RFC 6797); 0: no such policy.

    Attributes:
        policy: header fields of every response over TLS.
        received: counts the bytes of requests.
        draining: whether the server is stopping and asks clients to connect elsewhere.
    """

    noisy = False

    def __init__(
        self,
        routes: Router,
        clock: IClock,
        metrics: Metrics,
        *,
        body_limit: int,
        idle: float,
        anonymous_limit: int | None = None,
        hsts: int = 0,
    ) -> None:
        self.routes = routes
        self.clock = clock
        self.idle = idle
        self.body_limit = body_limit
        self.anonymous_limit = body_limit if anonymous_limit is None else anonymous_limit
        self.draining = False
        self._metrics = metrics
        self.received, self._sent = metrics.http.received, metrics.http.sent
        self.policy = {"Strict-Transport-Security": f"max-age={hsts}"} if hsts else {}

    def octets(self, response: Response, secure: bool, *, last: bool, bodiless: bool) -> bytes:
        """A response as octets. (RFC 6797 forbids its header field without TLS.)"""
        policy = self.policy if secure else {}
        octets = response_octets(response, self.clock.wall(), last=last, bodiless=bodiless, policy=policy)
        self._sent["http", response.headers.get("Content-Encoding", "identity")].value += len(octets)
        return octets

    def turn_away(self, transport: ITransport, refusal: Refusal, head: bytes) -> None:
        """Refuses a client and closes its connection; `head` is what was read of the request."""
        self._metrics.refused(refusal.label)
        self._metrics.http.answered(NO_ROUTE, head.partition(b" ")[0].decode("latin-1"), refusal.status, 0.0)
        response = refusal_response(refusal, self.clock.wall())
        secure, bodiless = ISSLTransport.providedBy(transport), head.startswith(b"HEAD ")
        linger(transport, self.octets(response, secure, last=True, bodiless=bodiless), self.clock)

    def startFactory(self) -> None:
        """Keeps connections alive from now on."""
        self.draining = False

    def stopFactory(self) -> None:
        """The port is closed: from now on every response is the last of its connection."""
        self.draining = True
