"""Sessions watched over UDP, alone on a connection or sharing one, and the renewal of their tokens."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import CannotListenError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.client.core import endings
from craftnet.client.core.address import Address
from craftnet.client.core.connection_quality import ConnectionQuality
from craftnet.client.core.credentials import RENEWAL_RETRY, Credentials
from craftnet.client.core.endings import Ending
from craftnet.client.core.interfaces import ILink, ILinkListener, ITransport
from craftnet.client.transports.udp_connections import ANSWER_TIMEOUT, UdpConnections
from craftnet.client.transports.udp_socket import UdpSocket
from craftnet.clocks import IClock
from craftnet.contract.position import Position
from craftnet.crafting.updates import Update

AskAgain = Callable[[str], Coroutine[Deferred[object], object, tuple[str, float | None]]]
"""Sends the server a fresh bearer token in place of the given one. Returns the token now in force and the seconds
until the next renewal; None: never. May raise."""


class TokenRenewal:
    """Renews the authorisation repeatedly until it is stopped.

    Arguments:
        shown: the bearer token that the server has.
        delay: seconds until the first renewal; None: never.
    """

    def __init__(self, reactor: IReactorTime, ask: AskAgain, shown: str, delay: float | None) -> None:
        self._reactor = reactor
        self._ask = ask
        self._shown = shown
        self._call: IDelayedCall | None = None
        self._asking: Deferred[None] | None = None
        self._stopped = False
        self._wait(delay)

    def stop(self) -> None:
        """Stops: the session is no longer watched."""
        self._stopped = True
        if self._call is not None and self._call.active():
            self._call.cancel()
        if self._asking is not None:
            self._asking.cancel()

    def _wait(self, delay: float | None) -> None:
        if delay is not None and not self._stopped:
            self._call = self._reactor.callLater(delay, self._go)

    def _go(self) -> None:
        self._asking = Deferred.fromCoroutine(self._renew())
        self._asking.addErrback(
            lambda _: self._wait(RENEWAL_RETRY)
        )  # whatever failed, there is time for another attempt.

    async def _renew(self) -> None:
        self._shown, delay = await self._ask(self._shown)
        self._asking = None
        self._wait(delay)


_EXPECTED = (DNSLookupError, CannotListenError, OSError, ValueError, CancelledError, ConnectingCancelledError)
"""Reasons for a session not to be watched, the last two also for a watched one; anything else is a bug."""


@implementer(ILink, ILinkListener)
class _UdpLink:
    """See `ILink`."""

    _log = Logger()

    def __init__(self, connections: UdpConnections, session_id: UUID) -> None:
        self._connections = connections
        self._session_id = session_id
        self._listener: ILinkListener | None = None
        self._opening: Deferred[None] | None = None
        self._socket: UdpSocket | None = None
        self._renewal: TokenRenewal | None = None

    def start(self, listener: ILinkListener) -> None:
        """See `ILink`."""
        self._listener = listener
        self._opening = Deferred.fromCoroutine(self._open())
        self._opening.addErrback(self._failed)

    def stop(self) -> None:
        """See `ILink`."""
        self._listener = None
        if self._opening is not None:
            self._opening.cancel()
        socket = self._release()
        if socket is not None:
            socket.leave(self._session_id)

    def opened(self) -> None:
        """The socket's connection is open."""
        if self._listener is not None:
            self._listener.opened()

    def updated(self, update: Update) -> None:
        """The socket received an update."""
        if self._listener is not None:
            self._listener.updated(update)

    def measured(self, quality: ConnectionQuality) -> None:
        """The socket measured the connection."""
        if self._listener is not None:
            self._listener.measured(quality)

    def ended(self, ending: Ending) -> None:
        """The connection ended or could not be opened."""
        listener, self._listener = self._listener, None
        self._release()
        if listener is not None:
            listener.ended(self._connections.credentials.after(ending))

    async def _open(self) -> None:
        subscription = await self._connections.subscribe(self._session_id)
        self._opening = None
        if isinstance(subscription, Ending):
            self.ended(subscription)
            return
        self._socket = subscription.socket
        ask = partial(self._connections.renew, subscription.socket, self._session_id)
        self._renewal = TokenRenewal(self._connections.reactor, ask, subscription.token, self._connections.due)
        self._socket.watch(subscription.session_index, self._session_id, self._connections.player_id, self)

    def _release(self) -> UdpSocket | None:
        socket, self._socket = self._socket, None
        if self._renewal is not None:
            self._renewal.stop()
        return socket

    def _failed(self, failure: Failure) -> None:
        """Handles an unexpected failure of `place`; the watch continues over another transport, even after a bug."""
        if not failure.check(*_EXPECTED):
            self._log.failure("watching over UDP failed", failure)
        if self._listener is None:
            return
        socket = self._release()
        if socket is not None:
            socket.leave(self._session_id)
        self.ended(
            endings.connection_lost(
                f"cannot use UDP: {failure.getErrorMessage().rstrip('.')}", try_another_transport=True
            )
        )


@implementer(ITransport)
class SharedUdpTransport:
    """Watches one session over connections that it shares with other sessions."""

    name = "udp"

    def __init__(self, connections: UdpConnections, session_id: UUID) -> None:
        self._connections = connections
        self._session_id = session_id

    def link(self, resume: Position | None = None) -> ILink:
        """See `ITransport`. A new connection starts with the full state, regardless of the watch's position."""
        return _UdpLink(self._connections, self._session_id)


class UdpTransport(SharedUdpTransport):
    """Watches one session over a connection of its own.

    Arguments:
        session_id: the session to watch.
        reactor, address, player_id, token, answer_timeout, region, exchanges_keys: as in `UdpConnections`.
    """

    def __init__(
        self,
        reactor: IClock,
        address: Address,
        session_id: UUID,
        player_id: UUID,
        token: str | Credentials,
        answer_timeout: float = ANSWER_TIMEOUT,
        region: str | None = None,
        exchanges_keys: bool = False,
    ) -> None:
        connections = UdpConnections(reactor, address, player_id, token, answer_timeout, region, exchanges_keys)
        super().__init__(connections, session_id)
