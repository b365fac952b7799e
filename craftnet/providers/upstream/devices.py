"""The devices that are connected to an edge: the core registers them, and this server passes its messages on. Pure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Protocol
from uuid import UUID

from msgspec import Struct
from twisted.logger import Logger

from craftnet.contract.devices import DeviceRefused, DeviceReport
from craftnet.contract.position import Position
from craftnet.devices.registry import check_report, device_update, refused_update
from craftnet.errors import NotFound, Refusal, Unavailable
from craftnet.interfaces import ISubscriber
from craftnet.relay.messages import DeviceConnected, DeviceDisconnected, DeviceReported, RelayedDevices, Request

_log = Logger()


class DeviceMetrics(Protocol):
    """Counts devices and their reports: `craftnet.observe.metrics.registry.Metrics`."""

    def devices(self, change: int) -> None:
        """Adds `change` devices of players that are connected (or removes them)."""

    def device_report(self, verdict: str) -> None:
        """Counts a report of a device."""


class _Connection(Struct, eq=False):
    """One connection of a device.

    Attributes:
        number: names it to the core.
        greeted: whether it has received the state of all devices, and receives what follows.
    """

    number: int
    player_id: UUID
    name: str
    subscriber: ISubscriber
    greeted: bool = False


class UpstreamDevices:
    """The devices of this edge, as `craftnet.devices.registry.Devices`.

    Arguments:
        request: sends the core a request, once it is connected.
        core: the URL of the core, for error texts.
        wall: returns the time, Unix seconds.
    """

    def __init__(
        self, request: Callable[[Request], None], core: str, wall: Callable[[], float], metrics: DeviceMetrics
    ) -> None:
        self._request = request
        self._core = core
        self._wall = wall
        self._metrics = metrics
        self._numbers = count(1)
        self._connections: dict[int, _Connection] = {}
        self._players: dict[UUID, dict[ISubscriber, _Connection]] = {}
        # Why the core registers no devices now; None: it does.
        self._problem: Refusal | None = Unavailable(f"The core {core} is not connected yet.")

    def __len__(self) -> int:
        """The number of connections."""
        return len(self._connections)

    def register(self, player_id: UUID, name: str, subscriber: ISubscriber) -> None:
        """As in `Devices`; while the core is unreachable, the connection receives the state later."""
        connections = self._players.setdefault(player_id, {})
        if name not in _names(connections):
            self._metrics.devices(1)
        connection = _Connection(next(self._numbers), player_id, name, subscriber)
        self._connections[connection.number] = connections[subscriber] = connection
        self._register(connection)

    def unregister(self, player_id: UUID, subscriber: ISubscriber) -> None:
        """As in `Devices`. The core counts the device as connected for a while."""
        connections = self._players.get(player_id, {})
        connection = connections.pop(subscriber, None)
        if connection is None:
            return
        del self._connections[connection.number]
        if connection.name not in _names(connections):
            self._metrics.devices(-1)
        if not connections:
            del self._players[player_id]
        if self._problem is None:
            self._request(DeviceDisconnected(connection.number))

    def report(self, player_id: UUID, subscriber: ISubscriber, report: DeviceReport, reached: Position | None) -> None:
        """As in `Devices`."""
        connection = self._players.get(player_id, {}).get(subscriber)
        if connection is None:
            return
        try:
            check_report(report, reached)
            if self._problem is not None:
                raise self._problem
        except Refusal as refusal:
            self.refuse(subscriber, refusal)
        else:
            self._request(DeviceReported(connection.number, report))

    def refuse(self, subscriber: ISubscriber, refusal: Refusal) -> None:
        """As in `Devices`."""
        self._metrics.device_report("refused")
        subscriber.deliver(refused_update(refusal, self._wall()))

    def connected(self, *, offered: bool) -> None:
        """The core is connected: registers every connection.

        Arguments:
            offered: whether the core has devices.
        """
        self._problem = None
        if not offered:
            self._problem = NotFound(f"The core {self._core} has no devices: start it with --devices.")
            _log.warn("no device can register: the core {core} runs without --devices", core=self._core)
        for connection in tuple(self._connections.values()):
            self._register(connection)

    def disconnected(self, problem: str) -> None:
        """The core is not connected any more."""
        self._problem = Unavailable(problem)

    def receive(self, message: RelayedDevices) -> None:
        """Delivers a message of the core to the connections that it is for."""
        update, refused = device_update(message.message), isinstance(message.message, DeviceRefused)
        if message.connection is None:
            for each in tuple(self._players.get(message.player_id, {}).values()):
                if each.greeted:
                    each.subscriber.deliver(update)
        elif (connection := self._connections.get(message.connection)) is not None:
            if refused:
                self._metrics.device_report("refused")
            connection.greeted = connection.greeted or not refused
            connection.subscriber.deliver(update)

    def _register(self, connection: _Connection) -> None:
        connection.greeted = False
        if self._problem is None:
            self._request(DeviceConnected(connection.number, connection.player_id, connection.name))
        elif not isinstance(self._problem, Unavailable):
            self.refuse(connection.subscriber, self._problem)


def _names(connections: dict[ISubscriber, _Connection]) -> set[str]:
    return {connection.name for connection in connections.values()}
