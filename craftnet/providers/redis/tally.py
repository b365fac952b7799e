"""How many places each player has on this node, and what of that the cluster has still to be told. Pure.

The cluster is told numbers, not differences. After every answer the number that was sent is compared with the one that
is true by then: so it matters neither in which order commands are carried out, nor whether an answer is lost.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from uuid import UUID


class Tally:
    """This node's numbers."""

    def __init__(self) -> None:
        self._places: Counter[UUID] = Counter()
        self._untold: dict[UUID, None] = {}

    def __getitem__(self, player_id: UUID) -> int:
        return self._places[player_id]

    def __len__(self) -> int:
        """How many players the cluster has to be told about."""
        return len(self._untold)

    def enter(self, player_id: UUID) -> int:
        """One more; how many there are now. The cluster is asked about it, not told."""
        self._places[player_id] += 1
        return self._places[player_id]

    def leave(self, player_id: UUID) -> None:
        """One fewer."""
        self._places[player_id] -= 1
        if not self._places[player_id]:
            del self._places[player_id]
        self.doubt(player_id)

    def doubt(self, player_id: UUID) -> None:
        """What the cluster was told of this player, nobody knows."""
        self._untold[player_id] = None

    def told(self, player_id: UUID, number: int) -> None:
        """The cluster has taken this number."""
        if self._places[player_id] != number:
            self.doubt(player_id)

    def forgotten(self) -> None:
        """The cluster knows nothing of this node any more."""
        self._untold = dict.fromkeys(self._places)

    def untold(self, most: int) -> list[tuple[UUID, int]]:
        """What is to be told next: players and their numbers, at most so many. They count as told."""
        some = list(islice(self._untold, most))
        for player_id in some:
            del self._untold[player_id]
        return [(player_id, self._places[player_id]) for player_id in some]
