"""Nodes that share their state without a network: each receives changes when the test lets it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from craftnet.contract.events import Event, EventOutcome
from craftnet.contract.position import HISTORY_LENGTH
from craftnet.crafting.state import MaterialsChange, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.errors import Unavailable
from craftnet.interfaces import (
    IBackend,
    IMaterialListener,
    IMaterialSource,
    IQueueListener,
    IQueueSource,
    IRecallingSource,
    ISessionListener,
    ISessionSource,
    ISharedSource,
)
from craftnet.providers.memory.backend import MemoryBackend, MemorySettings
from craftnet.providers.redis.aggregates import MATERIALS, QUEUES, SESSIONS, Aggregate
from craftnet.providers.redis.topics import Topics
from craftnet.providers.sources import Sources

TIMEOUT = 2.0
"""Seconds for which a node waits until it has caught up."""

AnySubject = Aggregate[Any, Any, Any]


@implementer(ISessionListener, IMaterialListener, IQueueListener)
class Cluster:
    """What the nodes share, of one session and one player.

    Attributes:
        reachable: whether it answers returning watchers.
        streams: the recent changes of each kind.
    """

    def __init__(self, session_id: UUID, player_id: UUID, clock: IReactorTime) -> None:
        self.clock = clock
        self._epoch: str | None = "first"
        self.nodes: list[Node] = []
        self.reachable = True
        kept = MemoryBackend(clock, MemorySettings())
        self.sources = Sources.of(kept)
        self.keys = {"session": session_id, "materials": session_id, "queue": player_id}
        self.kept: dict[str, Any] = {"session": kept.sessions, "materials": kept.materials, "queue": kept.queues}
        self.streams: dict[str, list[Any]] = {kind: [] for kind in self.kept}
        self.forgotten = dict.fromkeys(self.kept, 0)
        for kind, source in self.kept.items():
            source.watch(self.keys[kind], self)

    @property
    def epoch(self) -> str | None:
        """The epoch for all nodes; None while it is unknown."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: str | None) -> None:
        self._epoch = epoch
        for node in self.nodes:
            for kind in range(3):
                node.hear(kind, 0)

    def session_changed(self, state: SessionState | None) -> None:
        """As in `ISessionListener`."""
        self.streams["session"].append(state)

    def materials_changed(self, change: MaterialsChange) -> None:
        """As in `IMaterialListener`."""
        self.streams["materials"].append(change)

    def queue_changed(self, change: QueueChange) -> None:
        """As in `IQueueListener`."""
        self.streams["queue"].append(change)

    def queue_reset(self, state: QueueState) -> None:
        """As in `IQueueListener`: nothing is ever lost here."""

    def forget(self) -> None:
        """Forgets all changes until now."""
        self.forgotten = {kind: len(stream) for kind, stream in self.streams.items()}


@implementer(ISharedSource)
class _Source:
    """The common part of the three."""

    stalled = ""

    def __init__(self, subject: AnySubject, cluster: Cluster) -> None:
        self._subject = subject
        self._cluster = cluster
        self._stream = cluster.streams[subject.name]
        self._topics: Topics[Any, Any, Any] = Topics(subject)
        self._heard = 0
        self._waiting: list[tuple[int, Deferred[None]]] = []

    def caught_up(self, key: UUID) -> Deferred[None]:
        """As in `ISharedSource`."""
        waiting: Deferred[None] = Deferred(lambda _: self._waiting.remove((here, waiting)))
        here = self._subject.version(self._subject.after(self._stream[-1])) if self._stream else 0
        self._waiting.append((here, waiting))
        self.hear(0)
        if not waiting.called:
            waiting.addTimeout(TIMEOUT, self._cluster.clock)
            waiting.addErrback(lambda failure: failure.trap(TimeoutError) and fail(Unavailable("It is behind.")))
        return waiting

    @property
    def epoch(self) -> str | None:
        """As in `ISharedSource`."""
        return self._cluster.epoch

    def hear(self, number: int) -> None:
        """This many changes of the stream arrive."""
        for change in self._stream[self._heard : self._heard + number]:
            self._heard += 1
            version = self._subject.version(self._subject.after(change))
            self._topics.changed(self._cluster.keys[self._subject.name], version, change)
        key = self._cluster.keys[self._subject.name]
        for here, waiting in tuple(self._waiting):
            if self.epoch is not None and (key not in self._topics or self._topics.version(key) >= here):
                self._waiting.remove((here, waiting))
                waiting.callback(None)

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """As in the interfaces."""
        answer: Deferred[list[EventOutcome]] = self._cluster.kept[self._subject.name].apply(events)
        return answer

    def get(self, key: UUID) -> Deferred[Any]:
        """As in the interfaces."""
        answer: Deferred[Any] = self._cluster.kept[self._subject.name].get(key)
        return answer

    def watch(self, key: UUID, listener: Any) -> Deferred[Any]:
        """As in the interfaces."""
        self._topics.add(key, listener)
        return self.get(key).addCallback(lambda state: self._topics.answered(key, listener, state))

    def unwatch(self, key: UUID, listener: Any) -> None:
        """As in the interfaces."""
        self._topics.remove(key, listener)

    def recall(self, key: UUID, version: int) -> Deferred[Sequence[Any]]:
        """As in `IRecallingSource`."""
        if not self._cluster.reachable:
            return fail(Unavailable("The state is unknown."))
        stream = self._stream[self._cluster.forgotten[self._subject.name] :][-HISTORY_LENGTH:]
        known = {self._subject.version(change.state): change for change in stream}
        known = known if key == self._cluster.keys[self._subject.name] else {}
        return succeed([known[one] for one in sorted(known) if one > version] if version + 1 in known else [])


@implementer(ISessionSource)
class _Sessions(_Source):
    """Sessions."""

    def count(self) -> Deferred[int]:
        """As in `ISessionSource`."""
        return self._cluster.sources.sessions.count()


@implementer(IMaterialSource, IRecallingSource)
class _Materials(_Source):
    """Materials."""


@implementer(IQueueSource, IRecallingSource)
class _Queues(_Source):
    """Queue entries."""

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """As in `IQueueSource`."""
        return self._cluster.sources.queues.find(session_id)


@implementer(IBackend)
class Node:
    """One of them.

    Attributes:
        sources: for a hub.
    """

    service = None

    def __init__(self, cluster: Cluster) -> None:
        sessions, materials = _Sessions(SESSIONS, cluster), _Materials(MATERIALS, cluster)
        queues = _Queues(QUEUES, cluster)
        self.sessions, self.materials, self.queues = sessions, materials, queues
        self.sources = Sources(sessions, materials, queues)
        self._each: tuple[_Source, ...] = (sessions, materials, queues)
        cluster.nodes.append(self)

    def hear(self, kind: int, number: int) -> None:
        """This many changes of one kind arrive: 0 sessions, 1 materials, 2 queues."""
        self._each[kind].hear(number)
