"""The way to Redis: direct or through sentinels, with TLS or without, always to the present master."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import txredisapi  # type: ignore[import-untyped]  # it ships no annotations. As for `link`: it installs a reactor.
from cryptography.x509 import load_pem_x509_certificates
from OpenSSL.crypto import X509
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.errors import ConfigurationError, Unavailable
from craftnet.providers.redis.connection import RedisConnection, RedisCredentials
from craftnet.providers.redis.settings import RedisSettings
from craftnet.runtime.addresses import HostPort

Reach = Callable[[HostPort], IStreamClientEndpoint]


@implementer(IStreamClientEndpoint)
class SentinelEndpoint:
    """Leads to the present master, according to the first sentinel that knows it.

    The connection itself verifies that the server is a master: sentinels may be late.

    Arguments:
        reach: returns the endpoint of an address; sentinels and servers are reached alike.
        sentinels: asked in this order, starting with the one that last answered.
        service: the master's name at the sentinels.
        credentials: of the sentinels, which have their own.
        timeout: seconds for a sentinel to answer.
    """

    def __init__(
        self, reach: Reach, sentinels: Sequence[HostPort], service: str, credentials: RedisCredentials, timeout: float
    ) -> None:
        self._reach = reach
        self._sentinels = list(sentinels)
        self._service = service
        self._credentials = credentials
        self._factory = Factory.forProtocol(
            lambda: txredisapi.RedisProtocol(charset=None, replyTimeout=timeout, convertNumbers=False)
        )
        self._factory.noisy = False

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """As in `IStreamClientEndpoint`.

        Fails:
            Unavailable: no sentinel knows the master.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        return await self._reach(await self.master()).connect(factory)

    async def master(self) -> HostPort:
        """The address of the master.

        Raises:
            Unavailable: no sentinel knows it.
        """
        reasons = []
        for sentinel in tuple(self._sentinels):
            try:
                master = await self._ask(sentinel)
            except CancelledError:
                raise  # the caller stops; the other sentinels need not be asked.
            except Exception as error:  # an endpoint or a sentinel's answer may raise anything; the next one may know.
                reasons.append(f"{sentinel}: {error}")
                continue
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
            return master
        raise Unavailable(f"no sentinel knows the address of {self._service} ({'; '.join(reasons)})")

    async def _ask(self, sentinel: HostPort) -> HostPort:
        connection: Any = await _cancellable(self._reach(sentinel).connect(self._factory))
        try:
            if self._credentials.password is not None:
                await connection.auth(self._credentials.password, self._credentials.user)
            answer = await connection.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._service)
        finally:
            connection.transport.loseConnection()
        if answer is None:
            raise Unavailable("does not know it")
        host, port = answer
        return HostPort(host.decode(), int(port))


def _cancellable(connecting: Deferred[IProtocol]) -> Deferred[IProtocol]:
    """The same, but it fails with CancelledError when cancelled.

    Twisted's endpoints then fail with connection errors, and while resolving a name as if the name did not exist.
    """

    def cancel(waiting: Deferred[IProtocol]) -> None:
        waiting.errback(CancelledError())
        connecting.cancel()

    def ended(result: IProtocol | Failure) -> None:
        if not waiting.called:
            waiting.callback(result)  # a Failure fails it.

    waiting = Deferred[IProtocol](cancel)
    connecting.addBoth(ended)
    return waiting


MASTER_CHECK_INTERVAL = 1.0
"""Seconds between checks."""


class MasterWatch(Service):
    """Replaces connections when the master changes.

    Arguments:
        links: all connections that lead to the master.
    """

    _log = Logger()

    def __init__(self, sentinels: SentinelEndpoint, links: Sequence[RedisConnection], reactor: Any) -> None:
        self._sentinels = sentinels
        self._links = links
        self._master: HostPort | None = None
        self._asked: Deferred[None] | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def startService(self) -> None:
        """Starts checking."""
        super().startService()
        self._looking.start(MASTER_CHECK_INTERVAL)

    def stopService(self) -> None:
        """Stops checking."""
        super().stopService()
        self._looking.stop()
        if self._asked is not None:
            self._asked.cancel()

    def _look(self) -> Deferred[None]:
        self._asked = Deferred.fromCoroutine(self._compare())
        return self._asked

    async def _compare(self) -> None:
        try:
            master = await self._sentinels.master()
        except (CancelledError, Unavailable):
            return  # stopped, or a connection attempt will report it.
        if self._master not in (None, master):
            self._log.warn(
                "The sentinels name another master: {master}, before {former}. All connections are replaced.",
                master=str(master),
                former=str(self._master),
            )
            for link in self._links:
                link.renew()
        self._master = master


def endpoint(reactor: Any, settings: RedisSettings, sentinel_password: str | None) -> IStreamClientEndpoint:
    """The endpoint for `settings`.

    Raises:
        ConfigurationError: the file with trusted authorities cannot be used.
    """
    reach = partial(_reach, reactor, settings, _trust(settings) if settings.tls else None)
    if not settings.sentinels:
        return reach(settings.address)
    credentials = RedisCredentials(None, sentinel_password)
    return SentinelEndpoint(reach, settings.sentinels, settings.service, credentials, settings.timeout)


def _reach(reactor: Any, settings: RedisSettings, trust: Any, address: HostPort) -> IStreamClientEndpoint:
    """The endpoint of one server; with TLS if `trust` is given."""
    way: IStreamClientEndpoint = HostnameEndpoint(reactor, address.host, address.port, timeout=settings.timeout)
    if trust is not None:
        way = wrapClientTLS(optionsForClientTLS(address.host, trustRoot=trust), way)
    return way


def _trust(settings: RedisSettings) -> Any:
    """The trusted certificate authorities.

    Raises:
        ConfigurationError: the named file contains none.
    """
    if settings.ca is None:
        return platformTrust()
    try:
        found = load_pem_x509_certificates(Path(settings.ca).read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"rediss: ca names {settings.ca}, which contains no certificates: {error}") from None
    return trustRootFromCertificates([Certificate(X509.from_cryptography(one)) for one in found])
