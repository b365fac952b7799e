"""The three sources in memory, and the factory behind `--backend memory:…`."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct
from twisted.application.internet import TimerService
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.errors import ConfigurationError
from craftnet.interfaces import IBackend, IBackendFactory, IShardedBackendFactory
from craftnet.providers.memory.sources import MemoryMaterials, MemoryQueues, MemorySessions
from craftnet.providers.shards import Shards

SWEEP_INTERVAL = 1.0
"""Seconds between removals of finished sessions."""


class MemorySettings(Struct, frozen=True):
    """The limits.

    Attributes:
        capacity: maximum number of sessions, and of players with queue entries.
        retention: seconds that a finished session is kept.
        remembered: event ids kept per source to detect duplicates.
    """

    capacity: int = 100_000
    retention: float = 300.0
    remembered: int = 200_000


@implementer(IBackend)
class MemoryBackend:
    """Keeps everything in this process."""

    def __init__(self, clock: IReactorTime, settings: MemorySettings) -> None:
        self.materials = MemoryMaterials(capacity=settings.capacity, remembered_events=settings.remembered)
        self.queues = MemoryQueues(capacity=settings.capacity, remembered_events=settings.remembered)
        self.sessions = MemorySessions(
            clock,
            capacity=settings.capacity,
            retention=settings.retention,
            remembered_events=settings.remembered,
            forgotten=self.materials.forget,
        )
        self.service = TimerService(SWEEP_INTERVAL, self.sessions.expire)
        self.service.clock = clock


@implementer(IBackendFactory, IShardedBackendFactory)
class MemoryFactory:
    """Builds `MemoryBackend`s."""

    name = "memory"
    shared = False
    summary = "state in this process's memory; fed by POST /events"
    arguments: Mapping[str, str] = {
        "capacity": f"maximum number of sessions (default {MemorySettings().capacity})",
        "retention": f"seconds that a finished session is kept (default {MemorySettings().retention:g})",
        "remembered": f"event ids kept per source to detect duplicates (default {MemorySettings().remembered})",
    }

    def build(self, reactor: IReactorTime, arguments: Mapping[str, str]) -> MemoryBackend:
        """As in `IBackendFactory`."""
        return MemoryBackend(reactor, _settings(arguments))

    def build_shard(self, reactor: IReactorTime, arguments: Mapping[str, str], shards: Shards) -> MemoryBackend:
        """As in `IShardedBackendFactory`. Players are divided unevenly, so each process has room for all of them."""
        return self.build(reactor, arguments)


def _settings(arguments: Mapping[str, str]) -> MemorySettings:
    """Parses the arguments; all three are positive numbers."""
    values: dict[str, float] = {}
    for name, text in arguments.items():
        try:
            values[name] = float(text) if name == "retention" else int(text)
        except ValueError:
            raise ConfigurationError(f"memory: {name} must be a number, got {text!r}") from None
        if not 0 < values[name] <= 100_000_000:
            raise ConfigurationError(f"memory: {name} must be above 0 and at most 100000000, got {text}")
    defaults = MemorySettings()
    return MemorySettings(
        capacity=int(values.get("capacity", defaults.capacity)),
        retention=values.get("retention", defaults.retention),
        remembered=int(values.get("remembered", defaults.remembered)),
    )
