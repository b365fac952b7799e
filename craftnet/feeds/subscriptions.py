"""Authorises a principal to watch a target and creates the subscription: the same for every transport."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Coroutine
from typing import Any, ClassVar, Protocol
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred

from craftnet.access.authorization import (
    Answer,
    Asked,
    Authorization,
    GuardedRequest,
    check_may_administer,
    check_may_relay,
)
from craftnet.access.principal import Principal
from craftnet.contract.devices import read_report
from craftnet.contract.messages import Service
from craftnet.contract.position import Position
from craftnet.contract.routes import (
    AdminTarget,
    CraftingTarget,
    HealthTarget,
    PlayerTarget,
    QueueTarget,
    RelayTarget,
    Target,
)
from craftnet.devices.registry import Devices
from craftnet.errors import BadRequest, Forbidden, NotFound
from craftnet.feeds.hub import Hub
from craftnet.feeds.player_feed import PlayerFeeds, Positions
from craftnet.interfaces import ISubscriber
from craftnet.observe.health.feed import HealthFeed

RELAYED_UPDATES = 4096
"""Updates that may wait for an edge that does not read; it then loses the connection, and asks again."""

RELAYED_OCTETS = 16 * 1024 * 1024
"""Bytes of them."""


class Subscription(Struct, frozen=True):
    """The right to watch one feed. Each open connection keeps one, so it is small.

    Attributes:
        feed: the kind of the feed: crafting, queue, player, health, admin or relay.
        max_waiting: updates and bytes that may wait for a client that does not read; None: the usual ones.
        metered: whether the number of the client's messages is limited.
        principal: the holder.
        heartbeat_interval: seconds of silence after which the connection wants a heartbeat; 0: never.
    """

    feed: ClassVar[str] = ""
    max_waiting: ClassVar[tuple[int, int] | None] = None
    metered: ClassVar[bool] = True
    principal: Principal
    heartbeat_interval: int

    @property
    def session_id(self) -> UUID | None:
        """The crafting session of the feed, if it is one of a session."""
        return None

    @abstractmethod
    def start(self, subscriber: ISubscriber) -> Deferred[None]:
        """Starts; the Deferred fires when the current state was delivered."""

    @abstractmethod
    def stop(self, subscriber: ISubscriber) -> None:
        """Stops."""

    @abstractmethod
    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        """Sends the watcher the feed's position."""

    def receive(self, subscriber: ISubscriber, payload: bytes) -> bool:
        """Handles a message of the client; returns False where the feed takes none.

        Arguments:
            payload: empty for one that came too fast and is ignored.
        """
        return False


class _SessionSubscription(Subscription, frozen=True):
    feed: ClassVar[str] = "crafting"
    hub: Hub
    key: UUID
    resume: Position | None
    expected: bool

    @property
    def session_id(self) -> UUID | None:
        return self.key

    def start(self, subscriber: ISubscriber) -> Deferred[None]:
        return self.hub.subscribe_session(self.key, subscriber, self.resume, self.expected)

    def stop(self, subscriber: ISubscriber) -> None:
        self.hub.unsubscribe_session(self.key, subscriber)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        self.hub.session_heartbeat(self.key, subscriber)


class _QueueSubscription(Subscription, frozen=True):
    feed: ClassVar[str] = "queue"
    hub: Hub
    key: UUID
    resume: Position | None

    def start(self, subscriber: ISubscriber) -> Deferred[None]:
        return self.hub.subscribe_queue(self.key, subscriber, self.resume)

    def stop(self, subscriber: ISubscriber) -> None:
        self.hub.unsubscribe_queue(self.key, subscriber)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        self.hub.queue_heartbeat(self.key, subscriber)


class _HealthSubscription(Subscription, frozen=True):
    feed: ClassVar[str] = "health"
    reports: HealthFeed
    services: frozenset[Service]

    def start(self, subscriber: ISubscriber) -> Deferred[None]:
        return self.reports.subscribe(self.services, subscriber)

    def stop(self, subscriber: ISubscriber) -> None:
        self.reports.unsubscribe(subscriber)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        self.reports.send_heartbeat(subscriber)


class _PlayerSubscription(Subscription, frozen=True):
    feed: ClassVar[str] = "player"
    feeds: PlayerFeeds
    player_id: UUID
    resume: Positions
    expected: bool

    def start(self, subscriber: ISubscriber) -> Deferred[None]:
        return self.feeds.subscribe(self.player_id, subscriber, self.resume, self.expected)

    def stop(self, subscriber: ISubscriber) -> None:
        self.feeds.unsubscribe(subscriber)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        self.feeds.send_heartbeat(subscriber)


class _DeviceSubscription(Subscription, frozen=True):
    """A feed of a player to a client that is one of the player's devices."""

    watched: Subscription
    devices: Devices
    player_id: UUID
    device: str

    @abstractmethod
    def position(self, subscriber: ISubscriber, session_id: UUID | None) -> Position | None:
        """Where the feed of a session, or of the queue, is; None when the client has no such feed."""

    def start(self, subscriber: ISubscriber) -> Deferred[None]:
        started = self.watched.start(subscriber)
        self.devices.register(self.player_id, self.device, subscriber)
        return started

    def stop(self, subscriber: ISubscriber) -> None:
        self.devices.unregister(self.player_id, subscriber)
        self.watched.stop(subscriber)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        self.watched.send_heartbeat(subscriber)

    def receive(self, subscriber: ISubscriber, payload: bytes) -> bool:
        if payload:
            try:
                report = read_report(payload)
            except BadRequest as refusal:
                self.devices.refuse(subscriber, refusal)
            else:
                reached = self.position(subscriber, report.session_id)
                self.devices.report(self.player_id, subscriber, report, reached)
        return True


class _QueueDeviceSubscription(_DeviceSubscription, frozen=True):
    feed: ClassVar[str] = "queue"
    watched: _QueueSubscription

    def position(self, subscriber: ISubscriber, session_id: UUID | None) -> Position | None:
        return self.watched.hub.queue_position(self.player_id) if session_id is None else None


class _PlayerDeviceSubscription(_DeviceSubscription, frozen=True):
    feed: ClassVar[str] = "player"
    watched: _PlayerSubscription

    def position(self, subscriber: ISubscriber, session_id: UUID | None) -> Position | None:
        return self.watched.feeds.position(subscriber, session_id)


class ConversationFeed(Protocol):
    """A feed whose clients send messages, too: a `craftnet.admin.feed.AdminFeed`, or `RelayFeeds`."""

    def subscribe(self, principal: Principal, subscriber: Any) -> Deferred[None]:
        """Adds a client, and sends it the first messages."""

    def unsubscribe(self, subscriber: Any) -> None:
        """Removes a client."""

    def receive(self, subscriber: Any, payload: bytes) -> None:
        """Handles what a client sends."""


class _Conversation(Subscription, frozen=True):
    messages: ConversationFeed

    def start(self, subscriber: ISubscriber) -> Deferred[None]:
        return self.messages.subscribe(self.principal, subscriber)

    def stop(self, subscriber: ISubscriber) -> None:
        self.messages.unsubscribe(subscriber)

    def send_heartbeat(self, subscriber: ISubscriber) -> None:
        """Nothing is needed: something comes every few seconds."""

    def receive(self, subscriber: ISubscriber, payload: bytes) -> bool:
        if payload:
            self.messages.receive(subscriber, payload)
        return True


class _AdminSubscription(_Conversation, frozen=True):
    feed: ClassVar[str] = "admin"


class _RelaySubscription(_Conversation, frozen=True):
    feed: ClassVar[str] = "relay"
    max_waiting: ClassVar[tuple[int, int] | None] = (RELAYED_UPDATES, RELAYED_OCTETS)
    metered: ClassVar[bool] = False


class Subscriptions:
    """Authorises watch requests and creates subscriptions.

    Attributes:
        hub: has the feeds.
        admin: the admin feed; None where there is none.
        relay: the feed of edges; None where no edge can be served.
        devices: the devices of players; None where they are off.

    Arguments:
        players: the feeds of players; None where there are none.
    """

    def __init__(
        self, admission: Authorization, hub: Hub, health: HealthFeed, players: PlayerFeeds | None = None
    ) -> None:
        self._admission = admission
        self._players = players or PlayerFeeds(hub, None)
        self.hub = hub
        self._health = health
        self.admin: ConversationFeed | None = None
        self.relay: ConversationFeed | None = None
        self.devices: Devices | None = None

    def authorize(self, request: GuardedRequest[Asked, Answer]) -> Coroutine[Any, Any, Answer]:
        """As `Authorization.authorize`."""
        return self._admission.authorize(request)

    async def subscribe(self, target: Target, principal: Principal) -> Subscription:
        """The subscription to `target`, if `principal` may watch it.

        Raises:
            Refusal: NotFound, Forbidden or Unavailable.
        """
        match target:
            case CraftingTarget(session_id=session_id, player_id=player_id, resume=resume):
                await self._admission.crafting(principal, session_id, player_id)
                self.hub.check_hearing()
                return _SessionSubscription(principal, target.heartbeat, self.hub, session_id, resume, target.expected)
            case QueueTarget(player_id=player_id, resume=resume):
                await self._admission.queue(principal, player_id)
                self.hub.check_hearing()
                queue = _QueueSubscription(principal, target.heartbeat, self.hub, player_id, resume)
                return queue if target.device is None else self._of_device(queue, player_id, target.device)
            case PlayerTarget(player_id=player_id, resume=positions):
                self._players.check()
                await self._admission.queue(principal, player_id)
                self.hub.check_hearing()
                player = _PlayerSubscription(
                    principal, target.heartbeat, self._players, player_id, positions, target.expected
                )
                return player if target.device is None else self._of_device(player, player_id, target.device)
            case HealthTarget(services=services):
                check_may_administer(principal)
                return _HealthSubscription(principal, target.heartbeat, self._health, services)

            case AdminTarget():
                check_may_administer(principal)
                if self.admin is None:
                    raise NotFound("There is no such WebSocket route.")
                return _AdminSubscription(principal, target.heartbeat, self.admin)

            case RelayTarget():
                check_may_relay(principal)
                if self.relay is None:
                    raise NotFound(
                        "This server divides its players among its workers and serves no edge: "
                        "start it without --workers, or with --backend redis."
                    )
                return _RelaySubscription(principal, target.heartbeat, self.relay)

    def _of_device(
        self, watched: _QueueSubscription | _PlayerSubscription, player_id: UUID, device: str
    ) -> Subscription:
        """The same feed for a client that registers a device; for one of a server without devices, unchanged.

        Raises:
            Forbidden: the token is not the player's own.
        """
        if self.devices is None:
            return watched
        principal = watched.principal
        if principal.player_id != player_id:
            raise Forbidden("Only the player's own token registers a device: observe the feed without device.")
        kind: type[_DeviceSubscription] = (
            _QueueDeviceSubscription if isinstance(watched, _QueueSubscription) else _PlayerDeviceSubscription
        )
        return kind(
            principal,
            watched.heartbeat_interval,
            watched=watched,
            devices=self.devices,
            player_id=player_id,
            device=device,
        )

    async def renew(self, token: str, former: Principal) -> Principal:
        """The principal of `token`, if it may continue the feed to which `former` was admitted.

        Raises:
            Refusal: Unauthorized, Forbidden or Unavailable.
        """
        return await self._admission.renew(token, former)
