"""What the keys in Redis are called, and which partition a thing belongs to. Pure."""

from __future__ import annotations

from uuid import UUID
from zlib import crc32

PARTITIONS = 16
"""Into how many streams changes are spread. Every node must agree, so it is no option."""


def partition_of(key: UUID) -> int:
    """Where the changes of a session, or of a player's queues, go."""
    return crc32(key.bytes) % PARTITIONS


class KeyNames:
    """The names below one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @property
    def data_set(self) -> str:
        """The data set's own name, set once."""
        return f"{self._prefix}:epoch"

    @property
    def epoch(self) -> str:
        """Which server is the master, and the name of what it has kept since it is."""
        return f"{self._prefix}:era"

    @property
    def waiters(self) -> str:
        """A hash: of each session that waits in a queue, its player and its place."""
        return f"{self._prefix}:waiters"

    @property
    def events(self) -> str:
        """A stream: the events that the authority adds."""
        return f"{self._prefix}:events"

    @property
    def lease(self) -> str:
        """Which node takes events from that stream now."""
        return f"{self._prefix}:lease"

    @property
    def nothing(self) -> str:
        """A stream that nobody writes to."""
        return f"{self._prefix}:nothing"

    # Keys may be given as text: to write a UUID out takes longer than all the rest of a name.

    def state(self, subject: str, key: UUID | str) -> str:
        """A hash: the version and the state of one thing."""
        return f"{self._prefix}:{subject}:{key}"

    def seen(self, subject: str, key: UUID | str) -> str:
        """A sorted set: the ids of the events that were accepted, by the versions they led to."""
        return f"{self._prefix}:seen:{subject}:{key}"

    def due(self, subject: str) -> str:
        """A sorted set: everything of one kind, by when it is to be forgotten."""
        return f"{self._prefix}:due:{subject}"

    def floor(self, subject: str) -> str:
        """The highest version of anything that was forgotten."""
        return f"{self._prefix}:floor:{subject}"

    def recent(self, subject: str, key: UUID | str) -> str:
        """A list: where in the stream the newest changes of one thing are, each behind its version."""
        return f"{self._prefix}:recent:{subject}:{key}"

    def changes(self, partition: int) -> str:
        """A stream: the changes of one partition."""
        return f"{self._prefix}:changes:{partition}"

    @property
    def numbers(self) -> str:
        """A hash: of each of these streams, the number of the newest change. They have no gaps: a reader counts."""
        return f"{self._prefix}:numbers"

    @property
    def revoked(self) -> str:
        """A sorted set: the tokens (t…) and players (p…) that are revoked, by when that is over."""
        return f"{self._prefix}:revoked"

    @property
    def revoked_players(self) -> str:
        """A hash: of each of these players, when the newest of the revoked tokens may have been issued."""
        return f"{self._prefix}:revoked:players"

    @property
    def revocations(self) -> str:
        """A stream: the newest revocations, numbered."""
        return f"{self._prefix}:revocations"

    @property
    def nodes(self) -> str:
        """A sorted set: the nodes, by when their leases run out (milliseconds, on Redis' clock)."""
        return f"{self._prefix}:nodes"

    def slots(self, node: str) -> str:
        """A hash: of each player with connections to this node, how many."""
        return f"{self._prefix}:places:{node}"
