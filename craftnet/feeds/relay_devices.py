"""The devices that are connected to an edge: the core registers each as a connection of its own.

The core alone keeps presence and cursors, so that a player's devices meet whichever edge they reach. A message for all
devices of a player crosses the connection to an edge once.
"""

from __future__ import annotations

from collections.abc import Callable

from zope.interface import implementer

from craftnet.contract.close_codes import CloseCode
from craftnet.contract.devices import DeviceRefused
from craftnet.contract.position import Position
from craftnet.crafting.updates import Update
from craftnet.devices.registry import Devices
from craftnet.errors import TooManyRequests
from craftnet.interfaces import ISubscriber
from craftnet.relay.messages import DeviceConnected, DeviceReported, RelayedDevices, RelayMessage

MAX_CONNECTIONS = 100_000
"""Maximum number of connections of devices on one edge."""


@implementer(ISubscriber)
class _EdgeConnection:
    """One connection of a device, as the core's devices see it."""

    def __init__(self, devices: EdgeDevices, request: DeviceConnected) -> None:
        self._devices = devices
        self._greeted = False
        self.player_id = request.player_id
        self.number = request.connection

    def deliver(self, update: Update) -> None:
        """As in `ISubscriber`: passes the message on, unless another device of the player has passed it on."""
        message = update.messages[0]
        alone = not self._greeted or isinstance(message, DeviceRefused)
        self._greeted = self._greeted or not isinstance(message, DeviceRefused)
        self._devices.pass_on(self, update, alone=alone)

    def ended(self, code: CloseCode) -> None:
        """As in `ISubscriber`: the devices of a player never end."""


class EdgeDevices:
    """The devices of one edge.

    Arguments:
        devices: the devices of the core.
        epoch: returns the epoch of the core's positions.
        send: sends the edge a message.
    """

    def __init__(self, devices: Devices, epoch: Callable[[], str], send: Callable[[RelayMessage], None]) -> None:
        self._devices = devices
        self._epoch = epoch
        self._send = send
        self._connections: dict[int, _EdgeConnection] = {}
        self._passed_on: Update | None = None

    def connect(self, request: DeviceConnected) -> None:
        """Registers a connection, and refuses those beyond `MAX_CONNECTIONS`; one with the same number is replaced."""
        self.disconnect(request.connection)
        connection = _EdgeConnection(self, request)
        if len(self._connections) >= MAX_CONNECTIONS:
            text = f"An edge has at most {MAX_CONNECTIONS} connections of devices."
            self._devices.refuse(connection, TooManyRequests(text, retry_after=60, limit=MAX_CONNECTIONS))
            return
        self._connections[request.connection] = connection
        self._devices.register(request.player_id, request.name, connection)

    def disconnect(self, number: int) -> None:
        """A connection is closed. Unknown ones are ignored."""
        connection = self._connections.pop(number, None)
        if connection is not None:
            self._devices.unregister(connection.player_id, connection)

    def report(self, request: DeviceReported) -> None:
        """A device has seen or dismissed something; the edge has compared the version with what it sent."""
        connection = self._connections.get(request.connection)
        if connection is not None:
            reached = Position(self._epoch(), request.report.version)
            self._devices.report(connection.player_id, connection, request.report, reached)

    def close(self) -> None:
        """The edge is gone: its devices count as connected for a while, because it may return."""
        for number in tuple(self._connections):
            self.disconnect(number)

    def pass_on(self, connection: _EdgeConnection, update: Update, *, alone: bool) -> None:
        """Sends the edge a message: for one connection alone, or once for all connections of the player."""
        if not alone and update is self._passed_on:
            return
        self._passed_on = None if alone else update
        message: RelayMessage = RelayedDevices(
            connection.player_id,
            update.messages[0],  # type: ignore[arg-type]  # the devices' own kind of message.
            connection.number if alone else None,
        )
        self._send(message)
