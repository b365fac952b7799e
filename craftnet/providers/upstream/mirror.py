"""An edge's copy of one subject: its listeners, and the effect of the core's messages. Pure.

A copy outlives a connection to the core. After an interruption the core's answer replaces it, and listeners receive the
difference.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from craftnet.crafting.material_rules import materials_between
from craftnet.crafting.progress import Expectation
from craftnet.crafting.queue_rules import queue_between
from craftnet.crafting.state import MaterialsChange, MaterialsState, QueueChange, QueueState, SessionState, shifted
from craftnet.interfaces import IMaterialListener, IPlayerListener, IQueueListener, ISessionListener
from craftnet.relay.messages import (
    Followed,
    RelayedForecast,
    RelayedMaterials,
    RelayedProgress,
    RelayedQueue,
    RelayedReset,
    RelayedSession,
    SessionStarted,
    Subject,
)
from craftnet.runtime.deferreds import Waiters

Change = RelayedSession | RelayedProgress | RelayedMaterials | RelayedQueue | RelayedReset | SessionStarted

Listener = TypeVar("Listener")
Step = TypeVar("Step", MaterialsChange, QueueChange)


class MirrorListeners(Generic[Listener]):
    """The listeners of one copy. A listener that is added twice is called once."""

    def __init__(self) -> None:
        self._listeners: dict[Listener, bool] = {}  # whether each has the state and receives changes.

    def __len__(self) -> int:
        return len(self._listeners)

    def add(self, listener: Listener) -> None:
        """Adds a listener that waits for the state."""
        self._listeners.setdefault(listener, False)

    def begin(self, listener: Listener) -> None:
        """Calls the listener from now on, unless it was removed while it waited."""
        if listener in self._listeners:
            self._listeners[listener] = True

    def remove(self, listener: Listener) -> None:
        """Removes a listener. Unknown ones are ignored."""
        self._listeners.pop(listener, None)

    def call(self, notify: Callable[[Listener], None]) -> None:
        """Calls `notify` with each listener that has the state."""
        for listener in tuple(self._listeners):
            if self._listeners.get(listener):  # a listener may remove another one.
                notify(listener)


class Mirror(ABC):
    """The copy of one subject.

    Attributes:
        key: the id of the subject.
        epoch: the epoch of the copy's versions; None until the core has answered once.
        current: whether the copy equals the core's state as far as the core has sent it.
        left: when the copy was last requested, or lost its last listener; on the steady clock, seconds.
        answered: fires when the copy becomes current.
    """

    subject: ClassVar[Subject]

    def __init__(self, key: UUID, now: float) -> None:
        self.key = key
        self.epoch: str | None = None
        self.current = False
        self.left = now
        self.answered: Waiters[None] = Waiters()

    @property
    @abstractmethod
    def listened(self) -> bool:
        """Whether the copy has listeners, or listeners that wait for the state."""

    @property
    def lost_at(self) -> float | None:
        """When the core reported the subject as lost, which may come back; None if it did not."""
        return None

    def take(self, answer: Followed, epoch: str | None, now: float) -> None:
        """Replaces the copy with the core's answer, and notifies listeners of the difference."""
        first, same = self.epoch is None, self.epoch == epoch
        self.epoch, self.current = epoch, True
        self._replace(answer, first=first, same=same, now=now)

    def give_up(self) -> None:  # noqa: B027 - most things are never lost.
        """The subject did not come back."""

    @abstractmethod
    def change(self, message: Change, ahead: float) -> bool:
        """Applies a change and notifies listeners; returns False if changes before this one are missing.

        Arguments:
            ahead: seconds by which the core's clock, whose times the message has, is ahead of this server's.
        """

    @abstractmethod
    def _replace(self, answer: Followed, *, first: bool, same: bool, now: float) -> None:
        """Replaces the copy.

        Arguments:
            first: no listener has received a state yet.
            same: the copy's versions are still valid in the core.
        """


class SessionMirror(Mirror):
    """A session and its materials.

    Attributes:
        expected: how long the core expects the craft to take, from the anchor of `state`; None if it does not say.
    """

    subject = Subject.SESSION

    def __init__(self, key: UUID, now: float) -> None:
        super().__init__(key, now)
        self.state: SessionState | None = None
        self.expected: Expectation | None = None
        self.materials = MaterialsState(key)
        self.session_listeners: MirrorListeners[ISessionListener] = MirrorListeners()
        self.material_listeners: MirrorListeners[IMaterialListener] = MirrorListeners()
        self._lost_at: float | None = None

    @property
    def listened(self) -> bool:
        """As in `Mirror`."""
        return bool(len(self.session_listeners) or len(self.material_listeners))

    @property
    def lost_at(self) -> float | None:
        """As in `Mirror`."""
        return self._lost_at

    def _replace(self, answer: Followed, *, first: bool, same: bool, now: float) -> None:
        old, old_materials = self.state, self.materials
        self.state, self.materials = answer.session, answer.materials or MaterialsState(self.key)
        self.expected = answer.expected
        if first:
            return
        if self.state is None and (self._lost_at is not None or (old is not None and not same)):
            # A core that keeps its state in memory has restarted: the authority may restore the session.
            self._lost_at = now if self._lost_at is None else self._lost_at
            return
        self._lost_at = None
        if _is_news(old, self.state, same=same):
            self.session_listeners.call(lambda each: each.session_changed(self.state))
        if old_materials.version < self.materials.version or (not same and self.materials != old_materials):
            for change in materials_between(old_materials, self.materials):
                self.material_listeners.call(lambda each: each.materials_changed(change))  # noqa: B023 - called at once.

    def give_up(self) -> None:
        """As in `Mirror`: the session has ended."""
        self._lost_at = None
        self.session_listeners.call(lambda each: each.session_changed(None))

    def change(self, message: Change, ahead: float) -> bool:
        """As in `Mirror`."""
        match message:
            case RelayedSession(state=state):
                state = None if state is None else shifted(state, -ahead)
                if state is not None and self._lost_at is not None:
                    return False  # the session is back; its materials are needed at the same time.
                if _is_news(self.state, state, same=True):
                    self.state, self.expected = state, message.expected
                    self.session_listeners.call(lambda each: each.session_changed(state))
            case RelayedProgress():
                if self.state is None or self._lost_at is not None:
                    return False
                if message.version > self.state.version:
                    self.expected = message.expected if isinstance(message, RelayedForecast) else None
                    self.state = state = message.after(self.state, ahead)
                    self.session_listeners.call(lambda each: each.session_changed(state))
            case RelayedMaterials(change=change):
                complete, new = _step(self.materials.version, change, ahead)
                if new is not None:
                    self.materials = new.state
                    self.material_listeners.call(lambda each: each.materials_changed(new))
                return complete
        return True


class QueueMirror(Mirror):
    """A player's queue entries."""

    subject = Subject.QUEUE

    def __init__(self, key: UUID, now: float) -> None:
        super().__init__(key, now)
        self.state = QueueState(key)
        self.listeners: MirrorListeners[IQueueListener] = MirrorListeners()

    @property
    def listened(self) -> bool:
        """As in `Mirror`."""
        return bool(len(self.listeners))

    def _replace(self, answer: Followed, *, first: bool, same: bool, now: float) -> None:
        old, self.state = self.state, answer.queue or QueueState(self.key)
        if first or (same and self.state.version <= old.version) or self.state == old:
            return
        changes = queue_between(old, self.state)
        for change in changes:
            self.listeners.call(lambda each: each.queue_changed(change))  # noqa: B023 - called at once.
        if not changes:
            self.listeners.call(lambda each: each.queue_reset(self.state))

    def change(self, message: Change, ahead: float) -> bool:
        """As in `Mirror`."""
        match message:
            case RelayedQueue(change=change):
                complete, new = _step(self.state.version, change, ahead)
                if new is not None:
                    self.state = new.state
                    self.listeners.call(lambda each: each.queue_changed(new))
                return complete
            case RelayedReset(state=state):
                self.state = state
                self.listeners.call(lambda each: each.queue_reset(state))
        return True


class PlayerMirror(Mirror):
    """A player's sessions that have started and not ended."""

    subject = Subject.PLAYER

    def __init__(self, key: UUID, now: float) -> None:
        super().__init__(key, now)
        self.sessions: tuple[UUID, ...] = ()
        self.listeners: MirrorListeners[IPlayerListener] = MirrorListeners()

    @property
    def listened(self) -> bool:
        """As in `Mirror`."""
        return bool(len(self.listeners))

    def _replace(self, answer: Followed, *, first: bool, same: bool, now: float) -> None:
        known, self.sessions = self.sessions, answer.sessions
        for session_id in answer.sessions if not first else ():
            if session_id not in known:
                self._notify(session_id)

    def change(self, message: Change, ahead: float) -> bool:
        """As in `Mirror`."""
        if isinstance(message, SessionStarted) and message.session_id not in self.sessions:
            self.sessions = (*self.sessions, message.session_id)
            self._notify(message.session_id)
        return True

    def _notify(self, session_id: UUID) -> None:
        self.listeners.call(lambda each: each.session_started(session_id))


def _step(known: int, change: Step, ahead: float) -> tuple[bool, Step | None]:
    """Whether no change is missing after `known`, and the change on this server's clock if it is the next one."""
    version = change.state.version
    return version <= known + 1, shifted(change, -ahead) if version == known + 1 else None


def _is_news(old: SessionState | None, new: SessionState | None, *, same: bool) -> bool:
    """Whether a state is new. Within one epoch, a version that is not higher is already known."""
    if old is None or new is None:
        return old is not new
    return new.version > old.version or not same
