"""One connection to a NATS server, and the choice of the server to connect to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Protocol

from msgspec import Struct
from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.clocks import IClock
from craftnet.streams.core import nats as wire


class ConnectionOwner(Protocol):
    """Takes the events of a connection: a `craftnet.streams.nats.NatsStream`."""

    clock: IClock

    def connected(self, connection: NatsConnection) -> None:
        """The server accepted a connection."""

    def disconnected(self, connection: NatsConnection) -> None:
        """A connection ended."""

    def delivered(self, delivery: wire.Delivery) -> None:
        """A message, a status, or an answer arrived."""

    def hand_over(self) -> None:
        """All frames of one read have been handled."""

    def flushed(self) -> None:
        """The server has processed everything that was sent before the last PING."""

    def failed(self, problem: str) -> None:
        """The connection has a problem."""


class NatsServer(Struct, frozen=True):
    """One server of `servers=`; its repr omits the password."""

    host: str
    port: int
    user: str = ""
    password: str = ""

    __repr__ = object.__repr__


class NatsConnection(protocol.Protocol):
    """One connection: answers PING, and passes all other frames to its owner.

    Attributes:
        heard_at: when bytes last arrived, on the steady clock.
    """

    def __init__(self, owner: ConnectionOwner, server: NatsServer) -> None:
        self._owner = owner
        self._server = server
        self._parser = wire.NatsParser()
        self.heard_at = owner.clock.seconds()
        self.accepted = False

    def dataReceived(self, data: bytes) -> None:
        """Handles bytes of the server."""
        self.heard_at = self._owner.clock.seconds()
        try:
            for frame in self._parser.feed(data):
                self._handle(frame)
            self._owner.hand_over()
        except wire.NatsError as error:
            self._owner.failed(str(error))
            self.close()

    def _handle(self, frame: wire.Frame) -> None:
        match frame:
            case wire.Info() if not self.accepted:
                self.write(wire.connect("craftnet", self._server.user, self._server.password))
            case wire.Ping():
                self.write(wire.PONG)
            case wire.Pong():
                if not self.accepted:
                    self.accepted = True
                    self._owner.connected(self)
                else:
                    self._owner.flushed()
            case wire.Delivery():
                self._owner.delivered(frame)
            case wire.ServerError(text=text):
                self._owner.failed(f"the NATS server reports: {text}")

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008  # Twisted's own signature.
        """The connection ended."""
        self._owner.disconnected(self)

    def write(self, octets: bytes) -> None:
        """Sends bytes."""
        if self.transport is not None:
            self.transport.write(octets)

    def close(self) -> None:
        """Closes the connection."""
        if self.transport is not None:
            self.transport.loseConnection()


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
        self._owner.failed(f"NATS at {server.host}:{server.port} is unreachable: {failure.getErrorMessage()}")
        return failure
