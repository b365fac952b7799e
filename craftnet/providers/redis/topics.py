"""Who watches what on this node, and which version each of them has been told. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic
from uuid import UUID

from craftnet.providers.redis.aggregates import Aggregate, Change, Listener, State
from craftnet.providers.redis.stream_positions import StreamPosition


class _Topic(Generic[State, Listener]):
    """One thing that is watched.

    Attributes:
        state: the newest known; `known` says whether one is.
        end: the newest entry of the stream that the state includes; None where nobody says.
        listeners: each with whether it has its answer, and so is told changes.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.known = False
        self.end: StreamPosition | None = None
        self.listeners: dict[Listener, bool] = {}


class Topics(Generic[State, Change, Listener]):
    """The watched things of one kind. Every listener of a thing is told the same, in the order of the versions."""

    def __init__(self, subject: Aggregate[State, Change, Listener]) -> None:
        self.subject = subject
        self._topics: dict[UUID, _Topic[State, Listener]] = {}
        self._ids: dict[bytes, UUID] = {}  # of the watched things, as streams name them.

    def __contains__(self, key: UUID) -> bool:
        return key in self._topics

    def watched(self) -> Iterable[UUID]:
        """The ids."""
        return tuple(self._topics)

    def key(self, text: bytes) -> UUID | None:
        """The id of a watched thing, as streams name it; None for what nobody watches."""
        return self._ids.get(text)

    def add(self, key: UUID, listener: Listener) -> None:
        """Somebody waits for an answer, and then for changes."""
        topic = self._topics.get(key)
        if topic is None:
            topic = self._topics[key] = _Topic(self.subject.blank(key, 0))
            self._ids[str(key).encode()] = key
        topic.listeners.setdefault(listener, False)

    def remove(self, key: UUID, listener: Listener) -> None:
        """Nobody any more. Unknown ones are no error."""
        topic = self._topics.get(key)
        if topic is not None and topic.listeners.pop(listener, None) is not None and not topic.listeners:
            del self._topics[key]
            del self._ids[str(key).encode()]

    def answered(self, key: UUID, listener: Listener, state: State, end: StreamPosition | None = None) -> State:
        """The answer for `listener`, where Redis said `state`: what the others were told, if there are others.

        Arguments:
            end: where the stream ended at that moment.

        Their changes are still to come if `state` is newer, and are told to all alike.
        """
        topic = self._topics.get(key)
        if topic is None or listener not in topic.listeners:
            return state
        if not topic.known:
            topic.state, topic.known, topic.end = state, True, end
        topic.listeners[listener] = True
        return topic.state

    def changed(self, key: UUID, version: int, change: Change, entry: StreamPosition | None = None) -> bool:
        """A change came. One that is known already is dropped; one that comes without those before it is made whole.

        Arguments:
            entry: where in the stream it was.

        Returns:
            False when versions began again: the change is newer than the known state, and its version is not. Nothing
            is told of it then.
        """
        topic = self._topics.get(key)
        if topic is None:
            return True
        missing = version - self._version(topic.state) - 1
        if topic.known and missing < 0:
            return entry is None or topic.end is None or entry.order <= topic.end.order
        topic.end = entry
        if not topic.known or missing == 0:
            topic.state, topic.known = self.subject.after(change), True
            self._notify(topic, change)
        else:
            self._replace(topic, self.subject.after(change))
        return True

    def forgotten(self, key: UUID, entry: StreamPosition | None = None) -> None:
        """The thing is over and forgotten; it may begin anew, a queue with the next version."""
        topic = self._topics.get(key)
        if topic is not None:
            topic.end = entry
            self._replace(topic, self.subject.blank(key, self._version(topic.state)))

    def differs(self, key: UUID, state: State) -> bool:
        """Whether those who watch were told something else."""
        topic = self._topics.get(key)
        return topic is not None and topic.known and topic.state != state

    def replaced(self, key: UUID, state: State, end: StreamPosition | None = None) -> None:
        """What Redis keeps now, in other versions than those that were told."""
        topic = self._topics.get(key)
        if topic is not None and topic.known:
            topic.end = end
            self._replace(topic, state)

    def reached(self, key: UUID, state: State, end: StreamPosition | None = None) -> None:
        """What Redis keeps; told only if it is newer than what was heard of."""
        topic = self._topics.get(key)
        if topic is not None and topic.known and self._version(topic.state) < self._version(state):
            topic.end = end
            self._replace(topic, state)

    def version(self, key: UUID) -> int:
        """What those who watch were told; 0 when they were told nothing."""
        topic = self._topics.get(key)
        return 0 if topic is None else self._version(topic.state)

    def _version(self, state: State) -> int:
        return self.subject.version(state)

    def _replace(self, topic: _Topic[State, Listener], state: State) -> None:
        different = topic.state != state
        changes = self.subject.between(topic.state, state) if different else ()
        topic.state, topic.known = state, True
        for change in changes:
            self._notify(topic, change)
        if different and not changes:
            for listener in self._answered(topic):
                self.subject.reset(listener, state)

    def _notify(self, topic: _Topic[State, Listener], change: Change) -> None:
        for listener in self._answered(topic):
            self.subject.notify(listener, change)

    def _answered(self, topic: _Topic[State, Listener]) -> Iterator[Listener]:
        """Those who are told changes."""
        for listener, answered in tuple(topic.listeners.items()):
            if answered and listener in topic.listeners:  # telling one may make another leave.
                yield listener
