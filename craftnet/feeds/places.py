"""A player's places in queues, as a feed knows them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from craftnet.state import QueueChange, QueueEntry
from craftnet.waiting import Key, key


class Places:
    """What `IQueueSource.watch` answered, and the changes since, of which some may come before that answer."""

    def __init__(self) -> None:
        self._entries: dict[Key, QueueEntry] = {}
        # The entries of which there was news before the answer; None once that is here.
        self._overtaken: set[Key] | None = set()

    def __iter__(self) -> Iterator[QueueEntry]:
        return iter(tuple(self._entries.values()))

    def answered(self, entries: Iterable[QueueEntry]) -> None:
        """The answer is here. It is older than every change."""
        for entry in entries:
            if key(entry) not in (self._overtaken or ()):
                self._entries[key(entry)] = entry
        self._overtaken = None

    def changed(self, change: QueueChange) -> None:
        """There is news of an entry."""
        if self._overtaken is not None:
            self._overtaken.add(key(change.entry))
        if change.waiting:
            self._entries[key(change.entry)] = change.entry
        else:
            self._entries.pop(key(change.entry), None)
