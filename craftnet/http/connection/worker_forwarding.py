"""Forwards requests and connections to the worker that keeps the state of their player.

A plain connection whose first request is a WebSocket handshake is handed over as a whole. Where that is impossible,
because this process has the keys of its TLS or an answer on its way to the client, one end of a socket pair is handed
over, and the connection is relayed. An HTTP request is answered by the other worker, and the answer sent from here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any, cast

from msgspec import Struct
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.tcp import Server
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure

from craftnet.clocks import IClock
from craftnet.contract.routes import (
    EVENT_STREAM,
    WEBSOCKET,
    AdminTarget,
    BasePaths,
    HealthTarget,
    RelayTarget,
    find_feed,
)
from craftnet.errors import BadRequest, Refusal, Unavailable
from craftnet.http.connection.handover import IAdmittingProtocol, hand_over
from craftnet.http.exchange import Call, Response
from craftnet.http.request_head import Head, path_and_query
from craftnet.http.resource import Router
from craftnet.limits.client_address import ServerUrl, host
from craftnet.providers.shards import Shards
from craftnet.sharding.calls import Caller, Operation
from craftnet.sharding.directory import SessionDirectory
from craftnet.sharding.links import Links

RELAY_LINGER = 5.0
"""Seconds for the client of a relayed connection to read what the other worker sent at the end."""


class HandedConnection(Struct, frozen=True, array_like=True):
    """A connection on its way to another worker.

    Attributes:
        family: of the socket.
        inode: of the socket.
        head: of the WebSocket handshake that arrived on it.
        rest: bytes received after the head.
        relayed: the client's address where the socket is one of a pair; None where it is the client's connection.
    """

    family: int
    inode: int
    head: Head
    rest: bytes
    relayed: str | None = None


class ForwardedCall(Struct, frozen=True, array_like=True):
    """A `Call` between workers."""

    method: str
    path: str
    headers: dict[str, str]
    query: dict[str, tuple[str, ...]]
    body: bytes
    address: str
    server: ServerUrl


HAND_OVER: Operation[HandedConnection, bool] = Operation("connection", HandedConnection, bool)
ANSWER_REQUEST: Operation[ForwardedCall, Response] = Operation("request", ForwardedCall, Response)


class CallForwarding:
    """Forwards HTTP requests that name a session or a player whose state another worker keeps."""

    def __init__(self, links: Links, shards: Shards, directory: SessionDirectory) -> None:
        self._links = links
        self._shards = shards
        self._directory = directory

    def serve(self, routes: Router) -> None:
        """Answers with `routes` what other workers forward."""

        async def answer(_: Caller, sent: ForwardedCall) -> Response:
            return await routes.answer_forwarded(
                Call(
                    sent.method,
                    sent.path,
                    sent.headers,
                    query=sent.query,
                    body=sent.body,
                    address=sent.address,
                    locate=lambda: sent.server,
                )
            )

        self._links.handle(ANSWER_REQUEST, answer)

    async def answer(self, call: Call) -> Response | None:
        """The other worker's answer; None when this one must answer.

        Raises:
            Unavailable: the other worker is unreachable.
        """
        number = await self._worker(call)
        if number is None or number == self._shards.number:
            return None
        sent = ForwardedCall(
            call.method,
            call.path,
            dict(call.headers),
            {name: tuple(values) for name, values in call.query.items()},
            call.body,
            call.address,
            call.server,
        )
        return cast(Response, await self._links.call(number, ANSWER_REQUEST, sent))

    async def _worker(self, call: Call) -> int | None:
        try:
            if "session_id" in call.parameters:
                return await self._directory.worker(call.identifier("session_id"))
            if "player_id" in call.parameters:
                return self._shards.of(call.identifier("player_id"))
        except BadRequest:
            return None  # refused here as it would be there.
        return None


class ConnectionForwarding:
    """Forwards WebSocket handshakes of players whose state another worker keeps.

    Arguments:
        reactor: IReactorSocket, and the clock.
        bases: the base paths that may precede every route.
    """

    def __init__(self, reactor: Any, links: Links, shards: Shards, bases: BasePaths) -> None:
        self._reactor = reactor
        self._links = links
        self._shards = shards
        self._bases = bases

    def serve(self, build: Callable[[IAddress], IAdmittingProtocol]) -> None:
        """Gives connections that other workers hand over to the protocols that `build` returns."""
        self._links.handle(HAND_OVER, lambda caller, handed: self._take(caller, handed, build))

    def worker(self, head: Head) -> int | None:
        """The number of the other worker for a handshake; None when this one must answer it."""
        try:
            segments, query = path_and_query(head.target)
            transport = WEBSOCKET if head.handshake else EVENT_STREAM
            target = find_feed("/" + "/".join(segments), self._bases, transport)(query)
        except Refusal:
            return None  # refused here as it would be there.
        if isinstance(target, HealthTarget | AdminTarget | RelayTarget) or self._shards.owns(target.player_id):
            return None
        return self._shards.of(target.player_id)

    async def hand_over(self, number: int, transport: Any, head: Head, rest: bytes, *, reused: bool) -> None:
        """Gives a connection to worker `number`.

        Arguments:
            head: of the handshake that arrived on it.
            rest: bytes received after the head.
            reused: whether an earlier request was answered on it.

        Raises:
            Unavailable: the worker is unreachable; the connection is still here.
        """
        transport.pauseProducing()
        try:
            if type(transport) is Server and not reused:
                await self._give(number, transport, head, rest)
            else:
                await self._relay(number, transport, head, rest)
        except Unavailable:
            transport.resumeProducing()
            raise

    async def _give(self, number: int, transport: Server, head: Head, rest: bytes) -> None:
        handle = transport.getHandle()
        handed = HandedConnection(handle.family, os.fstat(handle.fileno()).st_ino, head, rest)
        await self._links.call(number, HAND_OVER, handed, handle.fileno())
        # The other worker has it: it must not be shut down, as its transport would do.
        os.close(handle.detach())

    async def _relay(self, number: int, transport: Any, head: Head, rest: bytes) -> None:
        outer, inner = _Relay(self._reactor), _Relay(self._reactor)
        hand_over(transport, outer)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.setblocking(False)
            inode = os.fstat(theirs.fileno()).st_ino
            handed = HandedConnection(socket.AF_UNIX, inode, head, rest, host(transport.getPeer()))
            await self._links.call(number, HAND_OVER, handed, theirs.fileno())
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Factory.forProtocol(lambda: inner))
        inner.join(outer)
        outer.join(inner)
        transport.resumeProducing()

    def _take(self, caller: Caller, handed: HandedConnection, build: Callable[[IAddress], IAdmittingProtocol]) -> bool:
        """Takes a connection that another worker handed over. Its client may be gone by now."""
        descriptor = caller.take(handed.inode)
        if descriptor is None:
            raise OSError("the file descriptor of a connection did not arrive: are there too many open files?")
        try:
            os.set_blocking(descriptor, False)  # one end of a socket pair is still blocking.
            factory = _Adopting(build, handed)
            self._reactor.adoptStreamConnection(descriptor, socket.AddressFamily(handed.family), factory)
        except OSError:
            return False
        finally:
            os.close(descriptor)
        factory.admitting.admit(handed.head, handed.rest)
        return True


class _Adopting(Factory):
    """Builds the protocol of one connection that was handed over."""

    noisy = False

    admitting: IAdmittingProtocol

    def __init__(self, build: Callable[[IAddress], IAdmittingProtocol], handed: HandedConnection) -> None:
        self._build = build
        self._handed = handed

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The protocol, behind a wrapper where the connection is relayed."""
        assert addr is not None
        self.admitting = protocol = self._build(addr)
        return protocol if self._handed.relayed is None else _Relayed(WrappingFactory(self), protocol, self._handed)


class _Relayed(ProtocolWrapper):
    """The transport of a connection whose client is at another worker."""

    def __init__(self, factory: WrappingFactory[Any], protocol: IProtocol, handed: HandedConnection) -> None:
        super().__init__(factory, protocol)
        self._peer = handed.relayed or ""

    def getPeer(self) -> IPv4Address | IPv6Address:
        """The client's address. Its port is unknown here and unused."""
        return (IPv6Address if ":" in self._peer else IPv4Address)("TCP", self._peer, 0)


class _Relay(Protocol):
    """One end of a relayed connection: passes what it reads to the other end, with flow control."""

    transport: Any  # a consumer, unlike ITransport.

    def __init__(self, clock: IClock) -> None:
        self._clock = clock
        self._other: _Relay | None = None
        self._read = b""
        self._lost = False
        self._deadline: IDelayedCall | None = None

    def join(self, other: _Relay) -> None:
        """Passes what this end reads, and has read, to `other`."""
        self._other = other
        if self._lost:
            other.finish()
            return
        other.transport.write(self._read)
        self._read = b""
        other.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        """Passes it on."""
        if self._other is None:
            self._read += data
        else:
            self._other.transport.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """This end is gone, and soon the other one."""
        self._lost = True
        if self._deadline is not None and self._deadline.active():
            self._deadline.cancel()
        if self._other is not None:
            self._other.finish()

    def finish(self) -> None:
        """The other end is gone: closes this one once everything is sent, or after `RELAY_LINGER` seconds."""
        if self._lost or self._deadline is not None:
            return
        self._deadline = self._clock.callLater(RELAY_LINGER, self.transport.abortConnection)
        self.transport.unregisterProducer()
        self.transport.loseConnection()
