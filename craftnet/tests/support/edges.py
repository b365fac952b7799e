"""Edges of a core, all in this process: their messages cross as JSON, in the reactor's next turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet import reactor
from twisted.internet.task import deferLater
from zope.interface import directlyProvides, implementer, providedBy

from craftnet.access.principal import RELAY, Principal
from craftnet.contract.close_codes import CloseCode
from craftnet.contract.events import Event
from craftnet.crafting.progress import Tolerance
from craftnet.crafting.updates import Update
from craftnet.devices.registry import DeviceRegistry
from craftnet.devices.store import MemoryDevices
from craftnet.feeds.forecast_feed import Forecaster
from craftnet.feeds.hub import Hub
from craftnet.feeds.relay_feed import RelayFeeds
from craftnet.interfaces import IBackend, ISubscriber
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.sources import Sources
from craftnet.providers.upstream.devices import UpstreamDevices
from craftnet.providers.upstream.mirror_table import MirrorTable
from craftnet.providers.upstream.sources import UpstreamMaterials, UpstreamQueues, UpstreamSessions
from craftnet.relay.messages import RelayedDevices, RelayHello, read_message
from craftnet.tests.support.fakes import SteppedClock

CORE = "https://core.example"

EDGE = Principal(None, frozenset({RELAY}), float("inf"))
"""What an edge is to its core."""


class Core:
    """A node that serves edges.

    Arguments:
        clock: its clock.
        forecaster: forecasts crafts; None: nothing does.

    Attributes:
        devices: its devices of players; an edge has them only while `relay` does.
    """

    def __init__(self, backend: IBackend, clock: SteppedClock, forecaster: Forecaster | None = None) -> None:
        self.sources = Sources.of(backend)
        self.hub = Hub(self.sources, clock, Metrics())
        self.relay = RelayFeeds(self.hub, self.sources, clock, Tolerance(0.05, 0.025, 0.001), forecaster)
        self.devices = DeviceRegistry(MemoryDevices(), lambda: self.hub.epoch, Metrics(), clock)
        self.relay.devices = self.devices


def next_turn(function: Callable[..., object], *arguments: object) -> object:
    """Calls it in the reactor's next turn."""
    return reactor.callLater(0, function, *arguments)


@implementer(ISubscriber)
class Edge:
    """An edge of a core, without sockets.

    Arguments:
        later: calls a function with its arguments after those before; by default in the reactor's next turn.

    Attributes:
        received: the messages of the core, as octets.
        closed_with: the close code of the connection.
    """

    service = None

    def __init__(
        self,
        core: Core,
        clock: SteppedClock,
        *,
        linger: float = 10.0,
        lost_after: float = 30.0,
        later: Callable[..., object] = next_turn,
    ) -> None:
        self._later = later
        self.core: Core | None = None
        self.received: list[bytes] = []
        self.closed_with: CloseCode | None = None
        self.table = MirrorTable(clock.seconds, 0.0, linger=linger, lost_after=lost_after, wake=self._wake)
        self.sessions = UpstreamSessions(self.table, clock, CORE)
        self.materials = UpstreamMaterials(self.table, clock, CORE)
        self.queues = UpstreamQueues(self.table, clock, CORE)
        self.metrics = Metrics()
        self.devices = UpstreamDevices(self.table.request, CORE, clock.wall, self.metrics)
        self.connect(core)

    def connect(self, core: Core) -> None:
        """Follow a core."""
        self.core = core
        core.relay.subscribe(EDGE, self)

    def disconnect(self) -> None:
        """The connection is lost."""
        core, self.core = self.core, None
        assert core is not None
        core.relay.unsubscribe(self)
        self.table.disconnected("The core is away.")
        self.devices.disconnected("The core is away.")

    def deliver(self, update: Update) -> None:
        """See `ISubscriber`."""
        for octets in update.json:
            self.received.append(octets)
            self._later(self._hear, self.core, octets)

    def ended(self, code: CloseCode) -> None:
        """See `ISubscriber`."""
        self.closed_with = code

    def _hear(self, core: Core, octets: bytes) -> None:
        if core is not self.core:
            return  # it was on its way when the connection was lost.
        message = read_message.decode(octets)
        if isinstance(message, RelayHello):
            self.table.connected(message.epoch)
            self.devices.connected(offered=message.devices)
        elif isinstance(message, RelayedDevices):
            self.devices.receive(message)
        else:
            self.table.receive(message)

    def _wake(self) -> None:
        self._later(self._send)

    def _send(self) -> None:
        requests = self.table.take_requests()
        if requests and self.core is not None:
            self.core.relay.receive(self, msgspec.json.encode(requests))


async def settle() -> None:
    """Wait until everything that was sent has arrived."""
    for _ in range(8):
        await deferLater(reactor, 0)


class FedSource:
    """A source of an edge whose events go to the core's source, as an authority would send them."""

    def __init__(self, edge: Any, core: Any) -> None:
        self._edge = edge
        self._core = core
        directlyProvides(self, providedBy(edge))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._edge, name)

    def count(self) -> Any:
        """Of the core: an edge counts what it follows."""
        return self._core.count()

    def apply(self, events: Sequence[Event]) -> Any:
        """Applies them in the core."""
        return self._core.apply(events)


@implementer(IBackend)
class FedEdge:
    """An edge as a back end to which events can be given."""

    service = None

    def __init__(self, core: Core, edge: Edge) -> None:
        self.edge = edge
        self.sessions = FedSource(edge.sessions, core.sources.sessions)
        self.materials = FedSource(edge.materials, core.sources.materials)
        self.queues = FedSource(edge.queues, core.sources.queues)
