"""The three sources in Redis, and the factories behind `--backend redis:…` and `--backend rediss:…`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.access.revocation.revocations import Revocation
from craftnet.clocks import IClock
from craftnet.contract.events import EventOutcome
from craftnet.contract.messages import Check, HealthStatus
from craftnet.errors import ConfigurationError
from craftnet.interfaces import IBackend, IBackendFactory, ICluster, IEventConsumer, IHealthChecks, ITraced
from craftnet.providers.inspection import IStoredAccess
from craftnet.providers.redis.aggregates import MATERIALS, QUEUES, SESSIONS
from craftnet.providers.redis.change_reader import ChangeReader
from craftnet.providers.redis.connection import RedisConnection, RedisCredentials
from craftnet.providers.redis.connection_slots import LEASE_SECONDS, RedisConnectionSlots
from craftnet.providers.redis.devices import RedisDevices
from craftnet.providers.redis.endpoints import MasterWatch, SentinelEndpoint, endpoint
from craftnet.providers.redis.event_stream import EventStreamConsumer
from craftnet.providers.redis.interruptible_read import BLOCK_SECONDS
from craftnet.providers.redis.key_names import KeyNames
from craftnet.providers.redis.node_bus import RedisNodeBus, RedisNodeRegistry
from craftnet.providers.redis.player_index import PlayerIndex
from craftnet.providers.redis.revocations import MAX_REVOCATIONS, STREAM_LENGTH, RedisRevocations
from craftnet.providers.redis.samples import RedisSamples
from craftnet.providers.redis.server_clock import ServerClock
from craftnet.providers.redis.server_info import EvictionWatch
from craftnet.providers.redis.settings import (
    ARGUMENTS,
    PASSWORD_VARIABLE,
    SENTINEL_PASSWORD_VARIABLE,
    TLS_ARGUMENTS,
    RedisSettings,
    parse_redis_settings,
)
from craftnet.providers.redis.sources import RedisMaterials, RedisQueues, RedisSessions
from craftnet.providers.redis.store import Store
from craftnet.providers.redis.sweeper import Sweeper
from craftnet.providers.redis.topics import Topics
from craftnet.providers.registry import StoreMetrics
from craftnet.providers.sources import Sources


@implementer(IBackend, ICluster, IHealthChecks, IEventConsumer, ITraced, IStoredAccess)
class RedisBackend:
    """Keeps everything in one Redis.

    Arguments:
        reactor: connects, and has both clocks.
        password, sentinel_password: of Redis, and of its sentinels; None when there is none.

    Attributes:
        asking, connection: the connection for everything but reading streams.
        follower: reads the streams of changes.
        devices: keeps the devices of players; its service starts with --devices only.
        eviction: checks Redis' eviction policy.
        node_bus: carries messages between nodes.
        node_registry: has what each node says of itself.
        samples: has what completed crafts say about estimates.
    """

    def __init__(
        self, reactor: Any, settings: RedisSettings, password: str | None, sentinel_password: str | None = None
    ) -> None:
        keys = KeyNames(settings.prefix)

        way, credentials = endpoint(reactor, settings, sentinel_password), RedisCredentials(settings.user, password)
        sentinels = way if isinstance(way, SentinelEndpoint) else None

        def link(timeout: float) -> RedisConnection:
            master = sentinels is not None
            return RedisConnection(way, settings.described, credentials, settings.db, reactor, timeout, master=master)

        asking, blocking, taking = (link(settings.timeout + wait) for wait in (0.0, BLOCK_SECONDS, BLOCK_SECONDS))
        revoking = link(settings.timeout + BLOCK_SECONDS)
        self.asking = self.connection = asking
        self.time = time = ServerClock(asking, reactor)
        sessions = Topics(SESSIONS), Store(SESSIONS, keys, asking, settings, time)
        materials = Topics(MATERIALS), Store(MATERIALS, keys, asking, settings, time)
        queues = Topics(QUEUES), Store(QUEUES, keys, asking, settings, time)
        players = PlayerIndex(keys, asking, sessions[1])
        self.follower = ChangeReader(blocking, asking, keys, (sessions, materials, queues), players, reactor)
        self.materials = RedisMaterials(materials[1], materials[0], self.follower)
        self.sessions = RedisSessions(sessions[1], sessions[0], self.follower, self.materials, players)
        self.queues = RedisQueues(queues[1], queues[0], self.follower)
        self.sweeper = Sweeper([one.name for one in (SESSIONS, MATERIALS, QUEUES)], keys, asking, settings, time)
        self._event_stream = EventStreamConsumer(taking, asking, keys, Sources.of(self), reactor)
        self.revocations = RedisRevocations(
            revoking, asking, keys, time, reactor, capacity=MAX_REVOCATIONS, backlog=STREAM_LENGTH
        )
        self.connection_slots = RedisConnectionSlots(asking, keys, reactor, lease=LEASE_SECONDS)
        self.eviction = EvictionWatch(asking, reactor)
        self.node_bus = RedisNodeBus(link(settings.timeout + BLOCK_SECONDS), asking, keys, reactor)
        self.node_registry = RedisNodeRegistry(asking, keys)
        self.devices = RedisDevices(str(self.node_bus.name), asking, keys, reactor)
        self.samples = RedisSamples(asking, keys)
        self.service = MultiService()
        self._links = links = (asking, blocking, taking, revoking)
        followers = (self.follower, self._event_stream, self.revocations)
        for part in (*links, time, *followers, self.sweeper, self.connection_slots, self.eviction, self.node_bus):
            part.setServiceParent(self.service)
        if sentinels is not None:
            MasterWatch(sentinels, links, reactor).setServiceParent(self.service)

    @property
    def epoch(self) -> str | None:
        """As in `ISharedSource`."""
        return self.follower.epoch

    @property
    def health_checks(self) -> Mapping[str, Callable[[], Check]]:
        """As in `IHealthChecks`."""
        return {"changes": self._check_changes, "eviction": self._check_eviction}

    def _check_changes(self) -> Check:
        """Checks that this node receives changes."""
        stalled = self.follower.lag.stalled
        if not stalled:
            return Check(status=HealthStatus.OK)
        return Check(status=HealthStatus.CRITICAL, message=f"{stalled} No new watchers are accepted.")

    def _check_eviction(self) -> Check:
        """Checks that Redis does not evict keys; a wrong policy only degrades the service."""
        problem = self.eviction.problem
        return Check(status=HealthStatus.DEGRADED if problem else HealthStatus.OK, message=problem or None)

    def stored_revocations(self) -> Deferred[Sequence[Revocation]]:
        """As in `IStoredAccess`."""
        return Deferred.fromCoroutine(self.revocations.stored())

    def stored_owner(self, session_id: UUID) -> Deferred[UUID | None]:
        """As in `IStoredAccess`."""
        return self.sessions.get(session_id).addCallback(lambda state: None if state is None else state.player_id)

    def report_measurements_to(self, metrics: StoreMetrics) -> None:
        """As in `MeasuredBackend`. Only one connection never waits for news, and shows what a round trip takes."""
        self.asking.answered = metrics.answered
        for link in self._links:
            link.reconnected = metrics.reconnected
        metrics.lags(lambda: self.follower.lag.seconds)

    def report_outcomes_to(self, counted: Callable[[Sequence[EventOutcome]], None]) -> None:
        """As in `IEventConsumer`."""
        self._event_stream.counted = counted

    def trace_with(self, tracer: Any) -> None:
        """As in `ITraced`."""
        self.asking.tracer = self._event_stream.tracer = tracer


class _BackendFactory:
    """The common part of the two factories."""

    name: str
    tls: bool

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._environ = environ

    def build(self, reactor: IClock, arguments: Mapping[str, str]) -> RedisBackend:
        """As in `IBackendFactory`."""
        settings = parse_redis_settings(arguments, tls=self.tls)
        password = self._environ.get(PASSWORD_VARIABLE) or None
        if settings.user is not None and password is None:
            raise ConfigurationError(f"{self.name}: user= needs a password in {PASSWORD_VARIABLE}")
        return RedisBackend(reactor, settings, password, self._environ.get(SENTINEL_PASSWORD_VARIABLE) or None)


@implementer(IBackendFactory)
class RedisFactory(_BackendFactory):
    """Builds `RedisBackend`s."""

    name = "redis"
    shared = True
    summary = "state in a Redis that several nodes share; fed by POST /events to any of them, or by XADD"
    arguments = ARGUMENTS
    tls = False


@implementer(IBackendFactory)
class RedissFactory(_BackendFactory):
    """Builds `RedisBackend`s that use TLS."""

    name = "rediss"
    shared = True
    summary = "as redis, with TLS; verifies the server's certificate"
    arguments = TLS_ARGUMENTS
    tls = True
