"""The listeners on this node, and the version that each thing's listeners have. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Generic
from uuid import UUID

from craftnet.providers.redis.aggregates import Aggregate, Change, Listener, State
from craftnet.providers.redis.stream_positions import StreamPosition


class _Topic(Generic[State, Listener]):
    """One thing that is watched.

    Attributes:
        key: its id.
        state: the newest known; `known` says whether there is one.
        end: the newest entry of the stream that the state includes; None when unknown.
        listeners: each with whether it has its answer, and therefore receives changes.
    """

    def __init__(self, key: UUID, state: State) -> None:
        self.key = key
        self.state = state
        self.known = False
        self.end: StreamPosition | None = None
        self.listeners: dict[Listener, bool] = {}


class Topics(Generic[State, Change, Listener]):
    """The watched things of one kind. Every listener of a thing receives the same, in the order of the versions."""

    def __init__(self, subject: Aggregate[State, Change, Listener]) -> None:
        self.subject = subject
        # Keyed by the integer of the id: UUIDs are hashed and compared in Python.
        self._topics: dict[int, _Topic[State, Listener]] = {}
        self._ids: dict[bytes, UUID] = {}  # of the watched things, as streams name them.

    def __contains__(self, key: UUID) -> bool:
        return key.int in self._topics

    def watched(self) -> Iterable[UUID]:
        """The ids."""
        return tuple(topic.key for topic in self._topics.values())

    def key(self, text: bytes) -> UUID | None:
        """The id of a watched thing, as streams name it; None for an unwatched one."""
        return self._ids.get(text)

    def add(self, key: UUID, listener: Listener) -> None:
        """Adds a listener that waits for an answer, and then for changes."""
        topic = self._topics.get(key.int)
        if topic is None:
            topic = self._topics[key.int] = _Topic(key, self.subject.blank(key, 0))
            self._ids[str(key).encode()] = key
        topic.listeners.setdefault(listener, False)

    def remove(self, key: UUID, listener: Listener) -> None:
        """Removes a listener. Unknown ones are ignored."""
        topic = self._topics.get(key.int)
        if topic is not None and topic.listeners.pop(listener, None) is not None and not topic.listeners:
            del self._topics[key.int]
            del self._ids[str(key).encode()]

    def answered(self, key: UUID, listener: Listener, state: State, end: StreamPosition | None = None) -> State:
        """The answer for `listener` after Redis answered `state`: the state of the other listeners, if there are any.

        Arguments:
            end: the end of the stream at that moment.

        Their changes are still to come if `state` is newer, and are delivered to all alike.
        """
        topic = self._topics.get(key.int)
        if topic is None or listener not in topic.listeners:
            return state
        if not topic.known:
            topic.state, topic.known, topic.end = state, True, end
        topic.listeners[listener] = True
        return topic.state

    def changed(self, key: UUID, version: int, change: Change, entry: StreamPosition | None = None) -> bool:
        """Handles a change. A known one is dropped; one after a gap is completed by changes that bridge the gap.

        Arguments:
            entry: its position in the stream.

        Returns:
            False when versions restarted: the change is newer than the known state, but its version is not. Nothing is
            delivered then.
        """
        topic = self._topics.get(key.int)
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
        """The thing was removed; it may start again, a queue with the next version."""
        topic = self._topics.get(key.int)
        if topic is not None:
            topic.end = entry
            self._replace(topic, self.subject.blank(key, self._version(topic.state)))

    def differs(self, key: UUID, state: State) -> bool:
        """Whether its listeners have another state."""
        topic = self._topics.get(key.int)
        return topic is not None and topic.known and topic.state != state

    def replaced(self, key: UUID, state: State, end: StreamPosition | None = None) -> None:
        """Takes the stored state, whose versions do not continue those that were delivered."""
        topic = self._topics.get(key.int)
        if topic is not None and topic.known:
            topic.end = end
            self._replace(topic, state)

    def reached(self, key: UUID, state: State, end: StreamPosition | None = None) -> None:
        """Takes the stored state; delivered only if it is newer than the known one."""
        topic = self._topics.get(key.int)
        if topic is not None and topic.known and self._version(topic.state) < self._version(state):
            topic.end = end
            self._replace(topic, state)

    def version(self, key: UUID) -> int:
        """The version that its listeners have; 0 when they have none."""
        topic = self._topics.get(key.int)
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
        """The listeners that receive changes."""
        for listener, answered in tuple(topic.listeners.items()):
            if answered and listener in topic.listeners:  # delivering to one may remove another.
                yield listener
