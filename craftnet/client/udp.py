"""Watches sessions over UDP: several over one connection where the server allows it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, cast
from uuid import UUID

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.error import CannotListenError, ConnectingCancelledError, DNSLookupError
from twisted.internet.interfaces import IListeningPort, IReactorSocket, IReactorUDP
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.bodies import UdpConnectResponse
from craftnet.client import endings
from craftnet.client.address import Address
from craftnet.client.connect import Requests, connect
from craftnet.client.credentials import RETRY, Credentials, credentials
from craftnet.client.endings import Ending, Kind
from craftnet.client.interfaces import ILink, ILinkListener, ITransport
from craftnet.client.line import Line
from craftnet.client.prolongation import Prolongation
from craftnet.client.resolve import endpoint, on_both_families, on_ipv6, resolve
from craftnet.client.udpsocket import UdpSocket
from craftnet.clocks import IClock
from craftnet.positions import Position
from craftnet.protocols.udp.agreement import MAX_DATAGRAM, agreed
from craftnet.protocols.udp.grants import MOST
from craftnet.protocols.udp.initiator import Initiator
from craftnet.protocols.udp.keys import SessionToken
from craftnet.updates import Update

if TYPE_CHECKING:  # for annotations only.
    from twisted.internet.interfaces import IReactorPluggableNameResolver

    class _Reactor(IClock, IReactorUDP, IReactorSocket, IReactorPluggableNameResolver):
        """The parts of the reactor that UDP needs."""


_EXPECTED = (DNSLookupError, CannotListenError, OSError, ValueError, CancelledError, ConnectingCancelledError)
"""Reasons for a session not to be watched, the last two also for a watched one; anything else is a bug."""

PATIENCE = 3.0
"""Seconds within which the server must answer with datagrams; after that, UDP counts as blocked."""


class Place(NamedTuple):
    """Where a session is delivered: the connection, the index, and the bearer token that authorises it."""

    socket: UdpSocket
    session_index: int
    token: str


class UdpConnections:
    """A player's UDP connections to a service: as few as hold the watched sessions.

    Arguments:
        reactor: a real one, with TCP, UDP and name resolution.
        address: the service.
        player_id: the owner of the sessions.
        token: the bearer token, or a source of fresh ones. Sent in the header of HTTP requests, and in no datagram.
        patience: seconds within which the server must answer with datagrams.
    """

    def __init__(
        self,
        reactor: IClock,
        address: Address,
        player_id: UUID,
        token: str | Credentials,
        patience: float = PATIENCE,
    ) -> None:
        self.credentials = credentials(token)
        self.reactor = cast("_Reactor", reactor)
        self._address = address
        self.player_id = player_id
        self._patience = patience
        self._requests = Requests(reactor)
        self._sockets: dict[UdpSocket, IListeningPort] = {}
        self._opening = DeferredLock()
        self._renewing = DeferredLock()

    def __len__(self) -> int:
        return len(self._sockets)

    async def place(self, session_id: UUID) -> Place | Ending:
        """A connection that carries this session, existing or new; `UdpSocket.watch` must follow at once.

        Returns:
            Its place, or the ending that prevents it.

        Raises:
            DNSLookupError, CannotListenError, OSError, ValueError: the host is unknown, no socket is available, or the
                server's answer is invalid.
        """
        try:
            token = await self._token()
        except Exception as error:  # the caller's token source may raise anything.
            return endings.without_token(error)
        if self._with_room(session_id) is not None:
            return await self._ask(session_id, token)
        await self._opening.acquire()  # the first caller opens a connection; the others join it.
        try:
            return await self._ask(session_id, token)
        finally:
            self._opening.release()

    async def prolong(self, socket: UdpSocket, session_id: UUID, shown: str) -> tuple[str, float | None]:
        """Extends a session to the expiry of a fresh bearer token.

        Arguments:
            shown: the bearer token with which it was requested.

        Returns:
            The token that authorises it now, and the seconds until the next renewal; None: it can only expire.

        Raises:
            Exception: no fresh token is available.
        """
        token, named = await self._token(), socket.session_token
        if token == shown:
            return shown, RETRY
        answer = await connect(self._requests, self._address.connect(session_id), self.player_id, token, named)
        if isinstance(answer, Ending):
            return shown, RETRY if answer.kind is Kind.LOST else None
        return (token, self.due) if answer.session_token == named else (shown, None)

    @property
    def due(self) -> float | None:
        """Seconds until the bearer token should be renewed; None: never."""
        now = self.reactor.wall()
        due = self.credentials.due(now)
        return None if due is None else max(1.0, due - now)

    async def _token(self) -> str:
        """The token to use; only one caller at a time asks for a fresh one."""
        await self._renewing.acquire()
        try:
            return await self.credentials.current(self.reactor.wall())
        finally:
            self._renewing.release()

    def _with_room(self, session_id: UUID) -> UdpSocket | None:
        for socket in reversed(self._sockets):
            if not socket.over and len(socket.sessions) < MOST and session_id not in socket.sessions:
                return socket
        return None

    async def _ask(self, session_id: UUID, token: str) -> Place | Ending:
        url, socket = self._address.connect(session_id), self._with_room(session_id)
        if socket is None:
            answer = await connect(self._requests, url, self.player_id, token)
            return answer if isinstance(answer, Ending) else await self._open(session_id, answer, token)
        named, joined = socket.session_token, False
        socket.expect(session_id)
        try:
            answer = await connect(self._requests, url, self.player_id, token, named)
            if isinstance(answer, Ending):
                return answer
            if answer.session_token != named:
                return await self._open(session_id, answer, token)
            if socket.over:
                return endings.lost("the connection was lost just before the session could join it")
            joined = True
            return Place(socket, answer.session_index, token)
        finally:
            if not joined:
                socket.dismiss(session_id)

    async def _open(self, session_id: UUID, answer: UdpConnectResponse, token: str) -> Place | Ending:
        named = endpoint(answer.server_endpoint)
        if named is None:
            return endings.lost("the server's answer names no UDP endpoint", elsewhere=True)
        servers = await resolve(self.reactor.nameResolver, *named)
        both = any(":" in server[0] for server in servers)
        if both:  # one dual-stack socket serves all of them.
            servers = list(map(on_ipv6, servers))
        initiator = Initiator(
            SessionToken.parse(answer.session_token),
            {},
            heartbeat=answer.heartbeat_interval / 1000,
            agreement=agreed(answer),
            servers=len(servers),
        )
        socket = UdpSocket(self.reactor, servers, initiator, answer.progress_tolerance, self._patience, self._closed)
        socket.expect(session_id)
        # The protocol itself refuses datagrams that are too long.
        if both:
            with on_both_families() as made:  # the port duplicates it.
                port = self.reactor.adoptDatagramPort(made.fileno(), made.family, socket, MAX_DATAGRAM)
        else:
            port = self.reactor.listenUDP(0, socket, "", MAX_DATAGRAM)
        self._sockets[socket] = port
        return Place(socket, answer.session_index, token)

    def _closed(self, socket: UdpSocket) -> None:
        port = self._sockets.pop(socket, None)
        if port is not None:
            port.stopListening()


@implementer(ILink, ILinkListener)
class _Link:
    """See `ILink`."""

    _log = Logger()

    def __init__(self, connections: UdpConnections, session_id: UUID) -> None:
        self._connections = connections
        self._session_id = session_id
        self._listener: ILinkListener | None = None
        self._opening: Deferred[None] | None = None
        self._socket: UdpSocket | None = None
        self._prolongation: Prolongation | None = None

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

    def told(self, update: Update) -> None:
        """The socket received an update."""
        if self._listener is not None:
            self._listener.told(update)

    def measured(self, line: Line) -> None:
        """The socket measured the connection."""
        if self._listener is not None:
            self._listener.measured(line)

    def ended(self, ending: Ending) -> None:
        """The connection ended or could not be opened."""
        listener, self._listener = self._listener, None
        self._release()
        if listener is not None:
            listener.ended(self._connections.credentials.after(ending))

    async def _open(self) -> None:
        place = await self._connections.place(self._session_id)
        self._opening = None
        if isinstance(place, Ending):
            self.ended(place)
            return
        self._socket = place.socket
        ask = partial(self._connections.prolong, place.socket, self._session_id)
        self._prolongation = Prolongation(self._connections.reactor, ask, place.token, self._connections.due)
        self._socket.watch(place.session_index, self._session_id, self._connections.player_id, self)

    def _release(self) -> UdpSocket | None:
        socket, self._socket = self._socket, None
        if self._prolongation is not None:
            self._prolongation.stop()
        return socket

    def _failed(self, failure: Failure) -> None:
        """An unexpected failure of `place`. The watch goes on over another transport, even after a bug."""
        if not failure.check(*_EXPECTED):
            self._log.failure("watching over UDP failed", failure)
        if self._listener is None:
            return
        socket = self._release()
        if socket is not None:
            socket.leave(self._session_id)
        self.ended(endings.lost(f"cannot use UDP: {failure.getErrorMessage().rstrip('.')}", elsewhere=True))


@implementer(ITransport)
class SharedUdpTransport:
    """Watches one session over connections that it shares with other sessions."""

    name = "udp"

    def __init__(self, connections: UdpConnections, session_id: UUID) -> None:
        self._connections = connections
        self._session_id = session_id

    def link(self, resume: Position | None = None) -> ILink:
        """See `ITransport`. A new connection starts with the full state, whatever the watch's position."""
        return _Link(self._connections, self._session_id)


class UdpTransport(SharedUdpTransport):
    """Watches one session over a connection of its own.

    Arguments:
        session_id: the session to watch.
        reactor, address, player_id, token, patience: as in `UdpConnections`.
    """

    def __init__(
        self,
        reactor: IClock,
        address: Address,
        session_id: UUID,
        player_id: UUID,
        token: str | Credentials,
        patience: float = PATIENCE,
    ) -> None:
        super().__init__(UdpConnections(reactor, address, player_id, token, patience), session_id)
