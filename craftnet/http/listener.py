"""The port that HTTP and WebSocket share, as a service."""

from __future__ import annotations

from typing import Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, serverFromString
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure

from craftnet.errors import ConfigurationError
from craftnet.http.tls import ServerTls, server_tls


class Listener(Service):
    """Listens while it runs. (Twisted's StreamServerEndpointService does not tell the port that was opened.)

    Arguments:
        reactor: what the endpoint listens with.
        description: a Twisted endpoint.
        factory: gets the connections.

    Attributes:
        port: what is listened on; None while nothing is.

    Raises:
        ConfigurationError: the description makes no sense, or its certificate cannot be used.
    """

    def __init__(self, reactor: Any, description: str, factory: IProtocolFactory) -> None:
        self._tls = server_tls(description)
        self._endpoint = _endpoint(reactor, description, self._tls)
        self._factory = factory
        self.port: IListeningPort | None = None

    def privilegedStartService(self) -> None:
        """Listen.

        Raises:
            Exception: what the endpoint fails with at once, such as CannotListenError.
        """
        failures: list[Failure] = []
        self._endpoint.listen(self._factory).addCallbacks(self._opened, failures.append)
        if failures:
            failures[0].raiseException()

    def stopService(self) -> Deferred[None] | None:
        """Listen no more; answers when the port is closed."""
        super().stopService()
        port, self.port = self.port, None
        return None if port is None else port.stopListening()

    @property
    def secure(self) -> bool:
        """Whether it speaks TLS."""
        return self._tls is not None

    def check_files(self) -> None:
        """Read the certificate again if its files have changed; to be called every `tls.CHECK_INTERVAL` seconds."""
        if self._tls is not None:
            self._tls.check_files()

    def reload(self) -> None:
        """Read the certificate again; one that cannot be used is logged, and the old one stays in use."""
        if self._tls is not None:
            self._tls.reload()

    @property
    def url(self) -> str:
        """Where a client on this machine finds it."""
        host = None if self.port is None else self.port.getHost()
        if not isinstance(host, (IPv4Address, IPv6Address)):
            return str(host)
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host.host, host.host)
        return f"{'https' if self.secure else 'http'}://{name}:{host.port}"

    def _opened(self, port: IListeningPort) -> None:
        self.port = port


def _endpoint(reactor: Any, description: str, tls: ServerTls | None) -> IStreamServerEndpoint:
    if tls is not None:  # Twisted's own parser would serve only the first certificate, and never read another one.
        address = tls.address
        return SSL4ServerEndpoint(reactor, address.port, tls, address.backlog, address.interface)
    try:
        endpoint: IStreamServerEndpoint = serverFromString(reactor, description)
    except Exception as error:  # whatever the endpoint's parser fails with.
        raise ConfigurationError(f"--http {description}: {error}") from None
    return endpoint
