"""One connection to Redis, made again whenever it is lost. Whatever goes wrong with it is `Unavailable`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import uniform
from typing import Any

# txredisapi ships no annotations. Importing it installs a reactor, so that nothing may import this module before the
# back end is chosen.
import txredisapi  # type: ignore[import-untyped]
from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import Unavailable

Value = bytes | str | int | float

_retry_delay = backoffPolicy(initialDelay=0.1, maxDelay=3.0, jitter=lambda: uniform(0.0, 0.2))
"""Seconds; random in part, so that many nodes do not come back all at once."""

_CODE = re.compile(r"(?:^|[ -])(OOM|LOADING|READONLY|MISCONF|NOAUTH|WRONGPASS|NOPERM|BUSY|MASTERDOWN|NOREPLICAS)\b")
_REASONS = {
    "OOM": "Redis is out of memory.",
    "LOADING": "Redis is loading its data.",
    "READONLY": "Redis is a read-only replica.",
    "MISCONF": "Redis cannot save its data and takes no changes.",
    "NOAUTH": "Redis wants a password.",
    "WRONGPASS": "Redis does not take the user name or password.",
    "NOPERM": "Redis does not give this user the rights that are needed.",
    "BUSY": "Redis is busy with a script.",
    "MASTERDOWN": "Redis has lost its master.",
    "NOREPLICAS": "Redis has too few replicas to take changes.",
}


class Credentials:
    """What Redis is told at the start of a connection. A class of its own, so that no repr shows the password."""

    def __init__(self, user: str | None, password: str | None) -> None:
        self.user = user
        self.password = password


class Link(Service):
    """One connection.

    Arguments:
        described: where Redis is, for logs.
        timeout: seconds until an answer is no longer waited for; the connection is given up then.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        described: str,
        credentials: Credentials,
        db: int,
        reactor: Any,
        timeout: float,
    ) -> None:
        self._described = described
        self._credentials = credentials
        self._db = db
        self._reactor = reactor
        self._timeout = timeout
        self._connection: Any = None
        # Whether the newest attempt failed, so that nobody needs to wait to hear it again.
        self._down = False
        factory = Factory.forProtocol(self._protocol)
        factory.noisy = False
        self._client = ClientService(endpoint, factory, self._delay, reactor, self._prepare)

    def startService(self) -> None:
        """Connect."""
        super().startService()
        self._client.startService()
        self._watch_attempt()

    def stopService(self) -> Deferred[None]:
        """Disconnect."""
        super().stopService()
        stopped: Deferred[None] | None = self._client.stopService()
        return stopped or succeed(None)

    async def connected(self) -> None:
        """Wait for the connection, however long it takes."""
        await self._client.whenConnected()

    async def ask(self, *command: Value) -> Any:
        """One command.

        Raises:
            Unavailable: no answer, or one that says it cannot be done now.
        """
        connection = await self._usable()
        try:
            return await connection.execute_command(*command)
        except txredisapi.RedisError as error:
            raise self._unavailable(error, connection) from None

    async def run(self, script: bytes, keys: Sequence[str], arguments: Sequence[Value]) -> Any:
        """One script of `craftnet.providers.redis.scripts`; raises as `ask` does."""
        connection = await self._usable()
        try:
            return await connection.eval(script, keys, arguments)
        except txredisapi.RedisError as error:
            raise self._unavailable(error, connection) from None

    def _protocol(self) -> Any:
        return txredisapi.RedisProtocol(charset=None, replyTimeout=self._timeout, convertNumbers=False)

    async def _usable(self) -> Any:
        if self._connection is not None:
            return self._connection
        if self._down or not self.running:
            raise Unavailable("Redis is out of reach.")
        attempt = self._client.whenConnected(failAfterFailures=1).addTimeout(self._timeout, self._reactor)
        try:
            return await attempt
        except Exception:  # whatever an endpoint fails with
            raise Unavailable("Redis is out of reach.") from None

    def _prepare(self, connection: Any) -> Deferred[None]:
        return Deferred.fromCoroutine(self._introduce(connection))

    async def _introduce(self, connection: Any) -> None:
        try:
            if self._credentials.password is not None:
                await connection.auth(self._credentials.password, self._credentials.user)
            if self._db:
                await connection.select(self._db)
            await connection.ping()
        except txredisapi.RedisError as error:
            connection.transport.abortConnection()
            raise self._unavailable(error, connection) from None
        if self._down:
            self._log.info("Redis at {address} is back", address=self._described)
        self._down = False
        self._connection = connection
        connection.whenDisconnected().addCallback(self._lost)

    def _lost(self, connection: Any) -> None:
        if connection is self._connection:
            self._connection = None
            if self.running:
                self._watch_attempt()

    def _watch_attempt(self) -> None:
        """Say why, if the next attempt fails; those after it are silent until one succeeds."""
        self._client.whenConnected(failAfterFailures=1).addErrback(self._say_down)

    def _say_down(self, failure: Failure) -> None:
        if self.running:
            self._log.warn(
                "Redis at {address} is out of reach, trying again every few seconds: {reason}",
                address=self._described,
                reason=failure.getErrorMessage() or type(failure.value).__name__,
            )

    def _delay(self, attempt: int) -> float:
        self._down = self._down or attempt > 0
        return _retry_delay(attempt)

    def _unavailable(self, error: Exception, connection: Any) -> Unavailable:
        """The reason, without the text of the error: it may quote what was sent."""
        if isinstance(error, txredisapi.TimeoutError):
            return Unavailable("Redis does not answer in time.")
        if not isinstance(error, txredisapi.ResponseError):
            return Unavailable("Redis is out of reach.")
        code = _CODE.search(str(error))
        if code is None:
            self._log.error("Redis at {address} answers: {error}", address=self._described, error=str(error))
            return Unavailable("Redis answers with an error.")
        if code[1] == "READONLY":
            # It was the master before; the name may lead to the new one by now.
            connection.transport.abortConnection()
        return Unavailable(_REASONS[code[1]])
