"""The health feed: regular updates, and alerts as soon as a round of checks finds a change."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from twisted.application.service import Service as ApplicationService
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import LoopingCall

from craftnet.clocks import IClock
from craftnet.contract.messages import Service
from craftnet.crafting.updates import Update, health_update
from craftnet.interfaces import ISubscriber
from craftnet.observe.health.monitor import Monitor
from craftnet.observe.health.report import HealthMessageType, Reports, health_message, urgent_message_type
from craftnet.observe.metrics.registry import Metrics


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
        self._subscribers: dict[ISubscriber, frozenset[Service]] = {}
        self._updates = LoopingCall(self._broadcast_all)
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

    def subscribe(self, services: frozenset[Service], subscriber: ISubscriber) -> Deferred[None]:
        """Adds a watcher of `services`, which receives their current reports first."""
        if subscriber not in self._subscribers:
            self._metrics.watching("health", 1)
        self._subscribers[subscriber] = services
        self.send_heartbeat(subscriber)
        return succeed(None)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        """Sends `subscriber` the current reports. Unknown ones are ignored."""
        for service in sorted(self._subscribers.get(subscriber, ())):
            subscriber.deliver(self._update("health_update", service))

    def unsubscribe(self, subscriber: ISubscriber) -> None:
        """Removes `subscriber`. Unknown ones are ignored."""
        if self._subscribers.pop(subscriber, None) is not None:
            self._metrics.watching("health", -1)

    def _broadcast_all(self) -> None:
        self._broadcast(lambda service: "health_update")

    def _reports_changed(self, before: Reports, after: Reports) -> None:
        self._broadcast(lambda service: urgent_message_type(before, after, service))

    def _broadcast(self, kind: Callable[[Service], HealthMessageType | None]) -> None:
        @cache
        def update(service: Service) -> Update | None:
            """Made once for all watchers, so that it is encoded once."""
            said = kind(service)
            return None if said is None else self._update(said, service)

        for subscriber, services in tuple(self._subscribers.items()):
            for service in sorted(services):
                health_update = update(service)
                if health_update is not None:
                    subscriber.deliver(health_update)

    def _update(self, kind: HealthMessageType, service: Service) -> Update:
        return health_update(health_message(kind, self._monitor.reports[service], self._clock.wall()))
