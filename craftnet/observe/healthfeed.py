"""The health feed: regular updates, and alerts as soon as a round of checks finds a change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from twisted.application.service import Service as ApplicationService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from craftnet.clocks import IClock
from craftnet.interfaces import IWatcher
from craftnet.messages import Service
from craftnet.observe.health import News, Reports, message, news
from craftnet.observe.metrics import Metrics
from craftnet.observe.monitor import Monitor
from craftnet.updates import Update, health_update


class HealthFeed(ApplicationService):
    """Sends watchers the health of services.

    Arguments:
        interval: seconds between regular updates.
    """

    def __init__(self, monitor: Monitor, clock: IClock, metrics: Metrics, *, interval: float = 30.0) -> None:
        self._monitor = monitor
        self._clock = clock
        self._metrics = metrics
        self._interval = interval
        self._watchers: dict[IWatcher, frozenset[Service]] = {}
        self._updates = LoopingCall(self._tell_all)
        self._updates.clock = clock
        monitor.subscribe(self._reports_changed)

    def startService(self) -> None:
        """Starts the regular updates."""
        super().startService()
        self._updates.start(self._interval, now=False)

    def stopService(self) -> None:
        """Stops the regular updates; the owners of the watchers' connections close those."""
        super().stopService()
        self._updates.stop()

    def watch(self, services: frozenset[Service], watcher: IWatcher) -> Deferred[None]:
        """Adds a watcher of `services`, which receives their current reports first."""
        if watcher not in self._watchers:
            self._metrics.watching("health", 1)
        self._watchers[watcher] = services
        self.send_heartbeat(watcher)
        return succeed(None)

    def send_heartbeat(self, watcher: IWatcher) -> None:
        """Sends `watcher` the current reports. Unknown ones are ignored."""
        for service in sorted(self._watchers.get(watcher, ())):
            watcher.deliver(self._update("health_update", service))

    def unwatch(self, watcher: IWatcher) -> None:
        """Removes `watcher`. Unknown ones are ignored."""
        if self._watchers.pop(watcher, None) is not None:
            self._metrics.watching("health", -1)

    def _tell_all(self) -> None:
        self._tell(lambda service: "health_update")

    def _reports_changed(self, before: Reports, after: Reports) -> None:
        self._tell(lambda service: news(before, after, service))

    def _tell(self, kind: Callable[[Service], News | None]) -> None:
        @cache
        def update(service: Service) -> Update | None:
            """Made once for all watchers, so that it is encoded once."""
            said = kind(service)
            return None if said is None else self._update(said, service)

        for watcher, services in tuple(self._watchers.items()):
            for service in sorted(services):
                told = update(service)
                if told is not None:
                    watcher.deliver(told)

    def _update(self, kind: News, service: Service) -> Update:
        return health_update(message(kind, self._monitor.reports[service], self._clock.wall()))
