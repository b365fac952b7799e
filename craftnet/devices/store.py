"""The store of all players' devices: its interface, and the one of a process that shares it with no other."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from twisted.internet.defer import Deferred, execute
from zope.interface import Attribute, Interface, implementer

from craftnet.devices.rules import PlayerDevices

Rule = Callable[[PlayerDevices], PlayerDevices]
"""A rule of `craftnet.devices.rules`: takes a state, returns the next one."""

Listener = Callable[[UUID, PlayerDevices], None]
"""Called with a player and the newest state of the player's devices."""

MAX_PLAYERS = 100_000
"""Maximum number of players whose devices are in memory."""


class IDeviceStore(Interface):
    """Stores the devices of players, for one of the nodes that share them."""

    node: str = Attribute("The name of this node among those to which devices are connected.")

    def follow(listener: Listener) -> None:  # noqa: N805 - as all of zope's.
        """Calls `listener` with each newer state of a watched player, whichever node changed it."""

    def watch(player_id: UUID) -> None:  # noqa: N805 - as all of zope's.
        """Follows a player's devices."""

    def unwatch(player_id: UUID) -> None:  # noqa: N805 - as all of zope's.
        """Stops following a player's devices."""

    def update(player_id: UUID, rule: Rule) -> Deferred[PlayerDevices]:  # noqa: N805 - as all of zope's.
        """Applies a rule to the newest state, and stores the result.

        Returns:
            A Deferred of the new state, which the listener of every node has, or will have soon.

        Fails:
            `craftnet.errors.Unavailable`: the state cannot be read or stored now.
            What the rule raises: nothing was changed.
        """


class ISharedDeviceStore(IDeviceStore):
    """A store that several nodes share. It is also an `IService`, which runs with the server."""

    notify: Callable[[str, UUID], None] = Attribute(
        "Called with the name of another node and a player whose devices have changed, for that node's `changed`."
    )

    def changed(player_id: UUID) -> None:  # noqa: N805 - as above.
        """Called when another node has changed the devices of a player."""


@implementer(IDeviceStore)
class MemoryDevices:
    """Stores the devices in this process, which shares them with no other.

    Arguments:
        capacity: maximum number of players. A further one replaces the player without connected devices whose devices
            changed longest ago.
    """

    node = "here"

    def __init__(self, capacity: int = MAX_PLAYERS) -> None:
        self._capacity = capacity
        self._states: dict[UUID, PlayerDevices] = {}
        self._watched: set[UUID] = set()
        self._listener: Listener | None = None

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, player_id: UUID) -> bool:
        return player_id in self._states

    @property
    def watched(self) -> int:
        """The number of players that are watched."""
        return len(self._watched)

    def follow(self, listener: Listener) -> None:
        """As in `IDeviceStore`."""
        self._listener = listener

    def watch(self, player_id: UUID) -> None:
        """As in `IDeviceStore`."""
        self._watched.add(player_id)

    def unwatch(self, player_id: UUID) -> None:
        """As in `IDeviceStore`."""
        self._watched.discard(player_id)

    def update(self, player_id: UUID, rule: Rule) -> Deferred[PlayerDevices]:
        """As in `IDeviceStore`."""
        return execute(self._update, player_id, rule)

    def _update(self, player_id: UUID, rule: Rule) -> PlayerDevices:
        before = self._states.get(player_id) or PlayerDevices()
        after = rule(before)
        if after is not before:
            self._states.pop(player_id, None)
            self._states[player_id] = after  # the last to give way.
            self._make_room()
            if self._listener is not None and player_id in self._watched:
                self._listener(player_id, after)
        return after

    def _make_room(self) -> None:
        if len(self._states) > self._capacity:
            idle = next((player_id for player_id in self._states if player_id not in self._watched), None)
            if idle is not None:
                del self._states[idle]
