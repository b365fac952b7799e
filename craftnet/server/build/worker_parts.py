"""Makes several workers, each with the state of some of the players, act as one server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from msgspec import Struct

from craftnet.contract.routes import BasePaths
from craftnet.feeds.ingest import EventApplier, RawEventApplier
from craftnet.http.connection.http_site import HttpSite
from craftnet.http.connection.worker_forwarding import CallForwarding, ConnectionForwarding
from craftnet.interfaces import ICluster
from craftnet.providers.inspection import INodeBus
from craftnet.providers.shards import Shards
from craftnet.providers.sources import Sources
from craftnet.sharding.cluster import ShardCluster
from craftnet.sharding.directory import SessionDirectory
from craftnet.sharding.event_forwarding import ShardedEvents
from craftnet.sharding.links import Links
from craftnet.sharding.node_bus import ShardNodeBus


class WorkerParts(Struct, frozen=True):
    """The parts that know the other workers; None in a process that keeps, or shares, the state of all players.

    Attributes:
        events: applies events.
        raw_events: applies events that are not decoded yet.
        cluster: what workers share about their clients.
        owner: returns the owner of a session that another worker keeps.
        calls: forwards HTTP requests to other workers.
        connections: forwards WebSocket connections to other workers.
        links: the service of the connections between workers.
        node_bus: carries messages of administrators between workers.
    """

    events: EventApplier
    raw_events: RawEventApplier | None = None
    cluster: ICluster | None = None
    owner: Callable[[UUID], Coroutine[Any, Any, UUID | None]] | None = None
    calls: CallForwarding | None = None
    connections: ConnectionForwarding | None = None
    links: Links | None = None
    node_bus: INodeBus | None = None

    def serve(self, site: HttpSite) -> None:
        """Answers what other workers forward."""
        if self.calls is not None:
            self.calls.serve(site.routes)


def build_worker_parts(reactor: Any, folder: str, shards: Shards, sources: Sources, bases: BasePaths) -> WorkerParts:
    """The parts of one worker.

    Arguments:
        reactor: IReactorUNIX, IReactorSocket, and the clock.
        folder: the folder of the workers' sockets.
        sources: those of this worker's players.
        bases: the base paths that may precede every route.
    """
    links = Links(reactor, folder, shards)
    directory = SessionDirectory(links, shards, sources)
    events = ShardedEvents(links, shards, directory, sources, reactor)
    return WorkerParts(
        events=events,
        raw_events=events,
        cluster=ShardCluster(links, shards),
        owner=directory.owner,
        calls=CallForwarding(links, shards, directory),
        connections=ConnectionForwarding(reactor, links, shards, bases),
        links=links,
        node_bus=ShardNodeBus(links, shards),
    )
