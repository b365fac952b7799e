"""Messages between workers, for administrators."""

from __future__ import annotations

import socket
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.errors import Unavailable
from craftnet.providers.inspection import INodeBus
from craftnet.providers.shards import Shards
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.links import Links

MESSAGE: Operation[bytes, None] = Operation("message", bytes, None)


@implementer(INodeBus)
class ShardNodeBus:
    """One worker's side."""

    def __init__(self, links: Links, shards: Shards) -> None:
        self._links = links
        self._names = {number: f"{socket.gethostname()}:worker-{number}" for number in range(shards.count)}
        self._numbers = {name: number for number, name in self._names.items()}
        self.name = self._names[shards.number]

    def follow(self, heard: Callable[[str, bytes], None]) -> None:
        """As in `INodeBus`."""

        def take(caller: Caller, message: bytes) -> None:
            heard(self._names[caller.number], message)

        self._links.handle(MESSAGE, take)

    def send(self, node: str, message: bytes) -> None:
        """As in `INodeBus`. A worker that is not there misses it."""
        number = self._numbers.get(node)
        if number in self._links.connected and number is not None:
            sent: Deferred[None] = self._links.call(number, MESSAGE, message)
            sent.addErrback(_lost)

    def broadcast(self, message: bytes) -> None:
        """As in `INodeBus`."""
        for number in self._links.connected:
            self.send(self._names[number], message)


def _lost(failure: Failure) -> None:
    failure.trap(Unavailable)
