"""The names of keys in Redis, and the partition of a thing. Pure."""

from __future__ import annotations

from uuid import UUID
from zlib import crc32

PARTITIONS = 16
"""The number of streams of changes. Every node must agree, so it is not an option."""


def partition_of(key: UUID) -> int:
    """The partition for the changes of a session, or of a player's queue entries."""
    return crc32(key.bytes) % PARTITIONS


class KeyNames:
    """The names with one prefix."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    @property
    def data_set(self) -> str:
        """The data set's own name, set once."""
        return f"{self._prefix}:epoch"

    @property
    def epoch(self) -> str:
        """The replication id of the master, and the name of its epoch."""
        return f"{self._prefix}:era"

    @property
    def waiters(self) -> str:
        """A hash: the player and the entry of each session that waits in a queue."""
        return f"{self._prefix}:waiters"

    @property
    def events(self) -> str:
        """A stream: the events that the authority adds."""
        return f"{self._prefix}:events"

    @property
    def lease(self) -> str:
        """The node that consumes that stream now."""
        return f"{self._prefix}:lease"

    @property
    def nothing(self) -> str:
        """A stream to which nothing is ever added."""
        return f"{self._prefix}:nothing"

    # Keys may be given as text: formatting a UUID takes longer than all the rest of a name.

    def state(self, subject: str, key: UUID | str) -> str:
        """A hash: the version and the state of one thing."""
        return f"{self._prefix}:{subject}:{key}"

    def seen(self, subject: str, key: UUID | str) -> str:
        """A sorted set: the ids of accepted events, by the versions that they led to."""
        return f"{self._prefix}:seen:{subject}:{key}"

    def due(self, subject: str) -> str:
        """A sorted set: everything of one kind, by the time of its removal."""
        return f"{self._prefix}:due:{subject}"

    def floor(self, subject: str) -> str:
        """The highest version of anything that was removed."""
        return f"{self._prefix}:floor:{subject}"

    def recent(self, subject: str, key: UUID | str) -> str:
        """A list: the positions of one thing's newest changes in the stream, each after its version."""
        return f"{self._prefix}:recent:{subject}:{key}"

    def player_sessions(self, player_id: UUID) -> str:
        """A sorted set: a player's sessions that have started and not ended, by their start."""
        return f"{self._prefix}:player:{player_id}"

    def changes(self, partition: int) -> str:
        """A stream: the changes of one partition."""
        return f"{self._prefix}:changes:{partition}"

    @property
    def numbers(self) -> str:
        """A hash: the number of the newest change of each of these streams. Numbers have no gaps."""
        return f"{self._prefix}:numbers"

    @property
    def revoked(self) -> str:
        """A sorted set: the revoked tokens (t…) and players (p…), by the end of the revocation."""
        return f"{self._prefix}:revoked"

    @property
    def revoked_players(self) -> str:
        """A hash: for each of these players, the latest issue time of the revoked tokens."""
        return f"{self._prefix}:revoked:players"

    @property
    def revocations(self) -> str:
        """A stream: the newest revocations, numbered."""
        return f"{self._prefix}:revocations"

    def messages(self, node: str) -> str:
        """A stream: messages to one node for administrators; to all nodes, where it is no node's."""
        return f"{self._prefix}:messages:{node}"

    @property
    def nodes(self) -> str:
        """A sorted set: the nodes, by the expiry of their leases (milliseconds, on Redis' clock)."""
        return f"{self._prefix}:nodes"

    @property
    def entries(self) -> str:
        """A hash: what each node says of itself, sealed."""
        return f"{self._prefix}:entries"

    @property
    def entry_ends(self) -> str:
        """A sorted set: the nodes with an entry, by its expiry (milliseconds, on Redis' clock)."""
        return f"{self._prefix}:entries:due"

    def devices(self, player_id: UUID) -> str:
        """A hash: the version and the state of a player's devices."""
        return f"{self._prefix}:devices:{player_id}"

    @property
    def of_devices(self) -> KeyNames:
        """The names of which `entries` and `entry_ends` are of the nodes to which devices are connected."""
        return KeyNames(f"{self._prefix}:devices")

    @property
    def samples(self) -> str:
        """A stream: estimates of completed crafts, and what came of them."""
        return f"{self._prefix}:samples"

    @property
    def learned(self) -> str:
        """A hash: what was learned from them, and the position in the stream up to which it reaches."""
        return f"{self._prefix}:learned"

    def slots(self, node: str) -> str:
        """A hash: the number of connections of each player on this node."""
        return f"{self._prefix}:places:{node}"
