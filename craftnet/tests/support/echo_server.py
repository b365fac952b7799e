"""A WebSocket server that echoes every message, for third-party suites that test a server with echoes.

It is this server's connection in everything but the feed: its handshakes, frames, limits and closing. As a program it
listens on 127.0.0.1 until it is killed, and prints its port:

    python -m craftnet.tests.support.echo_server
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, succeed

from craftnet.access.authorization import Authorization
from craftnet.access.principal import Principal
from craftnet.clocks import IClock, steady
from craftnet.contract.routes import BasePaths
from craftnet.feeds.hub import Hub
from craftnet.feeds.subscriptions import Subscription, Subscriptions
from craftnet.http.connection.half_open import HalfOpenConnections
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.connection.sniffer import SnifferFactory
from craftnet.http.resource import Router, RouteTable
from craftnet.interfaces import ISubscriber
from craftnet.limits.connection_limits import Limits
from craftnet.limits.handshake_guard import HandshakeGuard
from craftnet.observe.health.feed import HealthFeed
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.metrics.registry import Metrics
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.websocket.server.autobahn_base import configured
from craftnet.protocols.websocket.server.connection import FeedProtocol
from craftnet.protocols.websocket.server.factory import FeedFactory
from craftnet.protocols.websocket.server.guarded_handshake import GuardedHandshake
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.sources import Sources
from craftnet.tests.support.fakes import TableAuthority

LONGEST = 64 * 1024 * 1024
"""Bytes of a message."""


class Nothing(Subscription, frozen=True):
    """A feed in which nothing happens."""

    def start(self, watcher: ISubscriber) -> Deferred[None]:
        """As in `Subscription`."""
        return succeed(None)

    def stop(self, watcher: ISubscriber) -> None:
        """As in `Subscription`."""

    def send_heartbeat(self, watcher: ISubscriber) -> None:
        """As in `Subscription`."""


class Echo(FeedProtocol):
    """Admits every client, and echoes."""

    async def _admit(self, opening: GuardedHandshake) -> str | None:
        self.principal = Principal(None, frozenset(), sys.float_info.max)
        self._subscription = Nothing(self.principal, 0)
        return None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Echo."""
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload, isBinary)


def echo_factory(clock: IClock) -> SnifferFactory:
    """Builds connections of which the first request is a handshake."""
    metrics = Metrics()
    sources = Sources.of(MemoryBackend(clock, MemorySettings()))
    monitor = Monitor({}, {}, clock, version="echo")
    admission = Authorization(TableAuthority({}), sources.sessions, sources.queues)
    subscriptions = Subscriptions(admission, Hub(sources, clock, metrics), HealthFeed(monitor, clock, metrics))
    guard = HandshakeGuard(Limits(messages=0, message_size=LONGEST))
    factory = FeedFactory(FeedConnections(subscriptions, metrics, clock, guard))
    factory.protocol = configured(Echo, factory)
    routes = Router(RouteTable(BasePaths(), {}), metrics, clock)
    site = HttpSite(routes, clock, metrics, body_limit=0, idle=60.0)
    return SnifferFactory(site, factory, clock, HalfOpenConnections(metrics))


def main() -> None:
    """Listen."""
    from twisted.internet import reactor as installed

    reactor: Any = installed  # its module has no type.
    steady(reactor)
    port = reactor.listenTCP(0, echo_factory(reactor), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    reactor.run()


if __name__ == "__main__":
    main()
