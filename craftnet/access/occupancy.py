"""Who has how many of the connections there may be. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from uuid import UUID

from craftnet.access.limits import Limits
from craftnet.errors import TooManyRequests

RETRY_AFTER = 5
"""Seconds after which who found no place may ask again."""

TOO_MANY = "This player has too many WebSocket connections."


class Place:
    """One connection's place. What is None counts for nobody.

    Attributes:
        shared: whether it counts on all nodes, too.
    """

    __slots__ = ("address", "player_id", "session_id", "shared")

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.shared = False
        self.player_id: UUID | None = None
        self.session_id: UUID | None = None


class Occupancy:
    """All places."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._taken = 0
        self._addresses: Counter[str] = Counter()
        self._players: Counter[UUID] = Counter()
        self._sessions: Counter[UUID] = Counter()

    def __len__(self) -> int:
        return self._taken

    def enter(self, address: str | None, now: float) -> Place:
        """Take a place, before it is known who takes it.

        Arguments:
            address: as `craftnet.access.networks.source` gives it; None where it does not count.

        Raises:
            TooManyRequests: there is none left, in all or for that address.
        """
        limits = self._limits
        _check(self._taken, limits.connections, "The server has as many WebSocket connections as it takes.", now)
        if address is not None:
            message = "There are too many WebSocket connections from this address."
            _check(self._addresses[address], limits.per_address, message, now)
            self._addresses[address] += 1
        self._taken += 1
        return Place(address)

    def settle(self, place: Place, player_id: UUID | None, session_id: UUID | None, now: float) -> None:
        """Say whose place it is, and which session is watched from it. Called once.

        Raises:
            TooManyRequests: that player, or that session, has too many. The place is still to be left.
        """
        limits = self._limits
        if player_id is not None:
            _check(self._players[player_id], limits.per_player, TOO_MANY, now)
        if session_id is not None:
            message = "There are too many WebSocket connections to this session."
            _check(self._sessions[session_id], limits.per_session, message, now)
            self._sessions[session_id] += 1
            place.session_id = session_id
        if player_id is not None:
            self._players[player_id] += 1
            place.player_id = player_id

    def leave(self, place: Place) -> None:
        """The connection is gone. Called once."""
        self._taken -= 1
        _less(self._addresses, place.address)
        _less(self._players, place.player_id)
        _less(self._sessions, place.session_id)


def full(message: str, limit: int, now: float) -> TooManyRequests:
    """The refusal of somebody for whom there is no place."""
    return TooManyRequests(message, retry_after=RETRY_AFTER, limit=limit)


def _check(number: int, limit: int, message: str, now: float) -> None:
    if limit and number >= limit:
        raise full(message, limit, now)


def _less(counter: Counter[Hashable] | Counter[str] | Counter[UUID], key: Hashable) -> None:
    """One less of it; what nobody has is not remembered."""
    if key is None:
        return
    counter[key] -= 1  # type: ignore[index]  # the key is of the counter's kind: it was counted there.
    if not counter[key]:  # type: ignore[index]  # as above.
        del counter[key]
