"""The whole service for Twisted: what is started and stopped, and in which order."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger

from craftnet.observe.audit.service import AuditLog
from craftnet.observe.health.monitor import Monitor
from craftnet.protocols.feed.server.feed_connections import FeedConnections
from craftnet.protocols.udp.server.service import UdpService
from craftnet.runtime.sockets import raise_open_files_limit
from craftnet.server.listener import Listener
from craftnet.server.reload import Reloader, ReloadResult
from craftnet.streams.consumer import StreamConsumer


class Craftnet(MultiService):
    """The whole service.

    It stops in this order: the listener, so that no new connections arrive; the watchers, which are closed over
    `drain_time` seconds with a time to reconnect, and receive updates until then; the consumer of the message bus;
    everything else.
    """

    _log = Logger()

    def __init__(
        self,
        listener: Listener,
        udp_service: UdpService | None,
        feeds: FeedConnections,
        monitor: Monitor,
        drain_time: float,
        connections: int,
        reloader: Reloader,
        audit_log: AuditLog | None = None,
        consumer: StreamConsumer | None = None,
    ) -> None:
        super().__init__()
        self._connections = connections
        self._audit_log = audit_log
        self._consumer = consumer
        self.reloader = reloader
        self.listener = listener
        self.admin_listener: Listener | None = None
        self.udp_service = udp_service
        self.feeds = feeds
        self.monitor = monitor
        self._drain_time = drain_time

    @property
    def _ports(self) -> Iterable[IService]:
        return (self.listener,) if self.udp_service is None else (self.listener, self.udp_service)

    def privilegedStartService(self) -> None:
        """Opens the ports, while the process may still have the rights for low ones.

        Raises:
            SystemExit: a port cannot be opened.
        """
        fitting = raise_open_files_limit(self._connections)
        if fitting is not None:
            self._log.warn(
                "The system allows this process only {fitting} of --max-connections {connections} connections:"
                " raise the hard limit of open files (ulimit -Hn)",
                fitting=fitting,
                connections=self._connections,
            )
        try:
            super().privilegedStartService()
            for port in self._ports:
                port.privilegedStartService()
        except CannotListenError as error:
            raise SystemExit(f"craftnet: {error}") from None

    def startService(self) -> None:
        """Starts everything."""
        super().startService()
        for port in self._ports:
            port.startService()

    def stopService(self) -> Deferred[None]:
        """Stops everything; the Deferred fires when the last watcher is closed."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self.monitor.draining = True
        await maybeDeferred(self.listener.stopService)
        watchers = len(self.feeds.open)
        if watchers:
            self._log.info(
                "Stopping: no new connections, and {watchers} watchers are closed within {seconds:g} seconds",
                watchers=watchers,
                seconds=self._drain_time,
            )
        await self.feeds.drain(self._drain_time)
        if self.udp_service is not None:
            await maybeDeferred(self.udp_service.stopService)
        if self._consumer is not None:  # before the back ends, which keep what it still applies.
            await maybeDeferred(self._consumer.disownServiceParent)
        await super().stopService()
        self._log.info("Stopped: every watcher is closed")

    def drain(self) -> int:
        """Accepts nothing new, and closes every connection, without stopping; returns how many there are."""
        self.monitor.draining = True
        connections = len(self.feeds.open)
        draining = Deferred.fromCoroutine(self.feeds.drain(self._drain_time))
        draining.addErrback(lambda failure: self._log.failure("draining failed", failure))
        return connections + (0 if self.udp_service is None else self.udp_service.drain())

    def hurry(self) -> None:
        """Stops at once, if it is stopping."""
        self.feeds.hurry()

    def rotate(self) -> None:
        """Goes on in a new file of the audit log, if there is one."""
        if self._audit_log is not None:
            self._audit_log.rotate()

    def reload(self, actor: str = "SIGHUP") -> ReloadResult:
        """Reads the configuration, keys and certificates again, and puts into effect what can change.

        Arguments:
            actor: who or what asks for it.
        """
        return self.reloader.reload(actor)
