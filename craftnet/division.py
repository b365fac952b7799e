"""What makes several workers, each with the state of some of the players, act as one server."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from uuid import UUID

from msgspec import Struct

from craftnet.http.channel import LimitedSite
from craftnet.http.elsewhere import CallForwarding, ConnectionForwarding
from craftnet.ingest import Applier
from craftnet.interfaces import ICluster
from craftnet.shards.cluster import ShardCluster
from craftnet.shards.directory import Directory, ShardedEvents
from craftnet.shards.links import Links
from craftnet.shards.placement import Shards
from craftnet.sources import Sources
from craftnet.targets import BasePaths


class Division(Struct, frozen=True):
    """The parts that know of the other workers; None in a process that keeps, or shares, the state of all players.

    Attributes:
        events: takes events.
        cluster: what workers know of each other's clients.
        owner: answers whose a session is that another worker keeps.
        calls: the way of HTTP requests to other workers.
        connections: the way of WebSocket connections to other workers.
        links: the service by which they are reached.
    """

    events: Applier
    cluster: ICluster | None = None
    owner: Callable[[UUID], Coroutine[Any, Any, UUID | None]] | None = None
    calls: CallForwarding | None = None
    connections: ConnectionForwarding | None = None
    links: Links | None = None

    def serve(self, site: LimitedSite) -> None:
        """Answer what other workers forward."""
        if self.calls is not None:
            self.calls.serve(site.routes)


def divided(reactor: Any, folder: str, shards: Shards, sources: Sources, bases: BasePaths) -> Division:
    """The parts of one worker.

    Arguments:
        reactor: IReactorUNIX, IReactorSocket, and the clock.
        folder: where the workers' sockets are.
        sources: those of this worker's players.
        bases: what may stand in front of every route.
    """
    links = Links(reactor, folder, shards)
    directory = Directory(links, shards, sources)
    return Division(
        ShardedEvents(links, shards, directory, sources, reactor),
        ShardCluster(links, shards),
        directory.owner,
        CallForwarding(links, shards, directory),
        ConnectionForwarding(reactor, links, shards, bases),
        links,
    )
