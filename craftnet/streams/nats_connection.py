"""One connection to a NATS server, and the choice of the server to connect to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

from OpenSSL import SSL
from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IDelayedCall, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError
from craftnet.streams.core import nats as wire
from craftnet.streams.nats_settings import NatsServer, NatsSettings

ACCEPT_TIMEOUT = 10.0
"""Seconds for a server to accept a connection, from its first byte on; TLS included."""


class ConnectionOwner(Protocol):
    """Takes the events of a connection: a `craftnet.streams.nats.NatsStream`."""

    clock: IClock

    def connected(self, connection: NatsConnection) -> None:
        """The server accepted a connection."""

    def disconnected(self, connection: NatsConnection) -> None:
        """A connection ended, accepted or not."""

    def delivered(self, delivery: wire.Delivery) -> None:
        """A message, a status, or an answer arrived."""

    def hand_over(self) -> None:
        """All frames of one read have been handled."""

    def flushed(self) -> None:
        """The server has processed everything that was sent before the last PING."""

    def failed(self, problem: str) -> None:
        """The connection has a problem."""


class NatsConnection(protocol.Protocol):
    """One connection: begins TLS, sends credentials, answers PING, and passes all other frames to its owner.

    Attributes:
        heard_at: when bytes last arrived, on the steady clock.
    """

    def __init__(self, owner: ConnectionOwner, server: NatsServer, settings: NatsSettings) -> None:
        self._owner = owner
        self._server = server
        self._settings = settings
        self._parser = wire.NatsParser()
        self._greeted = self._accepted = self._refused = False
        self._overdue: IDelayedCall | None = None
        self.heard_at = owner.clock.seconds()

    def connectionMade(self) -> None:
        """The server has to accept the connection in time."""
        self._overdue = self._owner.clock.callLater(ACCEPT_TIMEOUT, self._late)

    def dataReceived(self, data: bytes) -> None:
        """Handles bytes of the server."""
        self.heard_at = self._owner.clock.seconds()
        try:
            for frame in self._parser.feed(data):
                self._handle(frame)
            self._owner.hand_over()
        except (wire.NatsError, ConfigurationError) as error:
            self._fail(str(error))
            self.close()

    def _handle(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Info() if not self._greeted:
                self._greeted = True
                self._greet(frame)
            case wire.Ping():
                self.write(wire.PONG)
            case wire.Pong():
                if not self._accepted:
                    self._accepted = True
                    self._in_time()
                    self._owner.connected(self)
                else:
                    self._owner.flushed()
            case wire.Delivery():
                self._owner.delivered(frame)
            case wire.ServerError(text=text):
                self._fail(f"the NATS server {self._server} reports: {text}")

    def _greet(self, info: wire.Info) -> None:
        """Begins TLS if the URL or the server demands it, and sends the credentials."""
        if self._server.tls and not (info.tls_required or info.tls_available):
            raise wire.NatsError(f"the NATS server {self._server} offers no TLS, which tls:// insists on")
        if self._server.tls or info.tls_required:
            if self._parser.has_more:  # it would count as sent under TLS.
                raise wire.NatsError(f"the NATS server {self._server} sends data before TLS begins")
            transport: Any = self.transport
            transport.startTLS(self._settings.tls(self._server.host))
        credentials = self._server.credentials or self._settings.credentials()
        self.write(wire.connect("craftnet", credentials.answer(info.nonce)))

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008  # Twisted's own signature.
        """The connection ended."""
        if not self._refused and not reason.check(ConnectionClosed):
            self._fail(f"the connection to NATS at {self._server} failed: {_reason_of(reason)}")
        elif not self._refused and not self._accepted:
            self._fail(f"the NATS server {self._server} closed the connection")
        self._in_time()
        self._owner.disconnected(self)

    def write(self, octets: bytes) -> None:
        """Sends bytes."""
        if self.transport is not None:
            self.transport.write(octets)

    def close(self) -> None:
        """Closes the connection."""
        if self.transport is not None:
            self.transport.loseConnection()

    def _fail(self, problem: str) -> None:
        self._refused = True
        self._owner.failed(problem)

    def _in_time(self) -> None:
        if self._overdue is not None and self._overdue.active():
            self._overdue.cancel()

    def _late(self) -> None:
        self._fail(f"the NATS server {self._server} did not accept the connection within {ACCEPT_TIMEOUT:g} seconds")
        transport: Any = self.transport
        transport.abortConnection()


@implementer(IStreamClientEndpoint)
class AnyServer:
    """Connects to the servers of a list in turn.

    Attributes:
        server: the server of the latest attempt.
    """

    def __init__(self, owner: ConnectionOwner, servers: Sequence[NatsServer], reactor: Any) -> None:
        self._owner = owner
        self._servers = servers
        self._reactor = reactor
        self._attempts = count()
        self.server = servers[0]

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """As in `IStreamClientEndpoint`."""
        server = self.server = self._servers[next(self._attempts) % len(self._servers)]
        attempt = HostnameEndpoint(self._reactor, server.host, server.port).connect(protocolFactory)
        return attempt.addErrback(self._failed, server)

    def _failed(self, failure: Failure, server: NatsServer) -> Failure:
        self._owner.failed(f"NATS at {server} is unreachable: {failure.getErrorMessage()}")
        return failure


def _reason_of(failure: Failure) -> str:
    """The reason, for people. OpenSSL's errors are lists of library, function and text."""
    error = failure.value
    if isinstance(error, SSL.Error) and error.args and error.args[0]:
        return f"TLS: {error.args[0][0][-1]}"
    return failure.getErrorMessage()
