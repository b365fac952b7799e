"""How many connections one player, one address and all of them together may have, and the slots they take. Pure."""

from __future__ import annotations

from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from craftnet.errors import TooManyRequests
from craftnet.limits.client_address import LOOPBACK, Networks

BURST_SECONDS = 4.0
"""Seconds' worth of a rate that may arrive at once."""


class Limits(Struct, frozen=True, kw_only=True):
    """The limits of the WebSocket and HTTP side.

    Attributes:
        connections: WebSockets in all.
        per_player, per_session, per_address: WebSockets of one player, to one crafting session, from one address.
        handshakes: WebSocket handshakes per second from one address.
        health: requests per second from one address to GET /health and GET /health/ws.
        health_batches: requests per second from one address to POST /health/batch.
        connects: requests per second from one address to …/connect.
        connects_per_player: requests per second about one player's sessions, from any address.
        messages: frames per second from one client, pings included.
        message_size: octets of one message from a client.
        half_open: connections that have not sent a whole request yet.
        half_open_per_address: the same from one address.
        refused_pages: refused handshakes of browsers that are being closed with a code that says why.
        handshake_timeout: seconds for a handshake's head to arrive, and again for its answer.
        unlimited: the addresses that are exempt from all limits per address.
    """

    connections: int = 20_000
    per_player: int = 50
    per_session: int = 100
    per_address: int = 1_000
    handshakes: float = 50.0
    health: float = 20.0
    health_batches: float = 5.0
    connects: float = 10.0
    connects_per_player: float = 2.0
    messages: float = 5.0
    message_size: int = 16_384
    half_open: int = 2_000
    half_open_per_address: int = 200
    refused_pages: int = 1_000
    handshake_timeout: float = 10.0
    unlimited: Networks = LOOPBACK


SLOT_RETRY_AFTER = 5
"""Seconds after which who found no place may ask again."""

Counted = TypeVar("Counted", str, UUID)

TOO_MANY_CONNECTIONS = "This player has too many WebSocket connections."


class ConnectionSlot:
    """One connection's place. An attribute that is None counts towards no limit.

    Attributes:
        shared: whether it counts on all nodes, too.
    """

    __slots__ = ("address", "player_id", "session_id", "shared")

    def __init__(self, address: str | None) -> None:
        self.address = address
        self.shared = False
        self.player_id: UUID | None = None
        self.session_id: UUID | None = None


class ConnectionSlots:
    """All places.

    Attributes:
        limits: their numbers; may be replaced.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._taken = 0
        self._addresses: dict[str, int] = {}
        self._players: dict[UUID, int] = {}
        self._sessions: dict[UUID, int] = {}

    def __len__(self) -> int:
        return self._taken

    def of_player(self, player_id: UUID) -> int:
        """How many places a player has."""
        return self._players.get(player_id, 0)

    def take(self, address: str | None, now: float) -> ConnectionSlot:
        """Take a place, before it is known who takes it.

        Arguments:
            address: as `craftnet.limits.client_address.address_key` gives it; None where it does not count.

        Raises:
            TooManyRequests: there is none left, in all or for that address.
        """
        limits = self.limits
        _check(self._taken, limits.connections, "The server has as many WebSocket connections as it takes.", now)
        if address is not None:
            message = "There are too many WebSocket connections from this address."
            of_address = self._addresses.get(address, 0)
            _check(of_address, limits.per_address, message, now)
            self._addresses[address] = of_address + 1
        self._taken += 1
        return ConnectionSlot(address)

    def assign(self, slot: ConnectionSlot, player_id: UUID | None, session_id: UUID | None, now: float) -> None:
        """Say whose place it is, and which session is watched from it. Called once.

        Raises:
            TooManyRequests: that player, or that session, has too many. The place is still to be left.
        """
        limits = self.limits
        of_player = self._players.get(player_id, 0) if player_id is not None else 0
        _check(of_player, limits.per_player, TOO_MANY_CONNECTIONS, now)
        if session_id is not None:
            of_session = self._sessions.get(session_id, 0)
            message = "There are too many WebSocket connections to this session."
            _check(of_session, limits.per_session, message, now)
            self._sessions[session_id] = of_session + 1
            slot.session_id = session_id
        if player_id is not None:
            self._players[player_id] = of_player + 1
            slot.player_id = player_id

    def release(self, slot: ConnectionSlot) -> None:
        """The connection is gone. Called once."""
        self._taken -= 1
        _decrement(self._addresses, slot.address)
        _decrement(self._players, slot.player_id)
        _decrement(self._sessions, slot.session_id)


def slots_exhausted(message: str, limit: int, now: float) -> TooManyRequests:
    """The refusal of a connection for which there is no place."""
    return TooManyRequests(message, retry_after=SLOT_RETRY_AFTER, limit=limit)


def _check(number: int, limit: int, message: str, now: float) -> None:
    if limit and number >= limit:
        raise slots_exhausted(message, limit, now)


def _decrement(counts: dict[Counted, int], key: Counted | None) -> None:
    """Counts one less for `key`, and forgets a key whose count is zero."""
    if key is None:
        return
    left = counts.pop(key) - 1
    if left:
        counts[key] = left
