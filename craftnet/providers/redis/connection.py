"""One connection to Redis, restored whenever it is lost. Every failure of it is `Unavailable`."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

# txredisapi ships no annotations. Importing it installs a reactor, so nothing may import this module before the back
# end is chosen.
import hiredis
import txredisapi  # type: ignore[import-untyped]
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.errors import Unavailable
from craftnet.runtime.backoff import Backoff
from craftnet.runtime.deferreds import RestartedTask, Waiters

Value = bytes | str | int | float

FIRST_BACKOFF, MAX_BACKOFF = 0.3, 3.0
"""Seconds of the longest delay before the first attempt to reconnect, and before any."""

STABLE = 1.0
"""Seconds after which a lost connection is restored as fast as the first."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a connection may take to close."""

_READ_ONLY = "READONLY"
_WRONG_TYPE = "WRONGTYPE"
_SILENCE = "no answer"
"""The reasons for the log, each logged once per connection."""

_REASONS = {
    _WRONG_TYPE: "The key has another type of value.",
    "OOM": "Redis is out of memory.",
    "LOADING": "Redis is loading its data.",
    _READ_ONLY: "Redis is a read-only replica.",
    "MISCONF": "Redis cannot save its data and accepts no changes.",
    "NOAUTH": "Redis requires a password.",
    "WRONGPASS": "Redis refuses the user name or password.",
    "NOPERM": "Redis does not give this user the necessary rights.",
    "BUSY": "Redis is busy with a script.",
    "MASTERDOWN": "Redis has lost its master.",
    "UNBLOCKED": "Redis is no longer a master.",
    "NOREPLICAS": "Redis has too few replicas to accept changes.",
    "max number of clients reached": "Redis has as many clients as its maxclients allows.",
}
_CODE = re.compile(rf"(?:^|[ -])({'|'.join(_REASONS)})\b")


T = TypeVar("T")


class Unreadable(Unavailable):
    """The stored value is not craftnet's. Waiting does not help."""


class Unanswered(Unavailable):
    """Redis did not answer in time. It may or may not have done what it was asked."""


class RedisCredentials:
    """The credentials for a connection. A class of its own, so that no repr shows the password."""

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
        """A reply as hiredis parsed it, without conversions to numbers or text."""
        return data

    def connectionLost(self, reason: Failure) -> None:
        """Fails everything that waits for an answer."""
        self.why = reason.getErrorMessage() or reason.type.__name__  # type: ignore[union-attr]  # it has a type.
        super().connectionLost(reason)


class CommandTracer(Protocol):
    """Traces commands."""

    async def command(self, name: str, trace: str, running: Awaitable[T]) -> T:
        """Waits for a command, with a span below that of an event, `trace`, as in traceparent."""


class RedisConnection(Service):
    """One connection.

    Twisted's ClientService does not fit: it breaks when a connection is lost while it is being prepared.

    Arguments:
        described: the address of Redis, for logs.
        timeout: seconds after which an answer counts as missing and the connection is given up.
        master: whether to verify that the server is a master. Needs the right to the command ROLE.
        backoff: the delays between attempts to connect; None: the default delays.

    Attributes:
        generation: the number of connections so far.
        tracer: traces the scripts that traced events need; None: none.
        answered: called with the seconds that each answer took.
        reconnected: called for each connection that replaces a lost one.
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
        backoff: Backoff | None = None,
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
        self.tracer: CommandTracer | None = None
        self.answered: Callable[[float], object] = lambda seconds: None
        self.reconnected: Callable[[], object] = lambda: None
        self._connection: Any = None
        # Failed attempts since the last connection; above 0, callers need not wait for the next one to fail.
        self._failures = 0
        self._attempts: Waiters[None] = Waiters()
        self._said: set[str] = set()
        self._demoted = False  # whether the connection was given up because the server is no longer a master.
        self._backoff = backoff or Backoff(first=FIRST_BACKOFF, cap=MAX_BACKOFF, stable=STABLE)
        self._keeping = RestartedTask(
            self._keep, "the connection to Redis", self._retry_delay, reactor, self._failed, (Unavailable,)
        )

    def startService(self) -> None:
        """Connects."""
        super().startService()
        self._keeping.start()

    def stopService(self) -> Deferred[None]:
        """Disconnects."""
        super().stopService()
        gone: Deferred[None] = succeed(None)
        if self._connection is not None:
            # What was sent last must still go out; but nothing waits for a Redis that hangs.
            deadline = self._reactor.callLater(CLOSE_TIMEOUT, self._connection.transport.abortConnection)
            gone = self._connection.whenDisconnected().addCallback(lambda _: deadline.active() and deadline.cancel())
            gone.addCallback(lambda _: self._keeping.stop())
            self._connection.transport.loseConnection()
        else:
            self._keeping.stop()
        self._attempts.release(None)
        return gone

    def renew(self) -> None:
        """Replaces the connection: the endpoint may lead to another server by now."""
        if self._connection is not None:
            self._connection.transport.abortConnection()

    async def connected(self) -> None:
        """Waits for the connection, however long it takes."""
        while self._connection is None:
            await self._attempts.wait()

    @property
    def up(self) -> bool:
        """Whether there is a connection."""
        return self._connection is not None

    async def ask(self, *command: Value, generation: int | None = None) -> Any:
        """Sends one command.

        Arguments:
            generation: the connection to use, if it must be a certain one.

        Raises:
            Unavailable: no answer, or a temporary refusal; or the connection is another one by now.
        """
        connection, began = await self._usable(generation), self._reactor.seconds()
        try:
            answer = await connection.execute_command(*command)
        except txredisapi.RedisError as error:
            raise self._unavailable(error, connection) from None
        self.answered(self._reactor.seconds() - began)
        return answer

    async def run(
        self, script: bytes, keys: Sequence[str], arguments: Sequence[Value], generation: int | None = None
    ) -> Any:
        """Runs one script of `craftnet.providers.redis.scripts`; raises as `ask` does."""
        connection, began = await self._usable(generation), self._reactor.seconds()
        try:
            answer = await connection.eval(script, keys, arguments)
        except txredisapi.RedisError as error:
            raise self._unavailable(error, connection) from None
        self.answered(self._reactor.seconds() - began)
        return answer

    def _protocol(self) -> Any:
        return _RedisProtocol(charset=None, replyTimeout=self._timeout, convertNumbers=False)

    async def _usable(self, generation: int | None) -> Any:
        if self._connection is None and self._failures == 0 and self.running:
            try:
                await self._attempts.wait().addTimeout(self._timeout, self._reactor)
            except TimeoutError:
                raise Unavailable("Redis does not answer in time.") from None
        if self._connection is None:
            raise Unavailable("Redis is unreachable.")
        if generation not in (None, self.generation):
            raise Unavailable("Redis was unreachable in between.")
        return self._connection

    async def _keep(self) -> None:
        """Connects, and waits until the connection is lost.

        Raises:
            Unavailable: Redis is unreachable.
        """
        try:
            self._connection = await self._connect()
        except CancelledError:
            raise
        except Exception as error:  # an endpoint may raise anything.
            raise Unavailable(str(error) or type(error).__name__) from error
        lost = self._connection.whenDisconnected()
        self._backoff.opened(self._reactor.seconds())
        self._succeeded()
        await lost
        self._connection = None

    def _retry_delay(self) -> float:
        return self._backoff.delay(self._reactor.seconds())

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
            raise Unavailable("the announced master is not a master (yet, or any more)")
        return connection

    def _succeeded(self) -> None:
        if self._failures:
            self._log.info("Redis at {address} is back", address=self._described)
        self._failures = 0
        self.generation += 1
        if self.generation > 1:
            self.reconnected()
        # As long as each connection leads to a replica, this is not logged again.
        self._said = {_READ_ONLY} if self._demoted else set()
        self._demoted = False
        self._attempts.release(None)

    def _failed(self, failure: Failure) -> None:
        """Logs the reason, once; attempts after the first are silent until one succeeds."""
        if not self._failures:
            self._log.warn(
                "Redis at {address} is unreachable; retrying every few seconds: {reason}",
                address=self._described,
                reason=failure.getErrorMessage(),
            )
        self._failures += 1
        self._attempts.release(None)

    def _unavailable(self, error: Exception, connection: Any) -> Unavailable:
        """The error for callers. Logs each kind of answer once per connection."""
        code = _code(error)
        if code == _READ_ONLY:
            # It was the master before; the name may lead to the new one by now.
            self._demoted = True
            connection.transport.abortConnection()
        if isinstance(error, txredisapi.TimeoutError) and connection is self._connection and _SILENCE not in self._said:
            self._said.add(_SILENCE)
            self._log.warn(
                "Redis at {address} did not answer within {timeout:g} seconds: reconnecting",
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
    """The first word of an error of Redis; empty when it is unknown."""
    found = _CODE.search(str(error))
    return "" if found is None else found[1]


def _reason(error: Exception) -> str:
    """The reason for callers: without the text of the error, which may quote what was sent."""
    if isinstance(error, txredisapi.TimeoutError):
        return "Redis does not answer in time."
    if not isinstance(error, txredisapi.ResponseError):
        return "Redis is unreachable."
    return _REASONS.get(_code(error), "Redis answered with an error.")
