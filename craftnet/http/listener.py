"""The port that HTTP and WebSocket share, as a service."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from twisted.python.failure import Failure


class Listener(Service):
    """Listens while it runs. (Twisted's StreamServerEndpointService does not tell the port that was opened.)

    Arguments:
        secure: whether the endpoint speaks TLS.

    Attributes:
        port: what is listened on; None while nothing is.
    """

    def __init__(self, endpoint: IStreamServerEndpoint, factory: IProtocolFactory, *, secure: bool) -> None:
        self._endpoint = endpoint
        self._factory = factory
        self._scheme = "https" if secure else "http"
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
    def url(self) -> str:
        """Where a client on this machine finds it."""
        host = None if self.port is None else self.port.getHost()
        if not isinstance(host, (IPv4Address, IPv6Address)):
            return str(host)
        name = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host.host, host.host)
        return f"{self._scheme}://{name}:{host.port}"

    def _opened(self, port: IListeningPort) -> None:
        self.port = port
