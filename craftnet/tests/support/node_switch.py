"""What connects nodes of a test: their buses, and the registry that they share."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.providers.inspection import INodeBus, INodeRegistry


class Switch:
    """What the buses of all nodes are plugged into.

    Attributes:
        down: nodes that send and receive nothing.
        carried: every message, with its sender and its recipient.
    """

    def __init__(self) -> None:
        self.listeners: dict[str, Callable[[str, bytes], None]] = {}
        self.down: set[str] = set()
        self.carried: list[tuple[str, str, bytes]] = []

    def carry(self, sender: str, node: str, message: bytes) -> None:
        """Deliver, unless one of them is down."""
        self.carried.append((sender, node, message))
        if not self.down & {sender, node} and node in self.listeners:
            self.listeners[node](sender, message)


@implementer(INodeBus)
class SwitchedBus:
    """One node's side."""

    def __init__(self, name: str, switch: Switch) -> None:
        self.name = name
        self._switch = switch

    def follow(self, heard: Callable[[str, bytes], None]) -> None:
        """As in `INodeBus`."""
        self._switch.listeners[self.name] = heard

    def send(self, node: str, message: bytes) -> None:
        """As in `INodeBus`."""
        self._switch.carry(self.name, node, message)

    def broadcast(self, message: bytes) -> None:
        """As in `INodeBus`."""
        for node in tuple(self._switch.listeners):
            self.send(node, message)


@implementer(INodeRegistry)
class SharedRegistry:
    """Entries in memory, which stay until they are removed.

    Attributes:
        reachable: whether it answers.
    """

    def __init__(self) -> None:
        self.entries: dict[str, bytes] = {}
        self.reachable = True

    def announce(self, node: str, entry: bytes | None) -> Deferred[dict[str, bytes]]:
        """As in `INodeRegistry`."""
        if not self.reachable:
            return fail(Unavailable("the registry is unreachable"))
        self.entries.pop(node, None)
        if entry is not None:
            self.entries[node] = entry
        return succeed(dict(self.entries))
