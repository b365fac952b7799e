"""The way to a master that Sentinel looks after: its sentinels are asked where it is before every connection.

https://redis.io/docs/latest/develop/reference/sentinel-clients/ says how. (txredisapi's own Sentinel keeps a connection
open to every sentinel, knows neither TLS nor another reactor, and takes ten seconds to give up.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import txredisapi  # type: ignore[import-untyped]  # it ships no annotations. As for `link`: it installs a reactor.
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure
from zope.interface import implementer

from craftnet.addresses import HostPort
from craftnet.errors import Unavailable
from craftnet.providers.redis.link import Credentials

Reach = Callable[[HostPort], IStreamClientEndpoint]


@implementer(IStreamClientEndpoint)
class SentinelEndpoint:
    """Leads to whichever server is the master now, as the first sentinel says that knows.

    Whether it is the master indeed, is for whoever connects to ask it: sentinels may be late.

    Arguments:
        reach: makes the endpoint of an address; sentinels and servers are reached alike.
        sentinels: asked in this order, beginning with the one that knew last.
        service: what the sentinels call the master.
        credentials: of the sentinels, which have others than the servers.
        timeout: seconds for a sentinel to answer.
    """

    def __init__(
        self, reach: Reach, sentinels: Sequence[HostPort], service: str, credentials: Credentials, timeout: float
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
            Unavailable: no sentinel says where the master is.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        return await self._reach(await self.master()).connect(factory)

    async def master(self) -> HostPort:
        """Where the master is.

        Raises:
            Unavailable: no sentinel says it.
        """
        reasons = []
        for sentinel in tuple(self._sentinels):
            try:
                master = await self._ask(sentinel)
            except CancelledError:
                raise  # whoever asked stops; the others need not be asked.
            except Exception as error:  # whatever an endpoint fails with, or a sentinel answers; the next may know.
                reasons.append(f"{sentinel}: {error}")
                continue
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)
            return master
        raise Unavailable(f"no sentinel says where {self._service} is ({'; '.join(reasons)})")

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
    """The same, but cancelled it fails with CancelledError.

    Twisted's endpoints fail with errors of connecting then, and those that are looking up a name as if there were none.
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
