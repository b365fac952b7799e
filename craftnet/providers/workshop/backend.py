"""The memory back end with a simulated crafting authority that feeds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from twisted.application.service import MultiService
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.contract.http_bodies import DescribedCraft
from craftnet.crafting.state import SessionState
from craftnet.interfaces import IBackend, IBackendFactory, IShardedBackendFactory
from craftnet.providers.inspection import IDemonstration
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources
from craftnet.providers.workshop.driver import Driver
from craftnet.providers.workshop.simulation import settings

RETENTION = 60.0
"""Seconds that a finished session is kept: long enough to look at, short enough for fast simulations."""

MAX_EVENT_IDS = 10_000
"""Event ids that are remembered; the workshop never repeats an event."""


@implementer(IBackend, IDemonstration)
class WorkshopBackend:
    """Keeps everything in this process and always has something to show.

    Arguments:
        shards: the shard of the players to simulate here; None: all players.
    """

    def __init__(self, clock: IReactorTime, wanted: settings.WorkshopSettings, shards: Shards | None = None) -> None:
        capacity = max(MemorySettings().capacity, 2 * wanted.players)
        memory = MemoryBackend(clock, MemorySettings(capacity=capacity, retention=RETENTION, remembered=MAX_EVENT_IDS))
        self.sessions = memory.sessions
        self.materials = memory.materials
        self.queues = memory.queues
        self.service = MultiService()
        self._driver = Driver(clock, Sources.of(memory), wanted, shards)
        for service in (memory.service, self._driver):
            service.setServiceParent(self.service)

    def featured(self) -> SessionState | None:
        """As in `IDemonstration`; never None once the service has started."""
        session_id = self._driver.featured()
        found: list[SessionState | None] = [None]
        if session_id is not None:
            # The memory back end fires its Deferreds at once.
            self.sessions.get(session_id).addCallback(found.append)
        return found[-1]

    def under_way(self, player_id: UUID) -> Sequence[UUID]:
        """As in `IDemonstration`."""
        return self._driver.under_way(player_id)

    def describe(self, player_id: UUID) -> Sequence[DescribedCraft]:
        """As in `IDemonstration`."""
        return self._driver.describe(player_id)

    def jump_queue(self, player_id: UUID) -> bool:
        """As in `IDemonstration`."""
        return self._driver.jump_queue(player_id)


@implementer(IBackendFactory, IShardedBackendFactory)
class WorkshopFactory:
    """Builds `WorkshopBackend`s."""

    name = "workshop"
    shared = False
    summary = "a simulated crafting authority, for demonstrations and load"
    arguments: Mapping[str, str] = settings.ARGUMENTS

    def build(self, reactor: IReactorTime, arguments: Mapping[str, str]) -> WorkshopBackend:
        """As in `IBackendFactory`."""
        return WorkshopBackend(reactor, settings.parse_workshop_settings(arguments))

    def build_shard(self, reactor: IReactorTime, arguments: Mapping[str, str], shards: Shards) -> WorkshopBackend:
        """As in `IShardedBackendFactory`: each process simulates its own players, who meet only one another."""
        return WorkshopBackend(reactor, settings.parse_workshop_settings(arguments), shards)
