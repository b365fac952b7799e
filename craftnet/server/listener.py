"""The port that HTTP and WebSocket share, also between several processes (SO_REUSEPORT)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IOpenSSLContextFactory,
    IProtocolFactory,
    IReactorTime,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import ServerFactory
from twisted.internet.tcp import Port
from twisted.logger import ILogObserver, LogEvent, Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.errors import ConfigurationError
from craftnet.http.connection.tls import Handshaken, ServerTls, server_tls
from craftnet.runtime.addresses import HostPort
from craftnet.runtime.sockets import observe_accepting


class SharedPort(Port):
    """A port on which other processes of the same user may listen as well."""

    def createInternetSocket(self) -> socket.socket:
        """A socket with that option."""
        created: socket.socket = super().createInternetSocket()
        created.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        return created


class SharingReactor:
    """A reactor for endpoints on which every port is a `SharedPort`.

    Arguments:
        reactor: does everything else.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def listenTCP(
        self, port: int, factory: ServerFactory[Any] | TLSMemoryBIOFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """As in `IReactorTCP`."""
        listening = SharedPort(port, factory, backlog, interface, self._reactor)
        listening.startListening()
        return listening

    def listenSSL(
        self,
        port: int,
        factory: ServerFactory,
        contextFactory: IOpenSSLContextFactory,
        backlog: int = 50,
        interface: str = "",
    ) -> IListeningPort:
        """As in `IReactorSSL`."""
        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface)


class ProbingReactor(SharingReactor):
    """A reactor for endpoints that listens on nothing, but checks that no other process listens.

    Processes that share a port would not notice: the kernel lets two groups of processes share it as well.
    """

    def listenTCP(
        self, port: int, factory: ServerFactory[Any] | TLSMemoryBIOFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        """A port that was not started.

        Raises:
            CannotListenError: it could not be opened.
        """
        trying = Port(port, factory, backlog, interface, self._reactor)
        family, kind = trying.addressFamily, trying.socketType
        try:
            with trying.createInternetSocket() as attempt:
                attempt.bind(socket.getaddrinfo(interface or None, port, family, kind, flags=socket.AI_PASSIVE)[0][4])
        except OSError as error:
            raise CannotListenError(interface, port, error) from None
        return trying


LOG_INTERVAL = 10.0
"""Minimum seconds between two log lines about connections that cannot be accepted."""

ACCEPT_PAUSE = 0.5
"""Seconds until the port is used again after it could accept nothing."""


class Listener(Service):
    """Listens while it runs. (Twisted's StreamServerEndpointService does not expose the opened port.)

    Arguments:
        reactor: the reactor of the endpoint.
        description: a Twisted endpoint.
        factory: handles the connections.
        refused: called with a label for every connection that is closed at once for lack of a file descriptor.
        option: that gave the description, for errors.
        handshaken: called for every TLS handshake.

    Attributes:
        port: the open port; None while there is none.

    Raises:
        ConfigurationError: the description is invalid, or its certificate unusable.
    """

    def __init__(
        self,
        reactor: Any,
        description: str,
        factory: IProtocolFactory,
        refused: Callable[[str], object] = lambda reason: None,
        option: str = "--http",
        handshaken: Handshaken = lambda version, group: None,
    ) -> None:
        self._reactor = reactor
        self._refused = refused
        self._tls = server_tls(description, handshaken)
        self._endpoint = _endpoint(reactor, description, self._tls, option)
        self._factory = factory
        self.port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Listens.

        Raises:
            Exception: as the endpoint fails at once, such as CannotListenError.
        """
        failures: list[Failure] = []
        self._endpoint.listen(self._factory).addCallbacks(self._opened, failures.append)
        if failures:
            failures[0].raiseException()

    def stopService(self) -> Deferred[None] | None:
        """Stops listening; the Deferred fires when the port is closed."""
        super().stopService()
        port, self.port = self.port, None
        return None if port is None else port.stopListening()

    @property
    def secure(self) -> bool:
        """Whether the port uses TLS."""
        return self._tls is not None

    @property
    def certificate_validity(self) -> tuple[float, float] | None:
        """When the certificate begins and ceases to be valid, Unix seconds; None without TLS."""
        return None if self._tls is None else self._tls.validity

    def check_files(self) -> None:
        """Reads the certificate again if its files have changed; called every `tls.CHECK_INTERVAL` seconds."""
        if self._tls is not None:
            self._tls.check_files()

    def reload(self) -> bool:
        """Reads the certificate again; returns whether it has changed.

        Raises:
            ConfigurationError: it is unusable, and the previous one stays in use.
        """
        return self._tls is not None and self._tls.reload()

    @property
    def url(self) -> str:
        """The URL for clients on this machine."""
        host = None if self.port is None else self.port.getHost()
        if not isinstance(host, (IPv4Address, IPv6Address)):
            return str(host)
        name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.host, host.host)
        return f"{'https' if self.secure else 'http'}://{HostPort(name, host.port)}"

    def _opened(self, port: Any) -> None:
        self.port = port
        observe_accepting(port, AcceptFailures(port, self._reactor, self._refused))


@implementer(ILogObserver)
class AcceptFailures:
    """Counts connections that cannot be accepted, and logs at most one line in `LOG_INTERVAL` seconds.

    Twisted accepts those that find no file descriptor left with one that it keeps in reserve, and closes them. When not
    even that is possible, it would retry at once, for ever; so the port pauses.

    Arguments:
        port: an `IListeningPort` that is also an `IReadDescriptor`.
        clock: IReactorTime.
        refused: called with a label for every connection that is closed.
    """

    _log = Logger()

    def __init__(self, port: Any, clock: IReactorTime, refused: Callable[[str], object]) -> None:
        self._port = port
        self._clock = clock
        self._refused = refused
        self._next = clock.seconds()

    def __call__(self, event: LogEvent) -> None:
        """As in `ILogObserver`: handles what the port logs while it accepts."""
        error = event.get("acceptError")
        if "address" in event:
            self._refused("open_files")
            self._say("no file descriptor is left", "closed")
        elif error is not None and error != "ECONNABORTED":  # the client closed too early.
            self._say(str(error), "left waiting")
            self._port.stopReading()
            self._clock.callLater(ACCEPT_PAUSE, self._go_on)

    def _say(self, why: str, fate: str) -> None:
        if self._clock.seconds() >= self._next:
            self._next = self._clock.seconds() + LOG_INTERVAL
            self._log.error(
                "New connections are {fate}: {why}. Raise the hard limit of open files (ulimit -Hn), or lower"
                " --max-connections and --max-half-open. This is logged at most every {interval:g} seconds",
                fate=fate,
                why=why,
                interval=LOG_INTERVAL,
            )

    def _go_on(self) -> None:
        if self._port.connected:
            self._port.startReading()


def _endpoint(reactor: Any, description: str, tls: ServerTls | None, option: str) -> IStreamServerEndpoint:
    if tls is not None:  # Twisted's own parser would serve only the first certificate, and never reload it.
        address = tls.address
        return SSL4ServerEndpoint(reactor, address.port, tls, address.backlog, address.interface)
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # the endpoint's parser may raise anything.
        raise ConfigurationError(f"{option} {description}: {error}") from None
    return endpoint
