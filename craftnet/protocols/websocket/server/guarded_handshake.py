"""A WebSocket handshake on its way through the checks: what it requests, and what it receives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from twisted.internet.defer import CancelledError, TimeoutError
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.access.bearer import token_from_handshake
from craftnet.access.principal import Principal
from craftnet.contract.close_codes import close_for_refusal
from craftnet.contract.routes import Query, Target, find_feed
from craftnet.errors import Refusal, Unavailable, failed
from craftnet.feeds.subscriptions import Subscription
from craftnet.limits.connection_limits import ConnectionSlot
from craftnet.protocols.websocket.core.handshake import OpeningHandshake
from craftnet.protocols.websocket.core.subprotocols import choose, spoken

if TYPE_CHECKING:  # the factory imports these modules at run time.
    from craftnet.protocols.websocket.server.factory import FeedFactory

log = Logger()


class HandshakeTarget(Struct, frozen=True):
    """What a handshake requests: a feed, and the subprotocol selected from its offers."""

    target: Target
    subprotocol: str | None


class AcceptedHandshake(Struct, frozen=True):
    """What an admitted handshake receives."""

    subscription: Subscription
    subprotocol: str | None


class GuardedHandshake:
    """A `craftnet.access.authorization.GuardedRequest`.

    Arguments:
        peer: the address from which the connection comes.

    Attributes:
        request: the parsed handshake.
        slot: the connection's slot, once it has one, whatever the outcome.
    """

    _target: Callable[[Query], Target]

    def __init__(self, request: OpeningHandshake, peer: str, factory: FeedFactory) -> None:
        self.request = request
        self._peer = peer
        self._factory = factory
        self._offered: tuple[str, ...] = ()
        self.slot: ConnectionSlot | None = None

    @property
    def from_page(self) -> bool:
        """Whether it comes from a browser's page that may connect here."""
        return self._factory.gate.is_page(self._peer, self.request.headers)

    def find_feed(self) -> None:
        """Finds the route; called first.

        Raises:
            NotFound: no feed has this path.
        """
        self._target = find_feed(self.request.path, self._factory.bases)

    def limit(self) -> None:
        """Checks the page's origin, then the limits of the address.

        Raises:
            Unavailable: the server is stopping.
            Forbidden: the page is of a site whose pages may not connect.
            TooManyRequests: see `craftnet.limits.handshake_guard.HandshakeGuard.admit`.
        """
        self._factory.check_staying()
        self.slot = self._factory.gate.admit(self._peer, self.request.headers, self._factory.clock.seconds())

    def token(self) -> str | None:
        """The token in the Authorization header or in Sec-WebSocket-Protocol."""
        token, self._offered = token_from_handshake(self.request.headers.get("authorization"), self.request.protocols)
        return token

    def read(self) -> HandshakeTarget:
        """Parses the ids, the query and the subprotocols."""
        token_offered = len(self._offered) < len(self.request.protocols)
        subprotocol = choose(self._offered, token_offered=token_offered, page="origin" in self.request.headers)
        return HandshakeTarget(self._target(self.request.params), subprotocol)

    async def decide(self, principal: Principal, asked: HandshakeTarget) -> AcceptedHandshake:
        """Returns a subscription, and assigns the slot to the player.

        Raises:
            Refusal: see `Subscriptions.subscribe` and `HandshakeGuard.assign_slot`, in this order; Unavailable when the
            server is
                stopping.
        """
        factory = self._factory
        assert self.slot is not None
        subscription = await factory.subscriptions.subscribe(asked.target, principal)
        await factory.gate.assign_slot(self.slot, principal.player_id, subscription.session_id, factory.clock.seconds())
        factory.check_staying()
        return AcceptedHandshake(subscription, asked.subprotocol)

    def closes_with(self, refusal: Refusal) -> str | None:
        """The subprotocol in which the client gets a refusal as a close code; None if as the HTTP status."""
        if close_for_refusal(refusal) is None or not self._factory.may_turn_away or not self.from_page:
            return None
        return spoken(self.request.protocols)  # without a selected one, a browser fails the handshake.


def refusal_of(failure: Failure) -> Refusal:
    """The refusal of a handshake that failed in this way; anything unexpected is logged."""
    error = failure.value
    if isinstance(error, (TimeoutError, CancelledError)):
        return Unavailable("The handshake took too long.")
    if not isinstance(error, Refusal):
        log.failure("a WebSocket handshake failed", failure)
        return failed()
    return error
