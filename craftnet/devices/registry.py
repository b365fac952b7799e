"""Registers the devices that connect to this node, and sends each the changes of the player's other devices.

A device arrives with its first connection and leaves `GRACE` seconds after its last one closed, so that a reconnection
changes nothing. Connections that register the same name are one device.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Hashable, Iterator
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from craftnet.clocks import IClock
from craftnet.contract.devices import (
    DeviceCursor,
    DeviceCursorMessage,
    DeviceMessage,
    DeviceRefused,
    DeviceReport,
    DevicesMessage,
    DeviceState,
)
from craftnet.contract.messages import rfc3339
from craftnet.contract.position import Position
from craftnet.crafting.updates import KeyedUpdate, Update
from craftnet.devices import rules
from craftnet.devices.rules import QUEUE, Cursor, Device, PlayerDevices
from craftnet.devices.store import IDeviceStore
from craftnet.errors import BadRequest, Refusal, TooManyRequests, Unavailable
from craftnet.interfaces import ISubscriber
from craftnet.observe.metrics.registry import Metrics

GRACE = 10.0
"""Seconds for which a device counts as connected after its last connection closed: it may reconnect."""


class Devices(Protocol):
    """The devices of players; a `DeviceRegistry`, or, on an edge, the connection to the core's registry."""

    def register(self, player_id: UUID, name: str, subscriber: ISubscriber) -> None:
        """Registers a connection as a device; `unregister` must follow.

        The connection receives the state of all devices, or the reason for a refusal.
        """

    def unregister(self, player_id: UUID, subscriber: ISubscriber) -> None:
        """Removes a closed connection. Unknown ones are ignored."""

    def report(self, player_id: UUID, subscriber: ISubscriber, report: DeviceReport, reached: Position | None) -> None:
        """Applies a device's report. If it is refused, sends the device the reason.

        Arguments:
            reached: the present position of the feed that the report is about; None when the connection has no such
                feed.
        """

    def refuse(self, subscriber: ISubscriber, refusal: Refusal) -> None:
        """Sends a device the reason for a refusal."""


class _Player(Struct, eq=False):
    """A player with devices on this node.

    Attributes:
        connections: the registered name of each connection.
        leaving: the names without a connection that still count as connected, each with the time of its end.
        greeted: the connections that have received the state of all devices, and receive changes.
        state: the newest known state; None before the first.
    """

    connections: dict[ISubscriber, str]
    leaving: dict[str, float]
    greeted: dict[ISubscriber, None]
    state: PlayerDevices | None = None

    def has(self, name: str) -> bool:
        """Whether the device counts as connected."""
        return name in self.leaving or name in self.connections.values()


class DeviceRegistry:
    """The devices on this node.

    Arguments:
        store: keeps the devices of all nodes.
        epoch: returns the epoch of the positions of all feeds.
    """

    _log = Logger()

    def __init__(self, store: IDeviceStore, epoch: Callable[[], str], metrics: Metrics, clock: IClock) -> None:
        self._store = store
        self._epoch = epoch
        self._metrics = metrics
        self._clock = clock
        self._players: dict[UUID, _Player] = {}
        self._unsaved: dict[tuple[UUID, str], None] = {}
        store.follow(self._heard)

    def __len__(self) -> int:
        """The number of players with devices here."""
        return len(self._players)

    def register(self, player_id: UUID, name: str, subscriber: ISubscriber) -> None:
        """As in `Devices`; while the store is unreachable, the connection receives the state later."""
        player = self._players.get(player_id)
        if player is None:
            player = self._players[player_id] = _Player({}, {}, {})
            self._store.watch(player_id)
        if not player.has(name):
            self._metrics.devices(1)
        player.leaving.pop(name, None)
        player.connections[subscriber] = name
        self._begin(self._save(player_id, name))

    def unregister(self, player_id: UUID, subscriber: ISubscriber) -> None:
        """As in `Devices`."""
        player = self._players.get(player_id)
        name = None if player is None else player.connections.pop(subscriber, None)
        if player is None or name is None:
            return
        player.greeted.pop(subscriber, None)
        if not player.has(name):
            player.leaving[name] = self._clock.seconds() + GRACE

    def report(self, player_id: UUID, subscriber: ISubscriber, report: DeviceReport, reached: Position | None) -> None:
        """As in `Devices`."""
        player = self._players.get(player_id)
        name = None if player is None else player.connections.get(subscriber)
        if name is not None:  # otherwise its registration was refused.
            self._begin(self._report(player_id, name, subscriber, report, reached))

    async def _report(
        self, player_id: UUID, name: str, subscriber: ISubscriber, report: DeviceReport, reached: Position | None
    ) -> None:
        outcome = "unchanged"

        def rule(before: PlayerDevices) -> PlayerDevices:
            nonlocal outcome
            after = rules.reported(before, name, report)
            outcome = "unchanged" if after is before else "moved"
            return after

        try:
            check_report(report, reached)
            self._heard(player_id, await self._store.update(player_id, rule))
        except Refusal as refusal:
            self.refuse(subscriber, refusal)
        else:
            self._metrics.device_report(outcome)

    def refuse(self, subscriber: ISubscriber, refusal: Refusal) -> None:
        """As in `Devices`."""
        self._metrics.device_report("refused")
        subscriber.deliver(refused_update(refusal, self._clock.wall()))

    def turn(self) -> None:
        """Removes the devices whose last connection closed more than `GRACE` seconds ago; called every second."""
        now = self._clock.seconds()
        unsaved, self._unsaved = self._unsaved, {}
        for player_id, player in list(self._players.items()):
            for name in [name for name, due in player.leaving.items() if due <= now]:
                del player.leaving[name]
                self._gone(player_id, player)
                unsaved[player_id, name] = None
        for player_id, name in unsaved:
            self._begin(self._save(player_id, name))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(
            lambda failure: self._log.failure("a device could not be kept", failure)
        )

    async def _save(self, player_id: UUID, name: str) -> None:
        """Stores whether a device is connected to this node."""
        player = self._players.get(player_id)
        rule = rules.arrived if player is not None and player.has(name) else rules.left
        changed = partial(rule, name=name, node=self._store.node, now=self._clock.wall())
        try:
            state = await self._store.update(player_id, changed)
        except Unavailable:
            self._unsaved[player_id, name] = None
        except TooManyRequests as refusal:
            self._turn_away(player_id, name, refusal)
        else:
            self._heard(player_id, state)

    def _turn_away(self, player_id: UUID, name: str, refusal: Refusal) -> None:
        """Refuses a device, and removes its connections."""
        player = self._players.get(player_id)
        if player is None:
            return
        player.leaving.pop(name, None)
        for subscriber in [one for one, registered in player.connections.items() if registered == name]:
            del player.connections[subscriber]
            self.refuse(subscriber, refusal)
        self._gone(player_id, player)

    def _gone(self, player_id: UUID, player: _Player) -> None:
        """Stores that a device is no longer connected."""
        self._metrics.devices(-1)
        if not player.connections and not player.leaving:
            del self._players[player_id]
            self._store.unwatch(player_id)

    def _heard(self, player_id: UUID, state: PlayerDevices) -> None:
        """Sends the devices of a player the difference to the last state. Ignores a state that is not newer."""
        player = self._players.get(player_id)
        if player is None:
            return
        before = player.state
        if before is None or state.version > before.version:
            player.state = state
            if before is not None and player.greeted:
                for update in self._changes(player_id, before, state):
                    for subscriber in tuple(player.greeted):
                        subscriber.deliver(update)
        state = player.state or state
        self._check_known_online(player_id, player, state)
        new = [
            subscriber
            for subscriber, name in player.connections.items()
            if subscriber not in player.greeted and state.get(name) is not None
        ]
        if new:
            everything = self._everything(player_id, state)
            for subscriber in new:
                player.greeted[subscriber] = None
                subscriber.deliver(everything)

    def _check_known_online(self, player_id: UUID, player: _Player, state: PlayerDevices) -> None:
        """Stores devices again that the store counts as disconnected, because this node was silent for too long."""
        for name in {*player.leaving, *player.connections.values()}:
            device = state.get(name)
            if device is None or self._store.node not in device.nodes:
                self._unsaved[player_id, name] = None

    def _changes(self, player_id: UUID, before: PlayerDevices, after: PlayerDevices) -> Iterator[Update]:
        """The updates from one state to another."""
        if rules.presence(before) != rules.presence(after):
            yield self._everything(player_id, after)
            return
        for feed, cursor, name in rules.advanced(before, after, self._epoch()):
            message = DeviceCursorMessage(
                player_id=player_id,
                timestamp=rfc3339(self._clock.wall()),
                device=name,
                cursor=_shown(feed, cursor),
            )
            yield device_update(message)

    def _everything(self, player_id: UUID, state: PlayerDevices) -> Update:
        epoch = self._epoch()
        message = DevicesMessage(
            player_id=player_id,
            timestamp=rfc3339(self._clock.wall()),
            devices=tuple(_device_state(device, epoch) for device in state.devices),
            cursors=tuple(_shown(feed, cursor) for feed, cursor in rules.furthest(state, epoch).items()),
        )
        return device_update(message)


def check_report(report: DeviceReport, reached: Position | None) -> None:
    """Checks that a report is about a message that was sent.

    Arguments:
        reached: as in `Devices.report`.

    Raises:
        BadRequest: the epoch, the version or the feed is another one.
    """
    if reached is None:
        feed = "of the queue" if report.session_id is None else f"of the session {report.session_id}"
        raise BadRequest(
            f"This connection has no feed {feed}: name the session of a message that it received, or none."
        )
    if report.epoch != reached.epoch:
        raise BadRequest(f"The epoch of the feed is {reached.epoch}, not {report.epoch}: report a newer message.")
    if report.version > reached.version:
        raise BadRequest(f"The newest message of the feed has version {reached.version}, got {report.version}.")


def refused_update(refusal: Refusal, wall: float) -> Update:
    """The update that carries the reason for a refusal; `wall` is the time in Unix seconds."""
    return device_update(DeviceRefused(timestamp=rfc3339(wall), code=refusal.status, message=refusal.message))


def device_update(message: DeviceMessage) -> Update:
    """The update that carries a message. Except for refusals, a newer update about the same subject replaces it."""
    messages, key = (message,), _key(message)
    return KeyedUpdate(state=None, messages=messages, conflatable=key is not None, key=key)  # type: ignore[arg-type]  # ours.


def _key(message: DeviceMessage) -> Hashable:
    match message:
        case DevicesMessage():
            return "devices"
        case DeviceCursorMessage(cursor=cursor):
            return "cursor", cursor.session_id
        case _:
            return None


def _device_state(device: Device, epoch: str) -> DeviceState:
    cursors = tuple(_shown(feed, cursor) for feed, cursor in device.cursors.items() if cursor.epoch == epoch)
    return DeviceState(name=device.name, online=device.online, since=rfc3339(device.since), cursors=cursors)


def _shown(feed: str, cursor: Cursor) -> DeviceCursor:
    session_id = None if feed == QUEUE else UUID(feed)
    return DeviceCursor(session_id=session_id, epoch=cursor.epoch, seen=cursor.seen, dismissed=cursor.dismissed)
