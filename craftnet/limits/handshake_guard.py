"""Checks a WebSocket handshake before and after its token is verified. Rules; no I/O of its own.

The cheapest checks come first: the page's origin, the rate of the address, a slot. Verifying a token costs more than
all of them, and asking the other nodes for the player's number of connections takes longest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from uuid import UUID

from craftnet.errors import Forbidden
from craftnet.interfaces import ISharedConnectionSlots
from craftnet.limits.client_address import Forwarding, address_key
from craftnet.limits.connection_limits import (
    TOO_MANY_CONNECTIONS,
    ConnectionSlot,
    ConnectionSlots,
    Limits,
    slots_exhausted,
)
from craftnet.limits.origins import Origins
from craftnet.limits.token_bucket import AddressLimit, bucket_of


class HandshakeGuard:
    """Admits handshakes.

    Arguments:
        limits: numbers and rates.
        origins: the web sites whose pages may connect.
        forwarding: interprets what proxies report.
        shared: the players' slots on all nodes; None when there are no other nodes.

    Attributes:
        occupancy: the slots that are taken.
    """

    def __init__(
        self,
        limits: Limits,
        origins: Origins | None = None,
        forwarding: Forwarding | None = None,
        shared: ISharedConnectionSlots | None = None,
    ) -> None:
        self._followers: list[Callable[[Limits], None]] = []
        self._origins = origins or Origins()
        self._forwarding = forwarding or Forwarding()
        self._shared = shared
        self.occupancy = ConnectionSlots(limits)
        message = "There are too many WebSocket handshakes from this address."
        self._handshakes = AddressLimit(limits.handshakes, message, limits.unlimited)
        self.set_limits(limits)

    def set_limits(self, limits: Limits) -> None:
        """Replaces the limits. Connections that are open stay open."""
        self.limits = self.occupancy.limits = limits
        self.messages = bucket_of(limits.messages)
        self._handshakes.change(limits.handshakes, limits.unlimited)
        for follower in self._followers:
            follower(limits)

    def follow_limits(self, follower: Callable[[Limits], None]) -> None:
        """Calls `follower` with the limits whenever they are replaced."""
        self._followers.append(follower)

    def set_origins(self, origins: Origins) -> None:
        """Replaces the web sites whose pages may connect. Connections that are open stay open."""
        self._origins = origins

    def admit(self, peer: str, headers: Mapping[str, str], now: float) -> ConnectionSlot:
        """Admits a handshake.

        Arguments:
            peer: the address from which the connection comes.
            headers: the request's header fields by lower-case name.

        Returns:
            The connection's slot, to be released with `release`.

        Raises:
            Forbidden: it comes from a page of another site.
            TooManyRequests: a limit of the address or of the server is exceeded.
        """
        self._check_page(peer, headers)
        address = self._forwarding.client(peer, headers.get)
        self._handshakes.check(address, now)
        return self.occupancy.take(None if address in self.limits.unlimited else address_key(address), now)

    def check_rate(self, address: str, now: float) -> None:
        """Counts a request that costs as much as a handshake and takes no slot.

        Arguments:
            address: of the client, as far as trusted proxies vouch for it.

        Raises:
            TooManyRequests: the address makes too many.
        """
        self._handshakes.check(address, now)

    async def assign_slot(
        self, slot: ConnectionSlot, player_id: UUID | None, session_id: UUID | None, now: float
    ) -> None:
        """Assigns the slot to a player and a session. Called once.

        Raises:
            TooManyRequests: the player has too many, here or on all nodes, or the session has. The slot must still be
                released, also when this is cancelled.
        """
        self.occupancy.assign(slot, player_id, session_id, now)
        limit = self.limits.per_player
        if self._shared is not None and player_id is not None and limit:
            if not await self._shared.enter(player_id, limit):
                raise slots_exhausted(TOO_MANY_CONNECTIONS, limit, now)
            slot.shared = True

    def client(self, peer: str, headers: Mapping[str, str]) -> str:
        """The address of the client, as far as trusted proxies vouch for it."""
        return self._forwarding.client(peer, headers.get)

    def is_page(self, peer: str, headers: Mapping[str, str]) -> bool:
        """Whether a handshake comes from a browser's page that may connect here."""
        try:
            self._check_page(peer, headers)
        except Forbidden:
            return False
        return "origin" in headers

    def release(self, slot: ConnectionSlot) -> None:
        """Releases the slot."""
        self.occupancy.release(slot)
        if slot.shared and self._shared is not None and slot.player_id is not None:
            self._shared.leave(slot.player_id)

    def _check_page(self, peer: str, headers: Mapping[str, str]) -> None:
        origin = headers.get("origin")
        if origin is not None:
            # The page's scheme does not count: a proxy that is not trusted may have ended TLS.
            server = self._forwarding.server(peer, headers.get, secure=False)
            self._origins.check(origin, server.authority)
