"""The gate: what a WebSocket handshake must pass before its token is looked at. Pure.

The cheapest comes first: the page's site, the rate of the address, a place. Checking a token costs more than all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from uuid import UUID

from craftnet.access.buckets import Buckets
from craftnet.access.limits import BURST, Limits
from craftnet.access.networks import NOWHERE, Networks, client_address, source
from craftnet.access.occupancy import Occupancy, Place
from craftnet.access.origins import Origins
from craftnet.errors import TooManyRequests
from craftnet.messages import instant


class Gate:
    """Lets handshakes through.

    Arguments:
        limits: how many, and how often.
        origins: the web sites whose pages may connect.
        proxies: whose X-Forwarded-For is believed.
    """

    def __init__(self, limits: Limits, origins: Origins | None = None, proxies: Networks = NOWHERE) -> None:
        self.limits = limits
        self._origins = origins or Origins()
        self._proxies = proxies
        self._occupancy = Occupancy(limits)
        self._handshakes: Buckets[str] = Buckets(limits.handshakes, max(1.0, limits.handshakes * BURST))

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
        self._origins.check(headers.get("origin"), headers.get("host"))
        address = client_address(peer, headers.get("x-forwarded-for"), self._proxies)
        counted = None if address in self.limits.unlimited else source(address)
        if counted is not None and self.limits.handshakes:
            self._check_rate(counted, now)
        return self._occupancy.enter(counted, now)

    def settle(self, place: Place, player_id: UUID | None, session_id: UUID | None, now: float) -> None:
        """As `Occupancy.settle`."""
        self._occupancy.settle(place, player_id, session_id, now)

    def leave(self, place: Place) -> None:
        """The connection is gone."""
        self._occupancy.leave(place)

    def _check_rate(self, address: str, now: float) -> None:
        wait = self._handshakes.take(address, now)
        if wait:
            raise TooManyRequests(
                "There are too many WebSocket handshakes from this address.",
                retry_after=ceil(wait),
                limit=int(self._handshakes.burst),
                reset=instant(now + wait),
            )
