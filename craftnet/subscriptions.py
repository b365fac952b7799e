"""Authorises a principal to watch a target and creates the subscription: the same for every transport."""

from __future__ import annotations

from abc import abstractmethod
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred

from craftnet.access.admission import Admission, Answer, Asked, GuardedRequest, administer
from craftnet.access.principal import Principal
from craftnet.hub import Hub
from craftnet.interfaces import IWatcher
from craftnet.messages import Service
from craftnet.observe.healthfeed import HealthFeed
from craftnet.positions import Position
from craftnet.targets import CraftingTarget, HealthTarget, QueueTarget, Target


class Subscription(Struct, frozen=True):
    """The right to watch one feed. Each open connection keeps one, so it is small.

    Attributes:
        principal: the holder.
        heartbeat_interval: seconds of silence after which the connection wants a heartbeat; 0: never.
    """

    principal: Principal
    heartbeat_interval: int

    @property
    def session_id(self) -> UUID | None:
        """The crafting session of the feed, if it is one of a session."""
        return None

    @abstractmethod
    def watch(self, watcher: IWatcher) -> Deferred[None]:
        """Starts; the Deferred fires when the current state was delivered."""

    @abstractmethod
    def unwatch(self, watcher: IWatcher) -> None:
        """Stops."""

    @abstractmethod
    def send_heartbeat(self, watcher: IWatcher) -> None:
        """Sends the watcher the feed's position."""


class _OfSession(Subscription, frozen=True):
    hub: Hub
    key: UUID
    resume: Position | None

    @property
    def session_id(self) -> UUID | None:
        return self.key

    def watch(self, watcher: IWatcher) -> Deferred[None]:
        return self.hub.watch_session(self.key, watcher, self.resume)

    def unwatch(self, watcher: IWatcher) -> None:
        self.hub.unwatch_session(self.key, watcher)

    def send_heartbeat(self, watcher: IWatcher) -> None:
        self.hub.session_heartbeat(self.key, watcher)


class _OfQueue(Subscription, frozen=True):
    hub: Hub
    key: UUID
    resume: Position | None

    def watch(self, watcher: IWatcher) -> Deferred[None]:
        return self.hub.watch_queue(self.key, watcher, self.resume)

    def unwatch(self, watcher: IWatcher) -> None:
        self.hub.unwatch_queue(self.key, watcher)

    def send_heartbeat(self, watcher: IWatcher) -> None:
        self.hub.queue_heartbeat(self.key, watcher)


class _OfHealth(Subscription, frozen=True):
    feed: HealthFeed
    services: frozenset[Service]

    def watch(self, watcher: IWatcher) -> Deferred[None]:
        return self.feed.watch(self.services, watcher)

    def unwatch(self, watcher: IWatcher) -> None:
        self.feed.unwatch(watcher)

    def send_heartbeat(self, watcher: IWatcher) -> None:
        self.feed.send_heartbeat(watcher)


class Subscriptions:
    """Authorises watch requests and creates subscriptions."""

    def __init__(self, admission: Admission, hub: Hub, health: HealthFeed) -> None:
        self._admission = admission
        self._hub = hub
        self._health = health

    async def judge(self, request: GuardedRequest[Asked, Answer]) -> Answer:
        """As `Admission.judge`."""
        return await self._admission.judge(request)

    async def admit(self, target: Target, principal: Principal) -> Subscription:
        """The subscription to `target`, if `principal` may watch it.

        Raises:
            Refusal: NotFound, Forbidden or Unavailable.
        """
        match target:
            case CraftingTarget(session_id=session_id, player_id=player_id, resume=resume):
                await self._admission.crafting(principal, session_id, player_id)
                self._hub.check_hearing()
                return _OfSession(principal, target.heartbeat, self._hub, session_id, resume)
            case QueueTarget(player_id=player_id, resume=resume):
                await self._admission.queue(principal, player_id)
                self._hub.check_hearing()
                return _OfQueue(principal, target.heartbeat, self._hub, player_id, resume)
            case HealthTarget(services=services):
                administer(principal)
                return _OfHealth(principal, target.heartbeat, self._health, services)

    async def renew(self, token: str, former: Principal) -> Principal:
        """The principal of `token`, if it may continue the feed to which `former` was admitted.

        Raises:
            Refusal: Unauthorized, Forbidden or Unavailable.
        """
        return await self._admission.renew(token, former)
