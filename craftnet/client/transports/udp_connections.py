"""A player's UDP connections to a service: opened as needed, shared by sessions, their authorisation renewed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, cast
from uuid import UUID

from twisted.internet.defer import DeferredLock
from twisted.internet.interfaces import IListeningPort, IReactorSocket, IReactorUDP

from craftnet.client.core import endings
from craftnet.client.core.address import Address
from craftnet.client.core.api_requests import Requests, connect
from craftnet.client.core.credentials import RENEWAL_RETRY, Credentials, credentials
from craftnet.client.core.endings import Ending, EndingKind
from craftnet.client.transports.address_resolution import endpoint, on_both_families, on_ipv6, resolve
from craftnet.client.transports.udp_socket import UdpSocket
from craftnet.clocks import IClock
from craftnet.contract.http_bodies import UdpConnectResponse
from craftnet.protocols.udp.client.connection import ClientConnection
from craftnet.protocols.udp.core.key_exchange import KeyExchange
from craftnet.protocols.udp.core.keys import SessionToken
from craftnet.protocols.udp.core.negotiation import MAX_DATAGRAM, MAX_SESSIONS, agreed

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorPluggableNameResolver

    class _Reactor(IClock, IReactorUDP, IReactorSocket, IReactorPluggableNameResolver):
        """The parts of the reactor that UDP needs."""


NO_EXCHANGE = "the server exchanges no keys for UDP (its option --udp-key-exchange is off)"
"""Why a client that wants an exchange of keys uses no UDP."""

ANSWER_TIMEOUT = 3.0
"""Seconds within which the server must answer with datagrams; after that, UDP counts as blocked."""


class UdpSubscription(NamedTuple):
    """The place of a session: its connection, its index, and the bearer token that authorises it."""

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
        answer_timeout: seconds within which the server must answer with datagrams.
        region: where the server's UDP endpoint should be; None: anywhere.
        exchanges_keys: whether to use only connections whose secrets follow from an exchange of keys as well.
        joined: called with each session of the player that the server has added to a connection by itself, which
            `subscribe` then finds without a request; None: the server is not asked to.
        expected: whether progress shall be the expected one, where the server has learned how long crafts take.
    """

    def __init__(
        self,
        reactor: IClock,
        address: Address,
        player_id: UUID,
        token: str | Credentials,
        answer_timeout: float = ANSWER_TIMEOUT,
        region: str | None = None,
        exchanges_keys: bool = False,
        joined: Callable[[UUID], None] | None = None,
        expected: bool = False,
    ) -> None:
        self._expected = expected
        self.joined = joined
        self.credentials = credentials(token)
        self.reactor = cast("_Reactor", reactor)
        self._address = address
        self.player_id = player_id
        self._answer_timeout = answer_timeout
        self._region = region
        self._exchanges_keys = exchanges_keys
        self._requests = Requests(reactor)
        self._sockets: dict[UdpSocket, IListeningPort] = {}
        self._opening = DeferredLock()
        self._renewing = DeferredLock()

    def __len__(self) -> int:
        return len(self._sockets)

    async def subscribe(self, session_id: UUID) -> UdpSubscription | Ending:
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
        for socket in self._sockets:
            index = socket.unwatched(session_id)
            if index is not None:
                return UdpSubscription(socket, index, token)
        if self._with_room(session_id) is not None:
            return await self._ask(session_id, token)
        await self._opening.acquire()  # the first caller opens a connection; the others join it.
        try:
            return await self._ask(session_id, token)
        finally:
            self._opening.release()

    def close(self) -> None:
        """Closes the connections that stay open for further sessions."""
        for socket in tuple(self._sockets):
            socket.close()

    async def renew(self, socket: UdpSocket, session_id: UUID, shown: str) -> tuple[str, float | None]:
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
            return shown, RENEWAL_RETRY
        answer = await self._connect(session_id, token, named)
        if isinstance(answer, Ending):
            return shown, RENEWAL_RETRY if answer.kind is EndingKind.LOST else None
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
            if not socket.over and len(socket.sessions) < MAX_SESSIONS and session_id not in socket.sessions:
                return socket
        return None

    async def _connect(
        self, session_id: UUID, token: str, named: str | None = None, exchange: KeyExchange | None = None
    ) -> UdpConnectResponse | Ending:
        """The server's answer to …/connect, for the connection with the session token `named` if there is one."""
        url, key = self._address.connect(session_id), None if exchange is None else exchange.encapsulation_key
        # One connection gets all sessions: another, for those beyond its limit, would get the same ones.
        others = (socket for socket in self._sockets if not socket.over and socket.session_token != named)
        follows = self.joined is not None and not any(socket.follows for socket in others)
        return await connect(
            self._requests, url, self.player_id, token, named, self._region, key, follows, self._expected
        )

    async def _ask(self, session_id: UUID, token: str) -> UdpSubscription | Ending:
        socket = self._with_room(session_id)
        exchange = KeyExchange() if self._exchanges_keys else None
        if socket is None:
            answer = await self._connect(session_id, token, exchange=exchange)
            return answer if isinstance(answer, Ending) else await self._open(session_id, answer, token, exchange)
        named, joined = socket.session_token, False
        socket.expect(session_id)
        try:
            answer = await self._connect(session_id, token, named, exchange)
            if isinstance(answer, Ending):
                return answer
            if answer.session_token != named:
                return await self._open(session_id, answer, token, exchange)
            if socket.over:
                return endings.connection_lost("the connection was lost just before the session could join it")
            joined = True
            return UdpSubscription(socket, answer.session_index, token)
        finally:
            if not joined:
                socket.dismiss(session_id)

    async def _open(
        self, session_id: UUID, answer: UdpConnectResponse, token: str, exchange: KeyExchange | None
    ) -> UdpSubscription | Ending:
        named, session_token = endpoint(answer.server_endpoint), SessionToken.parse(answer.session_token)
        if exchange is not None:
            if answer.ciphertext is None:
                return endings.connection_lost(NO_EXCHANGE, try_another_transport=True)
            session_token = exchange.finish(session_token, answer.ciphertext)
        if named is None:
            return endings.connection_lost("the server's answer names no UDP endpoint", try_another_transport=True)
        servers = await resolve(self.reactor.nameResolver, *named)
        both = any(":" in server[0] for server in servers)
        if both:  # one dual-stack socket serves all of them.
            servers = list(map(on_ipv6, servers))
        connection = ClientConnection(
            session_token,
            {},
            heartbeat=answer.heartbeat_interval / 1000,
            agreement=agreed(answer),
            servers=len(servers),
        )
        socket = UdpSocket(
            self.reactor,
            servers,
            connection,
            answer.progress_tolerance,
            self._answer_timeout,
            self._closed,
            exchanged=exchange is not None,
            follow=self.joined if answer.all_sessions else None,
        )
        socket.expect(session_id)
        # The protocol itself refuses datagrams that are too long.
        if both:
            with on_both_families() as made:  # the port duplicates it.
                port = self.reactor.adoptDatagramPort(made.fileno(), made.family, socket, MAX_DATAGRAM)
        else:
            port = self.reactor.listenUDP(0, socket, "", MAX_DATAGRAM)
        self._sockets[socket] = port
        return UdpSubscription(socket, answer.session_index, token)

    def _closed(self, socket: UdpSocket) -> None:
        port = self._sockets.pop(socket, None)
        if port is not None:
            port.stopListening()
