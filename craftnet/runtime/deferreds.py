"""Deferreds for several waiting callers, and coroutines: cheap ones, ones that run together, and restarted ones."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import CancelledError, Deferred, FirstError, fail, gatherResults, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

Result = TypeVar("Result")


class Waiters(Generic[Result]):
    """Callers that wait for the same result, each on its own Deferred: cancelling one does not affect the others."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Deferred[Result]] = []

    def wait(self) -> Deferred[Result]:
        """Returns a Deferred that fires at the next `release`."""
        waiter: Deferred[Result] = Deferred(self._forget)
        self._waiting.append(waiter)
        return waiter

    def release(self, result: Result | Failure) -> None:
        """Gives `result` to all present waiters. A callback may wait again, or cancel another waiter."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.called:
                waiter.callback(result)

    def cancel(self) -> None:
        """Cancels all present waiters."""
        for waiter in tuple(self._waiting):
            waiter.cancel()

    def _forget(self, waiter: Deferred[Result]) -> None:
        if waiter in self._waiting:
            self._waiting.remove(waiter)


def run(coroutine: Coroutine[Any, Any, Result]) -> Result | Deferred[Result]:
    """Runs a coroutine to its end, or until it has to wait.

    `Deferred.fromCoroutine` makes Deferreds in any case, which costs more than ten calls. Until the coroutine waits, it
    runs in the context of the caller (`contextvars`), not in a copy.

    Returns:
        The result if it did not wait; otherwise a Deferred of the result.

    Raises:
        Exception: it failed before it had to wait.
    """
    try:
        waiting = coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    return Deferred.fromCoroutine(_rest(coroutine, waiting))


def start(coroutine: Coroutine[Any, Any, Result]) -> Deferred[Result]:
    """As `Deferred.fromCoroutine`, at half of its cost where the coroutine never waits; see `run`."""
    try:
        result = run(coroutine)
    except Exception:
        return fail()
    return result if isinstance(result, Deferred) else succeed(result)


def _rest(coroutine: Coroutine[Any, Any, Result], waiting: Deferred[Any]) -> Generator[Deferred[Any], object, Result]:
    """Runs a coroutine from the first Deferred that it waits for."""
    try:
        while True:
            try:
                fired = yield waiting
            except BaseException as error:  # the failure of what it waits for, which it may handle.
                waiting = coroutine.throw(error)
            else:
                waiting = coroutine.send(fired)
    except StopIteration as end:  # a generator must not let it pass (PEP 479).
        result: Result = end.value
        return result


async def gathered(coroutines: Iterable[Coroutine[Any, Any, Result]]) -> list[Result]:
    """Runs coroutines together.

    Returns:
        Their results, in order.

    Raises:
        Exception: the first failure of any.
    """
    try:
        return await gatherResults([Deferred.fromCoroutine(each) for each in coroutines], consumeErrors=True)
    except FirstError as error:
        error.subFailure.raiseException()


class RestartedTask:
    """Runs a coroutine again and again until it is stopped, also after failures; or only until it succeeds.

    Arguments:
        run: returns the coroutine.
        what: the subject of the log line, such as "reading changes from Redis".
        retry: seconds from the end of the coroutine to its next start, or a function that returns them.
        failed: called with each failure, before the next start.
        expected: the failures that belong to operation; all others are logged as bugs.
        once: whether the first success is the end.
    """

    _log = Logger()

    def __init__(
        self,
        run: Callable[[], Coroutine[Any, Any, None]],
        what: str,
        retry: float | Callable[[], float],
        clock: IReactorTime,
        failed: Callable[[Failure], object] = lambda failure: None,
        expected: tuple[type[Exception], ...] = (),
        once: bool = False,
    ) -> None:
        self._run = run
        self._what = what
        self._retry = retry
        self._clock = clock
        self._when_failed = failed
        self._expected = expected
        self._once = once
        self._running: Deferred[None] | None = None
        self._next: IDelayedCall | None = None

    def start(self) -> None:
        """Starts the coroutine."""
        self._next = None
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addBoth(self._ended, self._running)

    def stop(self) -> None:
        """Cancels the coroutine."""
        running, self._running = self._running, None
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if running is not None:
            running.cancel()

    def _ended(self, result: Failure | None, run: Deferred[None]) -> None:
        stopped = self._running is not run
        if isinstance(result, Failure):
            if stopped and result.check(CancelledError):
                return
            if not result.check(*self._expected):
                self._log.failure("{what} failed", result, what=self._what)
            if not stopped:
                self._when_failed(result)
        elif self._once and not stopped:
            self._running = None
        if self._running is run:  # `failed` may have led to a stop.
            self._next = self._clock.callLater(self._retry() if callable(self._retry) else self._retry, self.start)
