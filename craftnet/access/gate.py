"""The gate: what a WebSocket handshake must pass before and after its token is looked at. Rules; no I/O of its own.

The cheapest comes first: the page's site, the rate of the address, a place. Checking a token costs more than all of it,
and asking the other nodes how many connections the player has takes longest.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from craftnet.access.buckets import AddressLimit
from craftnet.access.forwarding import Forwarding
from craftnet.access.limits import Limits
from craftnet.access.networks import source
from craftnet.access.occupancy import TOO_MANY, Occupancy, Place, full
from craftnet.access.origins import Origins
from craftnet.errors import Forbidden
from craftnet.interfaces import ISharedPlaces


class Gate:
    """Lets handshakes through.

    Arguments:
        limits: how many, and how often.
        origins: the web sites whose pages may connect.
        forwarding: what proxies say of clients, and of the host that pages take this server for.
        shared: the players' places on all nodes; None when there are no other nodes.
    """

    def __init__(
        self,
        limits: Limits,
        origins: Origins | None = None,
        forwarding: Forwarding | None = None,
        shared: ISharedPlaces | None = None,
    ) -> None:
        self.limits = limits
        self._origins = origins or Origins()
        self._forwarding = forwarding or Forwarding()
        self._shared = shared
        self._occupancy = Occupancy(limits)
        message = "There are too many WebSocket handshakes from this address."
        self._handshakes = AddressLimit(limits.handshakes, message, limits.unlimited)

    def enter(self, peer: str, headers: Mapping[str, str], now: float) -> Place:
        """Let a handshake in.

        Arguments:
            peer: the address that the connection comes from.
            headers: of the request, with names in lower case.

        Returns:
            The connection's place, to be given back with `leave`.

        Raises:
            Forbidden: it comes from a page of another site.
            TooManyRequests: too many come from there, or there are too many.
        """
        self._check_page(peer, headers)
        address = self._forwarding.client(peer, headers.get)
        self._handshakes.check(address, now)
        return self._occupancy.enter(None if address in self.limits.unlimited else source(address), now)

    async def settle(self, place: Place, player_id: UUID | None, session_id: UUID | None, now: float) -> None:
        """Say whose place it is, and which session is watched from it. Called once.

        Raises:
            TooManyRequests: that player has too many, here or on all nodes, or that session. The place is still to be
                left, also when this is cancelled.
        """
        self._occupancy.settle(place, player_id, session_id, now)
        limit = self.limits.per_player
        if self._shared is not None and player_id is not None and limit:
            if not await self._shared.enter(player_id, limit):
                raise full(TOO_MANY, limit, now)
            place.shared = True

    def is_page(self, peer: str, headers: Mapping[str, str]) -> bool:
        """Whether a handshake comes from a browser's page that may connect here."""
        try:
            self._check_page(peer, headers)
        except Forbidden:
            return False
        return "origin" in headers

    def leave(self, place: Place) -> None:
        """The connection is gone."""
        self._occupancy.leave(place)
        if place.shared and self._shared is not None and place.player_id is not None:
            self._shared.leave(place.player_id)

    def _check_page(self, peer: str, headers: Mapping[str, str]) -> None:
        # Whether the page came by TLS counts for nothing: a proxy that is not trusted may have ended it.
        server = self._forwarding.server(peer, headers.get, secure=False)
        self._origins.check(headers.get("origin"), server.authority)
