"""One connection to Redis, made again whenever it is lost. Whatever goes wrong with it is `Unavailable`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from random import uniform
from typing import Any

# txredisapi ships no annotations. Importing it installs a reactor, so that nothing may import this module before the
# back end is chosen.
import hiredis
import txredisapi  # type: ignore[import-untyped]
from twisted.application.internet import backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.runtime.deferreds import Waiters

Value = bytes | str | int | float

_retry_delay = backoffPolicy(initialDelay=0.1, maxDelay=3.0, jitter=lambda: uniform(0.0, 0.2))
"""Seconds; random in part, so that many nodes do not come back all at once."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a connection may take to close."""

_READ_ONLY = "READONLY"
_WRONG_TYPE = "WRONGTYPE"
_SILENCE = "no answer"
"""Beside what Redis says, what the log hears once in a connection."""

_REASONS = {
    _WRONG_TYPE: "Another type of value is kept there.",
    "OOM": "Redis is out of memory.",
    "LOADING": "Redis is loading its data.",
    _READ_ONLY: "Redis is a read-only replica.",
    "MISCONF": "Redis cannot save its data and takes no changes.",
    "NOAUTH": "Redis wants a password.",
    "WRONGPASS": "Redis does not take the user name or password.",
    "NOPERM": "Redis does not give this user the rights that are needed.",
    "BUSY": "Redis is busy with a script.",
    "MASTERDOWN": "Redis has lost its master.",
    "UNBLOCKED": "Redis is no master any more.",
    "NOREPLICAS": "Redis has too few replicas to take changes.",
    "max number of clients reached": "Redis has as many clients as its maxclients allows.",
}
_CODE = re.compile(rf"(?:^|[ -])({'|'.join(_REASONS)})\b")


class Unreadable(Unavailable):
    """What Redis keeps there is not ours. Waiting does not help."""


class Unanswered(Unavailable):
    """Redis has not answered in time. It may have done what it was asked, or not."""


class RedisCredentials:
    """What Redis is told at the start of a connection. A class of its own, so that no repr shows the password."""

    def __init__(self, user: str | None, password: str | None) -> None:
        self.user = user
        self.password = password


class _RedisProtocol(txredisapi.RedisProtocol):  # type: ignore[misc]  # it has no annotations.
    """Remembers why it was lost, and leaves to hiredis what txredisapi does in Python, word by word."""

    why = ""

    def _build_command(self, *words: Value, **_: object) -> bytes:
        """The octets of a command."""
        packed: bytes = hiredis.pack_command(words)  # type: ignore[arg-type]  # its stub says: one word.
        return packed

    def tryConvertData(self, data: object) -> object:
        """A reply as hiredis read it: Link asks for neither numbers nor text instead of bytes."""
        return data

    def connectionLost(self, reason: Failure) -> None:
        """Everything that waits for an answer fails."""
        self.why = reason.getErrorMessage() or reason.type.__name__  # type: ignore[union-attr]  # it has a type.
        super().connectionLost(reason)


class RedisConnection(Service):
    """One connection.

    Twisted's ClientService is no help: it breaks when a connection is lost while it is being prepared.

    Arguments:
        described: where Redis is, for logs.
        timeout: seconds until an answer is no longer waited for; the connection is given up then.
        master: whether to make sure that it is one. Needs the right to the command ROLE.

    Attributes:
        generation: how many connections there were.
    """

    _log = Logger()

    def __init__(
        self,
        endpoint: IStreamClientEndpoint,
        described: str,
        credentials: RedisCredentials,
        db: int,
        reactor: Any,
        timeout: float,
        *,
        master: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._described = described
        self._credentials = credentials
        self._db = db
        self._reactor = reactor
        self._timeout = timeout
        self._master = master
        self._factory = Factory.forProtocol(self._protocol)
        self._factory.noisy = False
        self.generation = 0
        self._connection: Any = None
        self._keeping: Deferred[None] | None = None
        # Failed attempts since there was a connection; above 0, nobody needs to wait for the next to fail.
        self._failures = 0
        self._attempts: Waiters[None] = Waiters()
        self._said: set[str] = set()
        self._demoted = False  # whether the connection was given up because the server is no master any more.

    def startService(self) -> None:
        """Connect."""
        super().startService()
        self._keeping = Deferred.fromCoroutine(self._keep())

    def stopService(self) -> Deferred[None]:
        """Disconnect."""
        super().stopService()
        keeping, self._keeping = self._keeping, None
        gone: Deferred[None] = succeed(None)
        if self._connection is not None:
            # What was sent last is still to go out; but nobody waits for a Redis that hangs.
            deadline = self._reactor.callLater(CLOSE_TIMEOUT, self._connection.transport.abortConnection)
            gone = self._connection.whenDisconnected().addCallback(lambda _: deadline.active() and deadline.cancel())
            self._connection.transport.loseConnection()
        elif keeping is not None:
            keeping.cancel()
        self._attempts.release(None)
        return gone

    def renew(self) -> None:
        """Give the connection up, and make another: the endpoint may lead elsewhere by now."""
        if self._connection is not None:
            self._connection.transport.abortConnection()

    async def connected(self) -> None:
        """Wait for the connection, however long it takes."""
        while self._connection is None:
            await self._attempts.wait()

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def ask(self, *command: Value, generation: int | None = None) -> Any:
        """One command.

        Arguments:
            generation: the connection that it must go over, if it must be a certain one.

        Raises:
            Unavailable: no answer, or one that says it cannot be done now; or there is another connection by now.
        """
        connection = await self._usable(generation)
        try:
            return await connection.execute_command(*command)
        except txredisapi.RedisError as error:
            raise self._unavailable(error, connection) from None

    async def run(
        self, script: bytes, keys: Sequence[str], arguments: Sequence[Value], generation: int | None = None
    ) -> Any:
        """One script of `craftnet.providers.redis.scripts`; raises as `ask` does."""
        connection = await self._usable(generation)
        try:
            return await connection.eval(script, keys, arguments)
        except txredisapi.RedisError as error:
            raise self._unavailable(error, connection) from None

    def _protocol(self) -> Any:
        return _RedisProtocol(charset=None, replyTimeout=self._timeout, convertNumbers=False)

    async def _usable(self, generation: int | None) -> Any:
        if self._connection is None and self._failures == 0 and self.running:
            try:
                await self._attempts.wait().addTimeout(self._timeout, self._reactor)
            except TimeoutError:
                raise Unavailable("Redis does not answer in time.") from None
        if self._connection is None:
            raise Unavailable("Redis is out of reach.")
        if generation not in (None, self.generation):
            raise Unavailable("Redis was out of reach in between.")
        return self._connection

    async def _keep(self) -> None:
        while self.running:
            try:
                self._connection = await self._connect()
            except Exception as error:  # whatever an endpoint fails with
                if not self.running:
                    return
                self._failed(error)
            else:
                lost = self._connection.whenDisconnected()
                self._succeeded()
                await lost
                self._connection = None
            if self.running:
                try:
                    await deferLater(self._reactor, _retry_delay(self._failures))
                except CancelledError:
                    return

    async def _connect(self) -> Any:
        connection: Any = await self._endpoint.connect(self._factory)
        try:
            if self._credentials.password is not None:
                await connection.auth(self._credentials.password, self._credentials.user)
            if self._db:
                await connection.select(self._db)
            await connection.ping()
            role = (await connection.role())[0] if self._master else b"master"
        except txredisapi.RedisError as error:
            connection.transport.abortConnection()
            raise Unavailable(f"{_reason(error)} {connection.why}".rstrip()) from None
        except CancelledError:
            connection.transport.abortConnection()
            raise
        if role != b"master":
            connection.transport.abortConnection()
            raise Unavailable("who is called the master is none (yet, or any more)")
        return connection

    def _succeeded(self) -> None:
        if self._failures:
            self._log.info("Redis at {address} is back", address=self._described)
        self._failures = 0
        self.generation += 1
        # As long as each connection leads to a replica, that was said.
        self._said = {_READ_ONLY} if self._demoted else set()
        self._demoted = False
        self._attempts.release(None)

    def _failed(self, error: Exception) -> None:
        """Say why, once; attempts after the first are silent until one succeeds."""
        if not self._failures:
            reason = str(error) or type(error).__name__
            self._log.warn(
                "Redis at {address} is out of reach, trying again every few seconds: {reason}",
                address=self._described,
                reason=reason,
            )
        self._failures += 1
        self._attempts.release(None)

    def _unavailable(self, error: Exception, connection: Any) -> Unavailable:
        """What to tell whoever asked. The log hears of each kind of answer once in a connection."""
        code = _code(error)
        if code == _READ_ONLY:
            # It was the master before; the name may lead to the new one by now.
            self._demoted = True
            connection.transport.abortConnection()
        if isinstance(error, txredisapi.TimeoutError) and connection is self._connection and _SILENCE not in self._said:
            self._said.add(_SILENCE)
            self._log.warn(
                "Redis at {address} has not answered within {timeout:g} seconds: another connection is made",
                address=self._described,
                timeout=self._timeout,
            )
        if isinstance(error, txredisapi.ResponseError) and code not in self._said:
            self._said.add(code)
            self._log.warn("Redis at {address} answers: {error}", address=self._described, error=str(error))
        if isinstance(error, txredisapi.TimeoutError):
            return Unanswered(_reason(error))
        return Unreadable(_reason(error)) if code == _WRONG_TYPE else Unavailable(_reason(error))


def _code(error: Exception) -> str:
    """The word with which Redis begins what it says; empty when it is none that is known."""
    found = _CODE.search(str(error))
    return "" if found is None else found[1]


def _reason(error: Exception) -> str:
    """For those who ask: without the text of the error, which may quote what was sent."""
    if isinstance(error, txredisapi.TimeoutError):
        return "Redis does not answer in time."
    if not isinstance(error, txredisapi.ResponseError):
        return "Redis is out of reach."
    return _REASONS.get(_code(error), "Redis answers with an error.")
