"""The three sources of an edge: each answers from the copies, and requests from the core those it does not have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.contract.events import Event, EventOutcome
from craftnet.crafting.progress import Expectation
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueEntry, QueueState, SessionState
from craftnet.errors import Misdirected, Unavailable
from craftnet.interfaces import (
    IMaterialListener,
    IMaterialSource,
    IPlayerListener,
    IPlayerSessions,
    IQueueListener,
    IQueueSource,
    IRecallingSource,
    IRelayedSource,
    ISessionListener,
    ISessionSource,
)
from craftnet.providers.inspection import IForecastingSessions
from craftnet.providers.upstream.mirror import Mirror, MirrorListeners, PlayerMirror, QueueMirror, SessionMirror
from craftnet.providers.upstream.mirror_table import MirrorTable
from craftnet.relay.messages import Subject

ANSWER_TIMEOUT = 5.0
"""Seconds that the core may take to answer."""

NIL = UUID(int=0)
"""The nil UUID (RFC 9562 section 5.9), which names nothing. Health checks look it up; the core is not asked."""


class _UpstreamSource:
    """The part that the three sources share.

    Arguments:
        core: the URL of the core, for error texts.
    """

    subject: Subject

    def __init__(self, mirrors: MirrorTable, clock: IClock, core: str) -> None:
        self._mirrors = mirrors
        self._clock = clock
        self._core = core

    @property
    def epoch(self) -> str | None:
        """As in `ISharedSource`: the epoch of the core's positions."""
        return self._mirrors.epoch

    @property
    def stalled(self) -> str:
        """As in `ISharedSource`."""
        return self._mirrors.problem

    def caught_up(self, key: UUID) -> Deferred[None]:
        """As in `ISharedSource`."""
        return self._within(Deferred.fromCoroutine(self._caught_up(key)))

    def apply(self, events: Sequence[Event]) -> Deferred[list[EventOutcome]]:
        """Refuses events: an edge keeps no state of its own.

        Fails:
            Misdirected: there are events.
        """
        if not events:
            return succeed([])
        return fail(Misdirected(f"This server is an edge and takes no events: post them to {self._core}/events."))

    async def _caught_up(self, key: UUID) -> None:
        await self._mirrors.catch_up(self.subject, key)

    async def _copied(self, mirror: Mirror) -> None:
        """Waits until a copy is current."""
        if not mirror.current:
            await self._within(mirror.answered.wait())

    def _within(self, answer: Deferred[Any]) -> Deferred[Any]:
        """The same Deferred, which fails with `Unavailable` if the core does not answer in time."""
        return answer.addTimeout(ANSWER_TIMEOUT, self._clock).addErrback(self._silent)

    def _silent(self, failure: Failure) -> Any:
        failure.trap(TimeoutError)
        raise Unavailable(f"The core {self._core} does not answer.")

    async def _joined(self, mirror: Mirror, listeners: MirrorListeners[Any], listener: object) -> None:
        """Adds a listener, which is called from the moment this returns."""
        listeners.add(listener)
        try:
            await self._copied(mirror)
        except BaseException:
            listeners.remove(listener)
            raise
        listeners.begin(listener)


@implementer(ISessionSource, IRelayedSource, IPlayerSessions, IForecastingSessions)
class UpstreamSessions(_UpstreamSource):
    """Sessions."""

    subject = Subject.SESSION

    def get(self, session_id: UUID) -> Deferred[SessionState | None]:
        """As in `ISessionSource`. Follows the session for a while, since a watch usually comes next."""
        return Deferred.fromCoroutine(self._get(session_id))

    def watch(self, session_id: UUID, listener: ISessionListener) -> Deferred[SessionState | None]:
        """As in `ISessionSource`."""
        return Deferred.fromCoroutine(self._watch(session_id, listener))

    def unwatch(self, session_id: UUID, listener: ISessionListener) -> None:
        """As in `ISessionSource`."""
        mirror = self._mirrors.find(SessionMirror, session_id)
        if mirror is not None:
            mirror.session_listeners.remove(listener)

    def count(self) -> Deferred[int]:
        """As in `ISessionSource`: the sessions that are followed here."""
        return succeed(self._mirrors.counts.get(Subject.SESSION.value, 0))

    def forecast_sessions(self) -> None:
        """As in `IForecastingSessions`."""
        self._mirrors.expected = True

    def expectation(self, state: SessionState) -> Expectation | None:
        """As in `IForecastingSessions`: what the core expects."""
        mirror = self._mirrors.find(SessionMirror, state.session_id)
        return None if mirror is None or mirror.state is not state else mirror.expected

    def watch_player(self, player_id: UUID, listener: IPlayerListener) -> Deferred[Sequence[UUID]]:
        """As in `IPlayerSessions`."""
        return Deferred.fromCoroutine(self._watch_player(player_id, listener))

    def unwatch_player(self, player_id: UUID, listener: IPlayerListener) -> None:
        """As in `IPlayerSessions`."""
        mirror = self._mirrors.find(PlayerMirror, player_id)
        if mirror is not None:
            mirror.listeners.remove(listener)

    async def _get(self, session_id: UUID) -> SessionState | None:
        mirror = self._mirrors.open(SessionMirror, session_id)
        await self._copied(mirror)
        return mirror.state

    async def _watch(self, session_id: UUID, listener: ISessionListener) -> SessionState | None:
        mirror = self._mirrors.open(SessionMirror, session_id)
        await self._joined(mirror, mirror.session_listeners, listener)
        return mirror.state

    async def _watch_player(self, player_id: UUID, listener: IPlayerListener) -> Sequence[UUID]:
        # Requested each time: the copy does not know which of the sessions have ended.
        mirror = self._mirrors.open(PlayerMirror, player_id, again=True)
        await self._joined(mirror, mirror.listeners, listener)
        return mirror.sessions


@implementer(IMaterialSource, IRelayedSource, IRecallingSource)
class UpstreamMaterials(_UpstreamSource):
    """Materials, which the core sends with their session."""

    subject = Subject.SESSION

    def get(self, session_id: UUID) -> Deferred[MaterialsState]:
        """As in `IMaterialSource`."""
        return Deferred.fromCoroutine(self._get(session_id))

    def watch(self, session_id: UUID, listener: IMaterialListener) -> Deferred[MaterialsState]:
        """As in `IMaterialSource`."""
        return Deferred.fromCoroutine(self._watch(session_id, listener))

    def unwatch(self, session_id: UUID, listener: IMaterialListener) -> None:
        """As in `IMaterialSource`."""
        mirror = self._mirrors.find(SessionMirror, session_id)
        if mirror is not None:
            mirror.material_listeners.remove(listener)

    def recall(self, session_id: UUID, version: int) -> Deferred[Sequence[MaterialsChange]]:
        """As in `IRecallingSource`."""
        return self._within(Deferred.fromCoroutine(self._recall(session_id, version)))

    async def _get(self, session_id: UUID) -> MaterialsState:
        if session_id == NIL:
            return MaterialsState(session_id)
        mirror = self._mirrors.open(SessionMirror, session_id)
        await self._copied(mirror)
        return mirror.materials

    async def _watch(self, session_id: UUID, listener: IMaterialListener) -> MaterialsState:
        mirror = self._mirrors.open(SessionMirror, session_id)
        await self._joined(mirror, mirror.material_listeners, listener)
        return mirror.materials

    async def _recall(self, session_id: UUID, version: int) -> Sequence[MaterialsChange]:
        return list((await self._mirrors.recall(Subject.SESSION, session_id, version)).materials)


@implementer(IQueueSource, IRelayedSource, IRecallingSource)
class UpstreamQueues(_UpstreamSource):
    """Queue entries."""

    subject = Subject.QUEUE

    def get(self, player_id: UUID) -> Deferred[QueueState]:
        """As in `IQueueSource`."""
        return Deferred.fromCoroutine(self._get(player_id))

    def find(self, session_id: UUID) -> Deferred[QueueEntry | None]:
        """As in `IQueueSource`."""
        return self._within(Deferred.fromCoroutine(self._find(session_id)))

    def watch(self, player_id: UUID, listener: IQueueListener) -> Deferred[QueueState]:
        """As in `IQueueSource`."""
        return Deferred.fromCoroutine(self._watch(player_id, listener))

    def unwatch(self, player_id: UUID, listener: IQueueListener) -> None:
        """As in `IQueueSource`."""
        mirror = self._mirrors.find(QueueMirror, player_id)
        if mirror is not None:
            mirror.listeners.remove(listener)

    def recall(self, player_id: UUID, version: int) -> Deferred[Sequence[QueueChange]]:
        """As in `IRecallingSource`."""
        return self._within(Deferred.fromCoroutine(self._recall(player_id, version)))

    async def _get(self, player_id: UUID) -> QueueState:
        if player_id == NIL:
            return QueueState(player_id)
        mirror = self._mirrors.open(QueueMirror, player_id)
        await self._copied(mirror)
        return mirror.state

    async def _find(self, session_id: UUID) -> QueueEntry | None:
        return (await self._mirrors.find_entry(session_id)).entry

    async def _watch(self, player_id: UUID, listener: IQueueListener) -> QueueState:
        mirror = self._mirrors.open(QueueMirror, player_id)
        await self._joined(mirror, mirror.listeners, listener)
        return mirror.state

    async def _recall(self, player_id: UUID, version: int) -> Sequence[QueueChange]:
        return list((await self._mirrors.recall(Subject.QUEUE, player_id, version)).queue)
