"""Which worker keeps a player's state. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID
from zlib import crc32

from msgspec import Struct


class Shards(Struct, frozen=True):
    """The workers among which players are divided, as one of them sees them.

    Attributes:
        number: the number of this process, from 0.
        count: the number of workers.
    """

    number: int
    count: int

    def of(self, player_id: UUID) -> int:
        """The number of the worker that keeps this player's state, in every process and after every restart."""
        return crc32(player_id.bytes) % self.count  # the bits of an id need not be random.

    def owns(self, player_id: UUID) -> bool:
        """Whether this process keeps the player's state."""
        return self.of(player_id) == self.number

    @property
    def others(self) -> Sequence[int]:
        """The numbers of the other workers."""
        return [number for number in range(self.count) if number != self.number]

    def share(self, total: int) -> int:
        """This process's number of things when `total` of them are divided evenly."""
        return total // self.count + (self.number < total % self.count)
