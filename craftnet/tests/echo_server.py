"""A WebSocket server that echoes every message, for suites of others that test a server by what it echoes.

It is this server's connection in everything but the feed: its handshakes, frames, limits and ends. As a program it
listens on 127.0.0.1 until it is killed, and prints its port:

    python -m craftnet.tests.echo_server
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet.defer import Deferred, succeed

from craftnet.access.admission import Admission
from craftnet.access.gate import Gate
from craftnet.access.limits import Limits
from craftnet.access.principal import Principal
from craftnet.clocks import IClock, steady
from craftnet.http.channel import LimitedSite
from craftnet.http.door import DoorFactory
from craftnet.http.lobby import Lobby
from craftnet.http.resource import Routes, Table
from craftnet.hub import Hub
from craftnet.interfaces import IWatcher
from craftnet.observe.healthfeed import HealthFeed
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.protocols.websocket.connection import FeedProtocol
from craftnet.protocols.websocket.engine import configured
from craftnet.protocols.websocket.factory import FeedFactory
from craftnet.protocols.websocket.opening import Opening
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.sources import Sources
from craftnet.subscriptions import Subscription, Subscriptions
from craftnet.targets import BasePaths
from craftnet.tests.fakes import TableAuthority

LONGEST = 64 * 1024 * 1024
"""Bytes of a message."""


class Nothing(Subscription, frozen=True):
    """A feed in which nothing happens."""

    def watch(self, watcher: IWatcher) -> Deferred[None]:
        """As in `Subscription`."""
        return succeed(None)

    def unwatch(self, watcher: IWatcher) -> None:
        """As in `Subscription`."""

    def send_heartbeat(self, watcher: IWatcher) -> None:
        """As in `Subscription`."""


class Echo(FeedProtocol):
    """Lets everybody in, and echoes."""

    async def _admit(self, opening: Opening) -> str | None:
        self.principal = Principal(None, frozenset(), sys.float_info.max)
        self._subscription = Nothing(self.principal, 0)
        return None

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Echo."""
        if self.state == self.STATE_OPEN:
            self.sendMessage(payload, isBinary)


def echo_factory(clock: IClock) -> DoorFactory:
    """Builds connections of which the first request is a handshake."""
    metrics = Metrics()
    sources = Sources.of(MemoryBackend(clock, MemorySettings()))
    monitor = Monitor({}, {}, clock, version="echo")
    admission = Admission(TableAuthority({}), sources.sessions, sources.queues)
    subscriptions = Subscriptions(admission, Hub(sources, clock, metrics), HealthFeed(monitor, clock, metrics))
    factory = FeedFactory(subscriptions, metrics, clock, Gate(Limits(messages=0, message_size=LONGEST)))
    factory.protocol = configured(Echo, factory)
    routes = Routes(Table(BasePaths(), {}), metrics, clock.wall)
    site = LimitedSite(routes, clock, metrics, body_limit=0, idle=60.0)
    return DoorFactory(site, factory, clock, Lobby(metrics))


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
