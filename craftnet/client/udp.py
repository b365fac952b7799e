"""A session watched over UDP: a Twisted shell around `craftnet.protocols.initiator`. The rules are there."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, cast
from uuid import UUID

from treq.client import HTTPClient
from twisted.internet.defer import Deferred
from twisted.internet.error import DNSLookupError, MessageLengthError
from twisted.internet.interfaces import IDelayedCall, IListeningPort, IReactorUDP
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from twisted.web.client import Agent
from zope.interface import implementer

from craftnet.client import endings
from craftnet.client.address import Address
from craftnet.client.connect import connect
from craftnet.client.credentials import Credentials, credentials
from craftnet.client.endings import Ending
from craftnet.client.interfaces import ILink, ILinkListener, ITransport
from craftnet.client.line import Line, error_bound
from craftnet.client.resolve import endpoint, resolve
from craftnet.client.translation import Translation
from craftnet.messages import UdpConnectResponse
from craftnet.model import Progress
from craftnet.protocols.agreement import MAX_DATAGRAM, agreed
from craftnet.protocols.conditions import Conditions
from craftnet.protocols.copies import MaterialsChanged, ProgressChanged
from craftnet.protocols.initiator import Closed, Connected, Event, Initiator, Output
from craftnet.protocols.keys import SessionToken
from craftnet.updates import Update

if TYPE_CHECKING:  # for annotations only.
    from twisted.internet.interfaces import IReactorPluggableNameResolver, IReactorTime

    class _Reactor(IReactorTime, IReactorUDP, IReactorPluggableNameResolver):
        """What UDP needs of the reactor."""


PATIENCE = 3.0
"""Seconds within which the server must answer with datagrams; after that, UDP is taken to be blocked somewhere."""


class _Socket(DatagramProtocol):
    """One connection's socket, and the timer of its state machine."""

    def __init__(
        self,
        reactor: IReactorTime,
        link: _Link,
        server: tuple[str, int],
        initiator: Initiator,
        translation: Translation,
        tolerance: float,
    ) -> None:
        self._reactor = reactor
        self._watch = link
        self._server = server
        self._initiator = initiator
        self._translation = translation
        self._tolerance = tolerance
        self._progress: Progress | None = None
        self._measured: Conditions | None = None
        self._timer: IDelayedCall | None = None
        self._patience: IDelayedCall | None = None

    def startProtocol(self) -> None:
        """The socket is open: knock."""
        self._patience = self._reactor.callLater(self._watch.patience, self._blocked)
        self._perform(self._initiator.start(self._reactor.seconds()))

    def stopProtocol(self) -> None:
        """The socket is closed."""
        for call in (self._timer, self._patience):
            if call is not None and call.active():
                call.cancel()

    def datagramReceived(self, datagram: bytes, addr: object) -> None:
        """Something came. Where from does not matter: only the server can seal a datagram."""
        self._perform(self._initiator.receive(datagram, self._reactor.seconds()))
        conditions = self._initiator.conditions
        if conditions.round_trip is not None and conditions != self._measured:
            self._measured = conditions
            self._watch.measured(Line(conditions, error_bound(self._progress, conditions, self._tolerance)))

    def leave(self) -> None:
        """Say goodbye."""
        for datagram in self._initiator.close().datagrams:
            self._send(datagram)

    def _blocked(self) -> None:
        self.leave()
        self._watch.finish(endings.lost("no datagram comes through", elsewhere=True))

    def _tick(self) -> None:
        self._perform(self._initiator.tick(self._reactor.seconds()))

    def _perform(self, output: Output) -> None:
        for datagram in output.datagrams:
            self._send(datagram)
        for event in output.events:
            self._tell(event)
        self._arm()

    def _send(self, datagram: bytes) -> None:
        try:
            if self.transport is not None:
                self.transport.write(datagram, self._server)
        except (OSError, MessageLengthError):
            pass  # a full buffer, no route: to the protocol, a datagram that was lost.

    def _tell(self, event: Event) -> None:
        now, offset = self._reactor.seconds(), self._initiator.pulse.offset
        match event:
            case Connected():
                if self._patience is not None and self._patience.active():
                    self._patience.cancel()
                self._watch.opened()
            case ProgressChanged():
                self._progress = event.progress
                self._watch.told(self._translation.progress(event, offset, now))
            case MaterialsChanged(materials):
                self._watch.told(self._translation.materials(materials, offset, now))
            case Closed(reason):
                self._watch.finish(endings.left(reason))

    def _arm(self) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        deadline = self._initiator.deadline
        if deadline != inf:
            self._timer = self._reactor.callLater(max(0.0, deadline - self._reactor.seconds()), self._tick)


@implementer(ILink)
class _Link:
    """See `ILink`."""

    def __init__(
        self,
        reactor: _Reactor,
        http: HTTPClient,
        url: str,
        session_id: UUID,
        player_id: UUID,
        credentials: Credentials,
        patience: float,
    ) -> None:
        self.patience = patience
        self._reactor = reactor
        self._http = http
        self._url = url
        self._session_id = session_id
        self._player_id = player_id
        self._credentials = credentials
        self._listener: ILinkListener | None = None
        self._opening: Deferred[None] | None = None
        self._socket: _Socket | None = None
        self._port: IListeningPort | None = None

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
        if self._socket is not None:
            self._socket.leave()
        self._release()

    def opened(self) -> None:
        """The socket says: welcome."""
        if self._listener is not None:
            self._listener.opened()

    def told(self, update: Update) -> None:
        """The socket says: news."""
        if self._listener is not None:
            self._listener.told(update)

    def measured(self, line: Line) -> None:
        """The socket says: so is the line."""
        if self._listener is not None:
            self._listener.measured(line)

    def finish(self, ending: Ending) -> None:
        """There is no connection, or none any more."""
        listener, self._listener = self._listener, None
        self._release()
        if listener is not None:
            listener.ended(self._credentials.after(ending))

    async def _open(self) -> None:
        try:
            token = await self._credentials.current(self._reactor.seconds())
        except Exception as error:  # whatever the caller's own function fails with.
            self.finish(endings.lost(f"no fresh token can be had: {error}"))
            return
        answer = await connect(self._http, self._url, self._player_id, token)
        if isinstance(answer, Ending):
            self.finish(answer)
            return
        named = endpoint(answer.server_endpoint)
        if named is None:
            self.finish(endings.lost("the server names no address for datagrams", elsewhere=True))
            return
        server = await resolve(self._reactor.nameResolver, *named)
        if self._listener is not None:
            self._listen(server, answer)

    def _listen(self, server: tuple[str, int], answer: UdpConnectResponse) -> None:
        initiator = Initiator(
            SessionToken.parse(answer.session_token),
            {0: self._session_id},
            heartbeat=answer.heartbeat_interval / 1000,
            agreement=agreed(answer),
        )
        translation = Translation(self._session_id, self._player_id)
        self._socket = _Socket(self._reactor, self, server, initiator, translation, answer.progress_tolerance)
        interface = "::" if ":" in server[0] else ""
        # What is too long for the protocol, the protocol says.
        self._port = self._reactor.listenUDP(0, self._socket, interface, MAX_DATAGRAM)

    def _release(self) -> None:
        self._socket = None
        port, self._port = self._port, None
        if port is not None:
            port.stopListening()

    def _failed(self, failure: Failure) -> None:
        """What `connect` does not turn into an ending: no such host, no socket, no token."""
        if self._listener is not None:
            failure.trap(DNSLookupError, OSError, ValueError)
            self.finish(endings.lost(f"cannot use UDP: {failure.getErrorMessage().rstrip('.')}", elsewhere=True))


@implementer(ITransport)
class UdpTransport:
    """Watches one session over UDP.

    Arguments:
        reactor: a real one: TCP, UDP and names.
        address: the service.
        session_id, player_id: what is watched, and whose it is.
        token: the bearer token, or a way to fresh ones. Sent in the header of the HTTP request, and in no datagram.
        patience: seconds within which the server must answer with datagrams.
    """

    name = "udp"

    def __init__(
        self,
        reactor: IReactorTime,
        address: Address,
        session_id: UUID,
        player_id: UUID,
        token: str | Credentials,
        patience: float = PATIENCE,
    ) -> None:
        self._reactor = cast("_Reactor", reactor)
        self._patience = patience
        self._http = HTTPClient(Agent(reactor))
        self._url = address.connect(session_id)
        self._session_id = session_id
        self._player_id = player_id
        self._credentials = credentials(token)

    def link(self) -> ILink:
        """See `ITransport`."""
        return _Link(
            self._reactor, self._http, self._url, self._session_id, self._player_id, self._credentials, self._patience
        )
