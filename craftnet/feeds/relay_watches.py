"""The subjects that an edge watches in its core: each listens to the sources and sends the edge its messages.

If the sources do not remember changes themselves, a subject also joins its feed, so that this node has the recent
changes for watchers that come from the edge.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol
from uuid import UUID

from twisted.internet.defer import Deferred
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.crafting.progress import Expectation, Tolerance, confirms, confirms_forecast
from craftnet.crafting.state import MaterialsChange, QueueChange, QueueState, SessionState
from craftnet.errors import NotFound, Refusal
from craftnet.feeds.forecast_feed import Forecaster
from craftnet.feeds.hub import Hub
from craftnet.feeds.player_feed import Member
from craftnet.interfaces import (
    IMaterialListener,
    IPlayerListener,
    IPlayerSessions,
    IQueueListener,
    IRecallingSource,
    ISessionListener,
    ISubscriber,
)
from craftnet.providers.sources import Sources
from craftnet.relay.messages import (
    Followed,
    RelayedMaterials,
    RelayedProgress,
    RelayedQueue,
    RelayedReset,
    RelayedSession,
    RelayMessage,
    SessionStarted,
    Subject,
    bare,
)


class WatchingEdge(Protocol):
    """The edge, as its watches see it."""

    sources: Sources
    hub: Hub
    clock: IClock
    tolerance: Tolerance
    subscriber: ISubscriber

    def send(self, message: RelayMessage) -> None:
        """Sends a message."""


class RelayWatch(ABC):
    """One subject that an edge watches.

    Arguments:
        forecaster: forecasts crafts; None: the edge does not ask for that, or nothing does.
    """

    def __init__(self, edge: WatchingEdge, key: UUID, forecaster: Forecaster | None = None) -> None:
        self._edge = edge
        self._forecaster = forecaster
        self._sources = edge.sources
        self._key = key
        self._answered = False
        self._closed = False

    async def open(self) -> None:
        """Listens, and sends the current state."""
        answer = await self.read()
        if self._closed:
            self.unlisten()  # `close` may have been called while `read` was running.
            return
        self._answered = True
        self._edge.send(answer)

    def close(self) -> None:
        """Stops listening."""
        self._closed = True
        self.unlisten()

    def send_withheld(self) -> None:  # noqa: B027 - most things withhold nothing.
        """Sends states that the edge needs only once a watcher comes."""

    @abstractmethod
    async def read(self) -> Followed:
        """Listens to the sources, and returns the current state."""

    @abstractmethod
    def unlisten(self) -> None:
        """Stops listening. May be called twice."""

    def _member(self) -> Member:
        """A member that joins a feed only to keep it open."""
        return Member(lambda update: None, lambda code: None, self._edge.subscriber)


@implementer(ISessionListener, IMaterialListener)
class SessionRelayWatch(RelayWatch):
    """A session and its materials.

    A progress that only confirms the edge's extrapolation is withheld. The positions of watchers still contain its
    version: the edge receives it before it answers a new watcher (`CatchUp`).
    """

    def __init__(self, edge: WatchingEdge, key: UUID, forecaster: Forecaster | None = None) -> None:
        super().__init__(edge, key, forecaster)
        self._state: SessionState | None = None
        self._sent: SessionState | None = None  # the state that the edge has.
        self._sent_expectation: Expectation | None = None
        self._changed = False
        self._joined: Member | None = None

    async def read(self) -> Followed:
        """As in `RelayWatch`."""
        state = await self._sources.sessions.watch(self._key, self)
        if not self._changed:
            self._state = state
        await self._keep_history()
        materials = await self._sources.materials.watch(self._key, self)  # last, so that any later change is sent.
        self._sent, self._sent_expectation = self._state, self._expectation(self._state)
        return Followed(
            Subject.SESSION,
            self._key,
            session=bare(self._state),
            materials=bare(materials),
            expected=self._sent_expectation,
        )

    def unlisten(self) -> None:
        """As in `RelayWatch`."""
        self._sources.sessions.unwatch(self._key, self)
        self._sources.materials.unwatch(self._key, self)
        joined, self._joined = self._joined, None
        if joined is not None:
            self._edge.hub.unsubscribe_session(self._key, joined)

    def session_changed(self, state: SessionState | None) -> None:
        """As in `ISessionListener`."""
        before, self._state, self._changed = self._state, state, True
        if not self._answered:
            return
        if not self._is_confirmed(state):
            self._send(state)
        if before is None and state is not None:
            Deferred.fromCoroutine(self._keep_history())

    def materials_changed(self, change: MaterialsChange) -> None:
        """As in `IMaterialListener`."""
        if self._answered:
            self._edge.send(RelayedMaterials(bare(change)))

    def send_withheld(self) -> None:
        """As in `RelayWatch`."""
        if self._answered and self._state is not self._sent:
            self._send(self._state)

    def _is_confirmed(self, state: SessionState | None) -> bool:
        """Whether the edge extrapolates to this state from what it has."""
        sent, now, tolerance = self._sent, self._edge.clock.seconds(), self._edge.tolerance
        if sent is None or state is None or not confirms(sent.progress, state.progress, now, tolerance):
            return False
        expected = self._expectation(state)
        return confirms_forecast(sent.progress, self._sent_expectation, state.progress, expected, now, tolerance)

    def _expectation(self, state: SessionState | None) -> Expectation | None:
        return None if self._forecaster is None or state is None else self._forecaster.expectation(state)

    def _send(self, state: SessionState | None) -> None:
        sent, self._sent, self._sent_expectation = self._sent, state, self._expectation(state)
        if sent is None or state is None:
            self._edge.send(RelayedSession(self._key, bare(state), self._sent_expectation))
        else:
            self._edge.send(RelayedProgress.of(state, self._sent_expectation))

    async def _keep_history(self) -> None:
        if self._state is None or IRecallingSource.providedBy(self._sources.materials):
            return
        joined = self._joined = self._member()
        try:
            await self._edge.hub.subscribe_session(self._key, joined)
        except Refusal:
            self._joined = None


@implementer(IQueueListener)
class QueueRelayWatch(RelayWatch):
    """A player's queue entries."""

    _joined: Member | None = None

    async def read(self) -> Followed:
        """As in `RelayWatch`."""
        if not IRecallingSource.providedBy(self._sources.queues):
            self._joined = self._member()
            await self._edge.hub.subscribe_queue(self._key, self._joined)
        state = await self._sources.queues.watch(self._key, self)
        return Followed(Subject.QUEUE, self._key, queue=bare(state))

    def unlisten(self) -> None:
        """As in `RelayWatch`."""
        self._sources.queues.unwatch(self._key, self)
        joined, self._joined = self._joined, None
        if joined is not None:
            self._edge.hub.unsubscribe_queue(self._key, joined)

    def queue_changed(self, change: QueueChange) -> None:
        """As in `IQueueListener`."""
        if self._answered:
            self._edge.send(RelayedQueue(bare(change)))

    def queue_reset(self, state: QueueState) -> None:
        """As in `IQueueListener`."""
        if self._answered:
            self._edge.send(RelayedReset(bare(state)))


@implementer(IPlayerListener)
class PlayerRelayWatch(RelayWatch):
    """A player's sessions."""

    def __init__(self, edge: WatchingEdge, key: UUID, forecaster: Forecaster | None = None) -> None:
        super().__init__(edge, key, forecaster)
        self._started: list[UUID] = []  # sessions that started before the answer.

    async def read(self) -> Followed:
        """As in `RelayWatch`."""
        sessions = self._sources.sessions
        if not IPlayerSessions.providedBy(sessions):
            raise NotFound("The back end of the core does not know a player's sessions: name a session.")
        under_way = await sessions.watch_player(self._key, self)
        return Followed(Subject.PLAYER, self._key, sessions=tuple(dict.fromkeys([*under_way, *self._started])))

    def unlisten(self) -> None:
        """As in `RelayWatch`."""
        sessions = self._sources.sessions
        if IPlayerSessions.providedBy(sessions):
            sessions.unwatch_player(self._key, self)

    def session_started(self, session_id: UUID) -> None:
        """As in `IPlayerListener`."""
        if self._answered:
            self._edge.send(SessionStarted(self._key, session_id))
        else:
            self._started.append(session_id)


KINDS: dict[Subject, type[RelayWatch]] = {
    Subject.SESSION: SessionRelayWatch,
    Subject.QUEUE: QueueRelayWatch,
    Subject.PLAYER: PlayerRelayWatch,
}
"""The class for each subject."""
