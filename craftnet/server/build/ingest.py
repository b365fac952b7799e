"""Builds what takes the authority's events."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from twisted.logger import Logger

from craftnet.errors import ConfigurationError
from craftnet.feeds.ingest import Ingest
from craftnet.interfaces import IBackend, IEventConsumer, IRelayedSource
from craftnet.observe.health.monitor import Monitor
from craftnet.providers.registry import Registry
from craftnet.server.build.base import Base
from craftnet.streams.consumer import StreamConsumer
from craftnet.streams.dead_letters import DeadLetters
from craftnet.streams.registry import build_stream

_log = Logger()


def build_ingest(base: Base) -> Ingest:
    """The entry point of events."""
    ingest = Ingest(base.state.division.events, base.metrics, base.tracer, base.state.division.raw_events)
    for made in base.state.built:
        if IEventConsumer.providedBy(made):
            made.report_outcomes_to(ingest.count)
    return ingest


def check_takes_events(backends: Iterable[IBackend]) -> None:
    """Checks that back ends take the events that --ingest reads.

    Raises:
        ConfigurationError: one is an edge's, whose core takes them.
    """
    for backend in backends:
        if IRelayedSource.providedBy(backend.sessions):
            raise ConfigurationError(
                "--ingest reads events, which an edge (--backend upstream) does not take: read the message bus in the "
                "core, from which the edge gets every change"
            )


def build_stream_consumer(base: Base, ingest: Ingest, monitor: Monitor) -> StreamConsumer | None:
    """Reads events from the message bus of --ingest, and checks that in /health; None without it.

    Raises:
        ConfigurationError: the option is invalid, or needs a library that is not installed.
    """
    settings, reactor = base.settings, base.reactor
    if settings.ingest is None:
        return None
    check_takes_events(base.state.built)
    path = None if settings.dead_letters is None else Path(settings.dead_letters).absolute()
    if path is not None and settings.worker is not None:
        path = path.with_name(f"{path.stem}-w{settings.worker}{path.suffix}")
    registry = Registry(reactor)
    shared = all(registry.is_shared(text) for text in settings.backends)
    if not shared and not settings.worker:
        _log.warn(
            "This server keeps its state to itself, so it must read every event of the message bus: no other server "
            "may use the group of its --ingest"
        )
    consumer = StreamConsumer(
        build_stream(settings.ingest, reactor),
        ingest,
        DeadLetters(path, base.metrics.store, reactor.wall).add,
        base.metrics.store,
        reactor,
        alone=not shared and settings.worker is None,
    )
    monitor.add({"ingest": consumer.check})
    return consumer
