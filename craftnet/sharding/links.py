"""UNIX sockets between the workers of one server: calls with an answer, and file descriptors.

Every worker listens on a socket of its own in a folder that only its user can enter, and connects to every other worker
to call it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn

from msgspec import Raw
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred, succeed
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from craftnet.clocks import IClock
from craftnet.errors import ConfigurationError, Unavailable
from craftnet.providers.shards import Shards
from craftnet.runtime.deferreds import Waiters
from craftnet.sharding.calls import Answered, Asked, Caller, Handler, IncomingCallsFactory, Operation, OutgoingCalls

LINKS_VARIABLE = "CRAFTNET_LINKS"
"""The environment variable with the folder of the workers' sockets."""

MAX_PATH_LENGTH = 100
"""Bytes of a UNIX socket's path, a little less than every system accepts."""

RECONNECT_DELAY = 0.1
"""Seconds between attempts to connect to a worker."""

CALL_TIMEOUT = 10.0
"""Seconds for an answer of a worker."""

RESTART_WAIT = 3.0
"""Seconds for which a call waits for a worker that is starting."""


class _OtherWorker:
    """The connection to one other worker, restored as long as this worker runs.

    Arguments:
        endpoint: where the other worker listens.
        number: this worker's.
        connected: called for every new connection; others may call once it is done.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        number: int,
        connected: Callable[[], Coroutine[Any, Any, None]],
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._factory = Factory.forProtocol(partial(OutgoingCalls, number))
        self._factory.noisy = False
        self._connected = connected
        self._trying: Deferred[Any] | None = None
        self._retry: IDelayedCall | None = None
        self._running = False
        self._contact: Waiters[None] = Waiters()
        self._first: Waiters[None] | None = Waiters()  # until the first attempt.
        self.outgoing: OutgoingCalls | None = None
        self.ready = False

    def start(self) -> None:
        """Connects."""
        self._running = True
        self._connect()

    def stop(self) -> None:
        """Disconnects."""
        self._running = False
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        if self._trying is not None:
            self._trying.cancel()
        if self.outgoing is not None:
            self.outgoing.close()

    def first_contact(self) -> Deferred[None]:
        """Fires when calls are possible, or when no worker listens."""
        return succeed(None) if self._first is None else self._first.wait()

    def contact(self) -> Deferred[None]:
        """Fires when calls are possible; fails with Unavailable when that takes longer than `RESTART_WAIT`."""
        return self._contact.wait().addTimeout(RESTART_WAIT, self._clock).addErrback(self._not_there)

    def _connect(self) -> None:
        self._trying = self._endpoint.connect(self._factory)
        self._trying.addCallbacks(self._made, self._failed)

    def _made(self, outgoing: Any) -> None:
        self._trying = None
        self.outgoing = outgoing
        outgoing.gone.addCallback(lambda _: self._lost())
        preparing = Deferred.fromCoroutine(self._connected())
        preparing.addCallbacks(lambda _: self._is_ready(), lambda _: outgoing.close())

    def _is_ready(self) -> None:
        if self.outgoing is None:
            return
        self.ready = True
        self._contact.release(None)
        self._tried()

    def _failed(self, _: Failure) -> None:
        self._trying = None
        self._tried()
        self._again()

    def _lost(self) -> None:
        self.outgoing, self.ready = None, False
        self._again()

    def _again(self) -> None:
        if self._running:
            self._retry = self._clock.callLater(RECONNECT_DELAY, self._connect)

    def _tried(self) -> None:
        first, self._first = self._first, None
        if first is not None:
            first.release(None)

    @staticmethod
    def _not_there(failure: Failure) -> None:
        failure.trap(TimeoutError, CancelledError)
        raise Unavailable("The worker that keeps this player's state is starting.")


class Links(Service):
    """This worker's connections to the others.

    Arguments:
        reactor: IReactorUNIX, and the clock.
        folder: the folder of the sockets.
    """

    log = Logger()

    def __init__(self, reactor: Any, folder: str, shards: Shards) -> None:
        self._reactor = reactor
        self._clock: IClock = reactor
        self._path = socket_path(folder, shards.number)
        self._handlers: dict[str, tuple[Operation[Any, Any], Handler]] = {}
        self._connected: list[Callable[[int], Coroutine[Any, Any, None]]] = []
        self._lost: list[Callable[[int], None]] = []
        self._port: Any = None
        self._incoming = IncomingCallsFactory(self.answer, self.lost)
        self._neighbours = {
            number: _OtherWorker(
                reactor,
                UNIXClientEndpoint(reactor, socket_path(folder, number)),
                shards.number,
                partial(self._prepare, number),
            )
            for number in shards.others
        }

    @property
    def complete(self) -> bool:
        """Whether every other worker can be called."""
        return all(neighbour.ready for neighbour in self._neighbours.values())

    @property
    def connected(self) -> list[int]:
        """The workers that can be called now."""
        return [number for number, neighbour in self._neighbours.items() if neighbour.ready]

    def handle(self, operation: Operation[Asked, Answered], handler: Callable[[Caller, Asked], Any]) -> None:
        """Answers calls of `operation` with `handler`, at once or later."""
        self._handlers[operation.name] = operation, handler

    def on_connected(self, function: Callable[[int], Coroutine[Any, Any, None]]) -> None:
        """Calls `function` with the number of each connected worker, before any other call to that worker."""
        self._connected.append(function)

    def on_lost(self, function: Callable[[int], None]) -> None:
        """Calls `function` with the number of each worker that has ended."""
        self._lost.append(function)

    async def first_contacts(self) -> None:
        """Waits until each other worker can be called, or is known not to listen."""
        for neighbour in self._neighbours.values():
            await neighbour.first_contact()

    def call(
        self, number: int, operation: Operation[Asked, Answered], argument: Asked, descriptor: int | None = None
    ) -> Deferred[Answered]:
        """Calls a worker; returns a Deferred of the result.

        Arguments:
            descriptor: a file descriptor of which the worker receives a duplicate; it must stay open until the answer.

        Fails:
            Unavailable: the worker is not there, does not answer in time, or failed.
        """
        neighbour = self._neighbours[number]
        if neighbour.outgoing is None:
            return neighbour.contact().addCallback(lambda _: self.call(number, operation, argument, descriptor))
        answer = neighbour.outgoing.call(operation.name, argument, descriptor).addTimeout(CALL_TIMEOUT, self._clock)
        return answer.addCallbacks(operation.answered.decode, _silent)

    def answer(self, name: str, caller: Caller, argument: Raw) -> Any:
        """Answers a call of another worker."""
        operation, handler = self._handlers[name]
        result = handler(caller, operation.asked.decode(argument))
        return Deferred.fromCoroutine(result) if isinstance(result, Coroutine) else result

    def lost(self, number: int) -> None:
        """Another worker disconnected."""
        for function in self._lost:
            function(number)

    def privilegedStartService(self) -> None:
        """Listens."""
        with suppress(FileNotFoundError):
            os.unlink(self._path)  # left behind by an earlier process of this worker that was killed.
        self._port = self._reactor.listenUNIX(self._path, self._incoming, mode=0o600)

    def startService(self) -> None:
        """Connects."""
        super().startService()
        for neighbour in self._neighbours.values():
            neighbour.start()

    def stopService(self) -> Deferred[Any]:
        """Disconnects; the Deferred fires when no worker can call any more."""
        super().stopService()
        for neighbour in self._neighbours.values():
            neighbour.stop()
        self._incoming.close()
        port, self._port = self._port, None
        return maybeDeferred(port.stopListening)

    async def _prepare(self, number: int) -> None:
        for function in self._connected:
            await function(number)


def _silent(failure: Failure) -> NoReturn:
    failure.trap(TimeoutError)
    raise Unavailable("The worker that keeps this player's state does not answer.")


def socket_path(folder: str, number: int) -> str:
    """The path of the socket of worker `number`."""
    return os.path.join(folder, f"link-{number}")


def check_path(folder: str) -> None:
    """Checks that sockets can be created in a folder.

    Raises:
        ConfigurationError: its path is too long.
    """
    if len(os.fsencode(socket_path(folder, 255))) > MAX_PATH_LENGTH:
        raise ConfigurationError(
            f"--workers needs a temporary folder whose path is short enough for UNIX sockets, got {folder}: set TMPDIR"
        )
