"""Builds the base of all other parts: the state, its back ends, the metrics."""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from craftnet.contract.routes import BasePaths
from craftnet.crafting.progress import Tolerance
from craftnet.interfaces import IBackend, ICluster, IRelayedSource, ITraced
from craftnet.observe.audit.recorder import SecurityEvents
from craftnet.observe.metrics.registry import Metrics
from craftnet.providers.registry import MeasuredBackend, MeasuredUpstream, Registry
from craftnet.providers.sources import Sources
from craftnet.server.build.tracing import Tracing, build_tracing
from craftnet.server.build.worker_parts import WorkerParts, build_worker_parts
from craftnet.server.reload import Reloader
from craftnet.server.settings import Settings


class State(Struct, frozen=True):
    """The back ends that keep sessions, queues and materials, and the processes that share them.

    Attributes:
        backend: the back end of --backend.
        built: every back end in use.
        shared: whether other processes may have the same back end.
        cluster: the data about clients that nodes or workers share; None if this process is the only one.
    """

    backend: IBackend
    built: tuple[IBackend, ...]
    sources: Sources
    division: WorkerParts
    shared: bool
    cluster: ICluster | None

    @property
    def relayed(self) -> bool:
        """Whether the state is another craftnet's, which remembers the recent changes for its edges."""
        sources = self.sources
        return all(map(IRelayedSource.providedBy, (sources.sessions, sources.materials, sources.queues)))


class Base(Struct, frozen=True):
    """The base of all other parts.

    Attributes:
        reactor: IReactorTime, IReactorUDP, and the interfaces that the HTTP endpoint and the back ends need.
        bases: the base paths that may precede every route.
        security: receives security events, and keeps the newest.
        tracing: traces events and requests; None: off.
        reloader: parts whose options can change register with it.
    """

    settings: Settings
    reactor: Any
    bases: BasePaths
    state: State
    metrics: Metrics
    tolerance: Tolerance
    security: SecurityEvents
    reloader: Reloader
    tracing: Tracing | None

    @property
    def tracer(self) -> Any:
        """The tracer; None if tracing is off."""
        return None if self.tracing is None else self.tracing.tracer


def build_base(settings: Settings, reactor: Any, reloader: Reloader) -> Base:
    """The base of every part.

    Raises:
        ConfigurationError: a back end or a base path is invalid.
    """
    bases = BasePaths(settings.prefixes)
    registry = Registry(reactor, settings.shards)
    shards = None if registry.is_shared(settings.backend) else settings.shards
    metrics = Metrics(divided=shards is not None, keeps_sessions=not registry.is_shared(settings.backend))
    backend = registry.backend(settings.backend)
    sources = Sources(
        sessions=registry.backend(settings.sessions or settings.backend).sessions,
        materials=registry.backend(settings.materials or settings.backend).materials,
        queues=registry.backend(settings.queues or settings.backend).queues,
    )
    division = (
        WorkerParts(sources)
        if shards is None
        else build_worker_parts(reactor, settings.links or "", shards, sources, bases)
    )
    cluster = backend if ICluster.providedBy(backend) else division.cluster
    for made in registry.built:
        if isinstance(made, MeasuredBackend):
            made.report_measurements_to(metrics.redis)
        if isinstance(made, MeasuredUpstream):
            made.report_upstream_to(metrics.upstream)
    state = State(backend, tuple(registry.built), sources, division, registry.is_shared(settings.backend), cluster)
    tracing = None if settings.otlp is None else build_tracing(settings, reactor, metrics)
    if tracing is not None:
        for made in state.built:
            if ITraced.providedBy(made):
                made.trace_with(tracing.tracer)
    tolerance = Tolerance(percent=settings.tolerance_percent, seconds=settings.tolerance_ms / 1000)
    security = SecurityEvents(reactor)
    return Base(settings, reactor, bases, state, metrics, tolerance, security, reloader, tracing)
